/**
 * Items: what a consumer of a subscription iterates over, typed by the requested topics. Messages of the market are those
 * of the protocol: prices and quantities are integers, scaled as the instrument defines (`client.instruments`), times are
 * `Nanos`.
 */

import type { Channel } from '../../protocol/channels';
import type { ChannelMessages, MessageOf, TopicMessage } from '../../protocol/messages';

export type { TopicMessage };

/**
 * Messages of a topic that this consumer does not get: `count` of them, from sequence number `from` to `to`, both
 * included. Declared by the server, or (`local`) by the client if the consumer itself is slow.
 *
 * With the reason `not-journaled` and a `from` at or below the `seq` of an earlier item: a crash of the server took
 * these messages after they were pushed. What the consumer has of the topic from `from` on is in no journal; it has to
 * discard or mark it. The valid state follows.
 */
export interface GapItem extends MessageOf<'gap'> {
  readonly local: boolean;
}

/**
 * Why the client requests the state of topics again: the server does not resume; missing messages could not be
 * fetched; the checksum of a book differed; the consumer was too slow; the connection ended before a state was
 * complete. Besides these, the code of an error.
 */
export type LocalResetReason =
  'not-supported' | 'chain-break' | 'book-mismatch' | 'slow-reader' | 'connection-failed';

/**
 * Discard what you hold of these topics: messages between their last item and this one are not delivered, and
 * their state follows. Sent by the server, or (`local`) by the client, which had to request the state again:
 * `other-epoch`, a `LocalResetReason`, or the code of the error with which the server refused to resume.
 */
export interface ResetItem {
  readonly type: 'reset';
  readonly topics: readonly string[];
  readonly epoch: number;
  /** Sequence number of the state. */
  readonly seq: number;
  readonly reason: MessageOf<'reset'>['reason'] | LocalResetReason | (string & {});
  readonly local: boolean;
  /**
   * Of a server of several shards: only what you hold of this one is invalid (`client.instruments` names the shard of a
   * symbol). Null: the server has no shards. If the server no longer serves the shard, `epoch` and `seq` are 0, and the
   * state follows only of topics that it has in another one.
   */
  readonly shard: string | null;
}

/** The message type of a topic, from the text of the topic. */
export type MessageOfTopic<T extends string> = string extends T
  ? TopicMessage
  : T extends Channel | `${Channel}:${string}`
    ? ChannelMessages[ChannelOf<T>]
    : TopicMessage;

type ChannelOf<T extends string> = T extends `${infer C extends Channel}:${string}`
  ? C
  : T & Channel;

export type Item<M extends TopicMessage = TopicMessage> = M | GapItem | ResetItem;
