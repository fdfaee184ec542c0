/**
 * Items: what a consumer of a subscription iterates over, typed by the topics it asked for. Messages
 * of the market are those of the protocol: prices and quantities are integers, scaled as the
 * instrument defines (`client.instruments`), times are `Nanos`.
 */

import type { Channel } from '../../protocol/channels';
import type { ChannelMessages, MessageOf, TopicMessage } from '../../protocol/messages';

export type { TopicMessage };

/**
 * Messages of a topic that this consumer does not get: `count` of them, from place `from` to `to`,
 * both included. Told by the server, or (`local`) by the client, when the consumer itself is slow.
 *
 * With the reason `not-journaled` and a `from` at or below the place of an item that it had before: a
 * crash of the server took these messages after they were pushed. What the consumer has of the topic from
 * `from` on is in no journal; it discards or marks it. The state that stands follows.
 */
export interface GapItem extends MessageOf<'gap'> {
  readonly local: boolean;
}

/**
 * Why the client itself takes the state of topics anew: the server does not resume; messages were
 * missing that it could not get; a book did not prove; the consumer was too slow; the connection
 * ended before a state was whole. Besides these, the code of an error.
 */
export type LocalResetReason =
  'not-supported' | 'chain-break' | 'book-mismatch' | 'slow-reader' | 'connection-failed';

/**
 * Forget what you hold of these topics: what lies between the last item of them and this one is not
 * told, and their state follows. Told by the server, or (`local`) by the client, which had to take
 * the state anew: `other-epoch`, a `LocalResetReason`, or the code of the error by which the server
 * refused to resume.
 */
export interface ResetItem {
  readonly type: 'reset';
  readonly topics: readonly string[];
  readonly epoch: number;
  /** Place at which the state stands. */
  readonly seq: number;
  readonly reason: MessageOf<'reset'>['reason'] | LocalResetReason | (string & {});
  readonly local: boolean;
}

/** The message of a topic, by the text of the topic. */
export type MessageOfTopic<T extends string> = string extends T
  ? TopicMessage
  : T extends Channel | `${Channel}:${string}`
    ? ChannelMessages[ChannelOf<T>]
    : TopicMessage;

type ChannelOf<T extends string> = T extends `${infer C extends Channel}:${string}`
  ? C
  : T & Channel;

export type Item<M extends TopicMessage = TopicMessage> = M | GapItem | ResetItem;
