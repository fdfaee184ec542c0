/** Stream hub: the interface of a connection to the stages behind it. */

import type { ServerWebSocket } from 'bun';

import type { Subprotocol } from '../../../protocol/codec';
import type { Fault } from '../../../protocol/codes';
import type { Message, MessageOf } from '../../../protocol/messages';
import type { ScalesOf } from '../../../protocol/units';
import type { Meter } from '../../base/byte-account';
import type { Clock } from '../../base/clock';
import type { SessionFigures } from '../../base/contracts/figures';
import type { SliceQueue } from '../../base/slice-queue';
import type { Keyring } from '../auth/auth';
import type { Connections } from './connections';
import type { GatewayLimits } from '../auth/limits';
import type { Shares } from '../auth/shares';
import type { StreamCounts } from './counts';
import type { OrderStage } from '../../base/contracts/order-entry';

/** What a connection needs of the broadcaster's session. */
export interface StreamSession {
  readonly name: string;
  /** Counts the bytes held for this session; they are charged to the name of a key or to an address. */
  readonly meter: Meter;
  /** Data sent last were lost, and the socket is being closed. */
  readonly overrun: boolean;
  /** Topics that the session subscribes to. */
  readonly topics: ReadonlyMap<{ readonly name: string }, unknown>;
  readonly state: SessionFigures;
  send(messages: readonly Message[]): void;
  gone(): void;
}

/** Events of a session that may be logged. */
export interface SessionNote {
  readonly client?: string;
  readonly code?: string | number;
  readonly reason?: string;
  readonly field?: string | undefined;
}

/** Outcome of a publish that was accepted. */
export interface Published {
  readonly seq: number;
  readonly intake: { readonly repeated: number; readonly waiting: number };
}

/** The sequence numbers of the server: one run of them, or one for each shard. */
export interface StreamNumberings {
  /** The newest positions, as `welcome` has them. */
  newest(): Pick<MessageOf<'welcome'>, 'epoch' | 'seq' | 'shards'>;
  /** An answer with the newest positions. */
  ack(id: number): MessageOf<'ack'>;
  /** How many sequence numbers a request goes back, about. */
  behind(m: MessageOf<'resume'> | MessageOf<'replay'>): number;
}

/** The stages behind a connection. */
export interface StreamHub<S extends StreamSession> {
  readonly numberings: StreamNumberings;
  readonly server: string;
  readonly scalesOf: ScalesOf;
  readonly keys: Keyring;
  readonly connections: Connections;
  readonly shares: Shares;
  readonly counts: StreamCounts;
  readonly orders: OrderStage;
  readonly clock: Clock;
  /** Queue for the long frames of all connections. */
  readonly slices: SliceQueue;
  readonly limits: GatewayLimits & { readonly frameBytesMax: number };
  /** The limits that the welcome states, as they are now. */
  welcomeLimits(): MessageOf<'welcome'>['limits'];
  /** Number of topics that these names stand for: `*` counts one per instrument. */
  topicsIn(names: readonly string[]): number;
  /** Bytes that were sent to single sessions since the start. */
  sentBytes(): number;
  /** Creates the session of a socket that has opened. */
  enter(socket: ServerWebSocket<unknown>, form: Subprotocol): { session: S; source: number };
  leave(session: S, source: number): void;
  /** Sets whose orders a session is notified of; null when it may not trade. */
  follow(session: S, owner: string | null): void;
  /** Sends the pending order notifications of a session, so that they precede an answer. */
  settle(session: S): void;
  /** @param done called when the answer is complete; requests about topics wait until then */
  subscribe(
    session: S,
    id: number,
    topics: readonly string[],
    intervalMs: number,
    done: () => void,
  ): Fault | undefined;
  /**
   * Sends everything of the topics after a seq, or a reset; then live data.
   * @param done called when the resume is answered, or with the reason for a refusal; topics wait until then
   */
  resume(session: S, request: MessageOf<'resume'>, done: (refused?: Fault) => void): void;
  /** @returns why the request is refused; otherwise the replay itself answers */
  replay(session: S, request: MessageOf<'replay'>): Fault | undefined;
  /**
   * The client has read everything up to a ping.
   * @param payload payload of that ping
   * @returns whether the server sent it
   */
  pong(session: S, source: number, payload: Uint8Array): boolean;
  /** @param done called when the session has left all of them; requests about topics wait until then */
  unsubscribe(session: S, topics: readonly string[], done: () => void): Fault | undefined;
  /** Acknowledges a publish. Acknowledgements are sent in batches. */
  acknowledge(session: S, ack: MessageOf<'ack'>): void;
  /** @param owner name of the key; the address without one */
  submit(
    source: number,
    owner: string,
    published: MessageOf<'publish'>,
    done: (result: Published | { readonly index: number; readonly fault: Fault }) => void,
  ): void;
  /** Writes a log line about this session. It must not contain data that may be private to the client. */
  note(session: string, event: 'named' | 'refused' | 'closed', detail: SessionNote): void;
}
