/** Events of a client: typed, delivered in order, to handlers that cannot affect each other. */

import type { Execution, Instrument, MessageOf } from '../../protocol/messages';
import { guarded } from './environment';
import type { ConnectionEnd, TapedeckError } from './errors';
import type { ResetItem } from './items';

/** A topic with missing messages, or a book whose checksum differs; the client is repairing it. */
export interface BreakEvent {
  readonly topic: string;
  /** The newest sequence number held before. */
  readonly last: number;
  /** The sequence number at which it was detected. */
  readonly seq: number;
}

/** What the reader reports to its client. */
export interface ReaderEvents {
  broken(why: 'chain-break' | 'book-mismatch', event: BreakEvent): void;
  gap(gap: MessageOf<'gap'>): void;
  reset(reset: ResetItem): void;
  /** Everything missed of a shard since the last connection has arrived. */
  resumed(range: ClientEvents['resumed']): void;
}

export interface ClientEvents {
  /** Connected; also after each reconnect. At a server of several shards `epoch` and `seq` are 0; see `shards`. */
  'connected': Pick<MessageOf<'welcome'>, 'epoch' | 'seq' | 'server' | 'shards'>;
  /** Disconnected. `retryInMs`: when the client tries again; undefined if it will not. */
  'disconnected': ConnectionEnd & { readonly retryInMs: number | undefined };
  /** Another server continues the numbering behind `seq`; nothing is lost. */
  'epoch': { readonly epoch: number; readonly seq: number; readonly shard: string | null };
  /** Everything missed between the two sequence numbers of a shard has arrived, without gap or repetition. */
  'resumed': { readonly from: number; readonly to: number; readonly shard: string | null };
  /** The state of topics was requested again; messages in between are not delivered. */
  'reset': ResetItem;
  /** A resume waits at the server; repeated with each heartbeat until its messages arrive. */
  'queued': { readonly ahead: number };
  /** The server declared missing messages of a topic. */
  'gap': MessageOf<'gap'>;
  /** Messages were missing that nobody declared; the client repairs it. */
  'chain-break': BreakEvent;
  /** The checksum of a local book differed; the client subscribes to it again. */
  'book-mismatch': BreakEvent;
  /** Events of a publish had no effect: sent before, or of a book that waits for a snapshot [P11]. */
  'intake': { readonly seq: number; readonly repeated: number; readonly waiting: number };
  /** The execution of an order of this key's owner, entered here or elsewhere. */
  'execution': Execution;
  /** An instrument was defined, or its definition changed. */
  'instrument': Instrument;
  /** The server reported an error that belongs to no request. */
  'error': TapedeckError;
  /** The client has ended, by `close` (no error) or because it cannot continue. */
  'closed': { readonly error: TapedeckError | undefined };
}

type Handler = (event: never) => void;

export class Emitter {
  private readonly handlers = new Map<keyof ClientEvents, Set<Handler>>();

  /** @returns a function that removes the handler */
  on<E extends keyof ClientEvents>(name: E, handler: (event: ClientEvents[E]) => void): () => void {
    let handlers = this.handlers.get(name);
    if (handlers === undefined) this.handlers.set(name, (handlers = new Set()));
    handlers.add(handler);
    return () => void handlers.delete(handler);
  }

  emit<E extends keyof ClientEvents>(name: E, event: ClientEvents[E]): void {
    for (const handler of this.handlers.get(name) ?? []) guarded(() => handler(event as never));
  }
}
