/** Stream hub: the stages behind a connection, as it sees them. */

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
  /** What it causes to be held, and whose that is: the name of a key, or an address. */
  readonly meter: Meter;
  /** What it was sent last is lost, and its socket is being closed. */
  readonly overrun: boolean;
  /** Topics that it is on. */
  readonly topics: ReadonlyMap<{ readonly name: string }, unknown>;
  readonly state: SessionFigures;
  send(messages: readonly Message[]): void;
  gone(): void;
}

/** What may be logged of a session. */
export interface SessionNote {
  readonly client?: string;
  readonly code?: string | number;
  readonly reason?: string;
  readonly field?: string | undefined;
}

/** What became of a publish that was taken. */
export interface Published {
  readonly seq: number;
  readonly intake: { readonly repeated: number; readonly waiting: number };
}

/** The stages behind a connection. */
export interface StreamHub<S extends StreamSession> {
  readonly epoch: number;
  readonly server: string;
  readonly scalesOf: ScalesOf;
  readonly keys: Keyring;
  readonly connections: Connections;
  readonly shares: Shares;
  readonly counts: StreamCounts;
  readonly orders: OrderStage;
  readonly clock: Clock;
  /** For long frames of all connections. */
  readonly slices: SliceQueue;
  readonly limits: GatewayLimits & { readonly frameBytesMax: number };
  /** As they are now. */
  welcomeLimits(): MessageOf<'welcome'>['limits'];
  lastSeq(): number;
  /** How many topics these names stand for: `*` for one of each instrument. */
  topicsIn(names: readonly string[]): number;
  /** Since the start, to one session alone. */
  sentBytes(): number;
  /** Makes the session of a socket that has opened. */
  enter(socket: ServerWebSocket<unknown>, form: Subprotocol): { session: S; source: number };
  leave(session: S, source: number): void;
  /** Whose orders a session is told of; null when it may not trade. */
  follow(session: S, owner: string | null): void;
  /** Sends what it has yet to get of its orders, ahead of an answer. */
  settle(session: S): void;
  /** @param done told when the answer is made; requests about topics wait until then */
  subscribe(
    session: S,
    id: number,
    topics: readonly string[],
    intervalMs: number,
    done: () => void,
  ): Fault | undefined;
  /**
   * Everything of the topics behind a place, or a reset; then live.
   * @param done told when that is answered, or why it is refused; topics wait until then
   */
  resume(session: S, request: MessageOf<'resume'>, done: (refused?: Fault) => void): void;
  /** @returns why it is refused; the replay answers otherwise */
  replay(session: S, request: MessageOf<'replay'>): Fault | undefined;
  /** The client has read up to a ping. @param payload that of the ping @returns whether it was one of ours */
  pong(session: S, source: number, payload: Uint8Array): boolean;
  /** @param done told when the session is on none of them; requests about topics wait until then */
  unsubscribe(session: S, topics: readonly string[], done: () => void): Fault | undefined;
  /** Acknowledges a publish, soon. */
  acknowledge(session: S, ack: MessageOf<'ack'>): void;
  /** @param owner whose key it is; without one the address */
  submit(
    source: number,
    owner: string,
    published: MessageOf<'publish'>,
    done: (result: Published | { readonly index: number; readonly fault: Fault }) => void,
  ): void;
  /** A line for the log, about this session; nothing in it that a client may have meant for itself. */
  note(session: string, event: 'named' | 'refused' | 'closed', detail: SessionNote): void;
}
