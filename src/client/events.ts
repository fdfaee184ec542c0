/** Events of a client: typed, handed out in order, to handlers that cannot harm each other. */

import type { Execution, Instrument, MessageOf } from '../../protocol/messages';
import { guarded } from './environment';
import type { ConnectionEnd, TapedeckError } from './errors';
import type { ResetItem } from './items';

/** A topic of which messages are missing, or whose book does not prove; it is being mended. */
export interface BreakEvent {
  readonly topic: string;
  /** The newest place held before. */
  readonly last: number;
  /** The place at which it showed. */
  readonly seq: number;
}

/** What the reader tells its client. */
export interface ReaderEvents {
  broken(why: 'chain-break' | 'book-mismatch', event: BreakEvent): void;
  gap(gap: MessageOf<'gap'>): void;
  reset(topics: readonly string[], seq: number, reason: string, local: boolean): void;
  /** Everything missed since the last connection has come. */
  resumed(from: number, to: number): void;
}

export interface ClientEvents {
  /** There is a connection; also after each reconnect. */
  'connected': { readonly epoch: number; readonly seq: number; readonly server: string };
  /** It has ended. `retryInMs`: when the client tries again; undefined when it will not. */
  'disconnected': ConnectionEnd & { readonly retryInMs: number | undefined };
  /** Everything missed between the places has come, without gap or repetition. */
  'resumed': { readonly from: number; readonly to: number };
  /** The state of topics was taken anew; what lies between is not told. */
  'reset': ResetItem;
  /** A resume waits for its turn at the server; again with each heartbeat until its messages come. */
  'queued': { readonly ahead: number };
  /** The server says that messages of a topic do not come. */
  'gap': MessageOf<'gap'>;
  /** Messages were missing that nobody announced; the client mends it. */
  'chain-break': BreakEvent;
  /** A local book did not prove; the client subscribes to it again. */
  'book-mismatch': BreakEvent;
  /** Events of a publish that had no effect: sent before, or of a book that waits for a snapshot [P11]. */
  'intake': { readonly seq: number; readonly repeated: number; readonly waiting: number };
  /** What became of an order of this key's owner, entered here or elsewhere. */
  'execution': Execution;
  /** An instrument was defined, or its definition changed. */
  'instrument': Instrument;
  /** The server complains, and of no request. */
  'error': TapedeckError;
  /** The client is done, by `close` (no error) or since it cannot go on. */
  'closed': { readonly error: TapedeckError | undefined };
}

type Handler = (event: never) => void;

export class Emitter {
  private readonly handlers = new Map<keyof ClientEvents, Set<Handler>>();

  /** @returns a function that takes the handler off again */
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
