/**
 * Replay part: the replay of one journal over a connection of its own, and its queue. On a shared connection nobody could
 * tell replayed messages from live ones.
 *
 * Nothing is dropped: with more than `WAITING_HIGH` messages waiting for the consumer the replay is paused, and continued
 * at `WAITING_LOW`. Messages in flight still arrive; beyond `WAITING_MAX` the server did not pause, and it fails. It does
 * not reconnect: an error has the reached sequence number in its hint. The `ack` of `start` ends it, as that of `resume`
 * ends its answer.
 */

import type { Instrument, Message, MessageOf } from '../../protocol/messages';
import type { Nanos } from '../../protocol/time';
import { isTopicMessage } from '../../protocol/topics';
import type { Connection } from './connection';
import { deferred } from './environment';
import { TapedeckError } from './errors';
import type { Item } from './items';

const WAITING_HIGH = 20_000;
const WAITING_LOW = 5_000;
const WAITING_MAX = 1_000_000;

export interface ReplayRange {
  /** First event time; undefined: from the beginning. */
  readonly from?: Nanos | undefined;
  /** Last event time. */
  readonly to?: Nanos | undefined;
  /** First sequence number, instead of `from`. */
  readonly fromSeq?: number | undefined;
  /** Last sequence number, instead of `to`. */
  readonly toSeq?: number | undefined;
}

/** What a journal is asked for. */
export interface ReplayRequest extends ReplayRange {
  readonly topics: readonly string[];
  /** Hundredths of real time; null: as fast as it is read. */
  readonly speed: number | null;
  /** Whose journal it is; null: that of the topics. */
  readonly shard: string | null;
}

/** What a part needs of its replay. */
export interface ReplayPartHost {
  /** Opens a connection whose messages go to `take` and its end to `lost`; `signal` aborts. */
  open(take: (m: Message) => void, lost: () => void, signal: AbortSignal): Promise<Connection>;
  arrived(): void;
  ended(): void;
}

type ReplayAction = MessageOf<'replay'>['action'];

export class ReplayPart {
  readonly opened: Promise<Connection>;
  state: 'playing' | 'ended' | TapedeckError = 'playing';
  private readonly host: ReplayPartHost;
  private readonly opening = new AbortController();
  private connection: Connection | undefined;
  private request: ReplayRequest | undefined;
  private items: Item[] = [];
  private at = 0;
  /** Whether the application paused it; a pause by the queue is separate. */
  private paused = false;
  private held = false;
  private reachedSeq = 0;

  constructor(host: ReplayPartHost) {
    this.host = host;
    const opening = host.open(
      (message) => this.take(message),
      () => this.finish(this.lost(this.connection?.endedBy)),
      this.opening.signal,
    );
    this.opened = opening.then((connection) => {
      this.connection = connection;
      if (this.state !== 'playing') this.letGo(); // it opened too late to be aborted
      return connection;
    });
    this.opened.catch((e: unknown) => this.finish(e as TapedeckError));
  }

  get instruments(): ReadonlyMap<string, Instrument> {
    return this.connection?.instruments ?? new Map<string, Instrument>();
  }

  get isPlaying(): boolean {
    return this.state === 'playing';
  }

  /** The next item. */
  get head(): Item | undefined {
    return this.items[this.at];
  }

  /** Takes the next item. */
  shift(): void {
    this.at += 1;
    if (this.at >= 1024 || this.at === this.items.length) {
      this.items = this.items.slice(this.at);
      this.at = 0;
    }
    const waiting = this.items.length - this.at;
    if (this.held && waiting < WAITING_LOW && this.isPlaying) this.hold(false);
  }

  /** Begins, once it is open. */
  start(request: ReplayRequest): void {
    if (!this.isPlaying) return;
    this.request = request;
    this.act('start', request).then(
      () => this.finish('ended'),
      (e: unknown) => this.finish(this.lost(e as TapedeckError)),
    );
  }

  async pause(): Promise<void> {
    this.paused = true;
    await this.ask('pause');
  }

  async continue(): Promise<void> {
    this.paused = false;
    if (!this.held) await this.ask('continue');
  }

  /** @throws TapedeckError `no-replay` if the server has sent all of it */
  async seek(to: ReplayRange): Promise<void> {
    await this.ask('seek', to);
  }

  async stop(): Promise<void> {
    // Before it is open there is no connection to use.
    if (this.connection !== undefined) await this.ask('stop');
  }

  /** Ends it; what waits stays. */
  finish(how: 'ended' | TapedeckError): void {
    if (!this.isPlaying) return;
    this.state = how;
    this.opening.abort();
    this.letGo();
    this.host.ended();
  }

  /** Drops what waits. */
  clear(): void {
    this.items = [];
    this.at = 0;
    if (this.held) this.hold(false);
  }

  private async ask(action: ReplayAction, range: ReplayRange = {}): Promise<void> {
    try {
      if (this.isPlaying) return void (await this.act(action, range));
    } catch (e) {
      // The server has sent everything; messages in flight still arrive.
      const isOver = e instanceof TapedeckError && e.code === 'no-replay';
      if (this.isPlaying && !isOver) throw e;
    }
    if (action === 'seek') throw new TapedeckError('no-replay', 'the replay is over');
  }

  private act(action: ReplayAction, range: Partial<ReplayRequest>): Promise<number> {
    const { promise, resolve, reject } = deferred<number>();
    const { topics = [], from = null, to = null, fromSeq = null, toSeq = null } = range;
    const { speed = null, shard = null } = range;
    const fields = { topics: [...topics], from, to, fromSeq, toSeq, speed, shard };
    this.connection!.ask({
      make: (id) => ({ type: 'replay', id, action, ...fields }),
      resolve: (seq) => {
        // In the order of the wire: messages before the answer of a seek are from before it.
        if (action === 'seek') this.clear();
        resolve(seq);
      },
      reject,
    });
    return promise;
  }

  private take(message: Message): void {
    if (!this.isPlaying) return;
    if (message.type === 'gap' || message.type === 'reset') {
      this.push({ ...message, local: false });
    } else if (isTopicMessage(message)) {
      this.reachedSeq = message.seq;
      this.push(message);
    }
  }

  private push(item: Item): void {
    this.items.push(item);
    this.host.arrived();
    const waiting = this.items.length - this.at;
    if (waiting > WAITING_MAX) {
      const message = `${waiting} messages wait, and the server did not pause`;
      this.finish(new TapedeckError('overloaded', message));
    } else if (waiting > WAITING_HIGH && !this.held) {
      this.hold(true);
    }
  }

  private hold(held: boolean): void {
    this.held = held;
    if (this.paused) return;
    // If it is refused, the connection and the replay continue.
    this.act(held ? 'pause' : 'continue', {}).catch(() => {});
  }

  /** Closes without waiting for the peer, which may be dead. */
  private letGo(): void {
    this.connection?.close();
    this.connection?.abandon('the replay has ended', 1000);
  }

  /** An error of the connection, with what to continue from. */
  private lost(e: TapedeckError | undefined): TapedeckError {
    if (e !== undefined && (e.code !== 'connection-failed' || e.hint !== null)) return e;
    const of = this.request?.shard == null ? '' : ` of shard ${this.request.shard}`;
    const hint = `The newest received seq${of} is ${this.reachedSeq}; start again with fromSeq.`;
    const message = e?.message ?? 'the connection of the replay ended';
    return new TapedeckError('connection-failed', message, hint);
  }
}
