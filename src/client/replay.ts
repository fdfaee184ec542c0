/**
 * Replay: the journal in the live format [R6], as an async iterable. If its topics are of several shards, each has a journal
 * and a connection of its own [H6]; their messages are merged by receive time, in the order of each journal. So a message
 * waits until every other journal has a later one, or has ended. At a speed `replay-pace.ts` says when it is due.
 *
 * Bounds: those of `replay-part.ts`, for each journal.
 */

import type { Instrument, MessageOf } from '../../protocol/messages';
import type { Nanos } from '../../protocol/time';
import type { Connection } from './connection';
import type { Environment } from './environment';
import { TapedeckError } from './errors';
import type { Item, MessageOfTopic } from './items';
import { ReplayPart, type ReplayPartHost, type ReplayRequest } from './replay-part';
import { Pace } from './replay-pace';
import { ofSeveral, type ReplayPlan } from './replay-plan';

export type { ReplayOptions } from './replay-plan';

interface Waiter {
  resolve(result: IteratorResult<Item, undefined>): void;
  reject(error: TapedeckError): void;
}

/** What a replay needs of the client. */
export interface ReplayHost {
  /** Opens a connection whose messages go to `take` and its end to `lost`; `signal` aborts. */
  readonly open: ReplayPartHost['open'];
  /** What to ask of which journal. */
  plan(shards: MessageOf<'welcome'>['shards']): Promise<ReplayPlan>;
  readonly environment: Environment;
  /** The replay has ended, for any reason. */
  ended(): void;
}

/** Iterate over it once, with `for await`; leaving the loop stops it. */
export class Replay<T extends string = string> implements AsyncIterableIterator<
  Item<MessageOfTopic<T>>
> {
  private readonly host: ReplayHost;
  private readonly parts: ReplayPart[];
  private requests: readonly ReplayRequest[] = [];
  /** Resolves when every journal has been asked. */
  private readonly begun: Promise<void>;
  private readonly waiters: Waiter[] = [];
  /** Whether the end, or the error, was reported. */
  private isOver = false;
  private hasEnded = false;
  /** An error that is given out ends the other parts, which call back. */
  private isDelivering = false;
  private paused = false;
  private seeking = 0;
  /** Of several journals. */
  private pace: Pace | undefined;

  /** For the client only. */
  constructor(host: ReplayHost) {
    this.host = host;
    const first = this.part();
    this.parts = [first];
    this.begun = first.opened.then((connection) => this.begin(connection));
    this.begun.catch((e: unknown) => this.finish(e as TapedeckError));
  }

  /** Definitions that came with it: the decimals of its messages. */
  get instruments(): ReadonlyMap<string, Instrument> {
    const [first, ...others] = this.parts;
    if (others.length === 0) return first!.instruments;
    const all = new Map<string, Instrument>();
    for (const { instruments } of this.parts) {
      for (const [symbol, definition] of instruments) all.set(symbol, definition);
    }
    return all;
  }

  /** Resolves when nothing more is sent until `continue`; messages in flight are still delivered. */
  async pause(): Promise<void> {
    this.paused = true;
    this.pace?.pause();
    await this.all((part) => part.pause());
  }

  async continue(): Promise<void> {
    this.paused = false;
    this.pace?.continue();
    await this.all((part) => part.continue());
  }

  /**
   * Continues from another time or sequence number; messages that wait from before are dropped.
   * @throws TapedeckError `no-replay` if the server has sent all of it; `several-shards` if the topics are of several shards
   *   and `fromSeq` is given
   */
  async seek(to: { readonly from?: Nanos; readonly fromSeq?: number }): Promise<void> {
    await this.begun.catch(() => {});
    const { parts } = this;
    if (parts.length === 1) return parts[0]!.seek(to);
    if (to.fromSeq !== undefined) throw ofSeveral();
    if (!this.isOpen) throw new TapedeckError('no-replay', 'the replay is over');
    this.seeking += 1;
    this.pace?.restart(to.from);
    try {
      await Promise.all(parts.map((part, i) => this.seekPart(part, i, to)));
    } finally {
      this.seeking -= 1;
      this.deliver();
    }
  }

  /** Ends it; the iteration ends too. */
  async stop(): Promise<void> {
    if (!this.isOpen) return;
    try {
      await Promise.all(this.parts.map((part) => part.stop()));
    } catch (e) {
      if (this.isPlaying) throw e;
    } finally {
      this.clear();
      this.finish('ended');
    }
  }

  next(): Promise<IteratorResult<Item<MessageOfTopic<T>>, undefined>> {
    return this.nextItem() as Promise<IteratorResult<Item<MessageOfTopic<T>>, undefined>>;
  }

  return(): Promise<IteratorResult<Item<MessageOfTopic<T>>, undefined>> {
    this.clear();
    this.finish('ended');
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Ends it as `return` does. */
  throw(error: unknown): Promise<IteratorResult<never, undefined>> {
    void this.return();
    return Promise.reject(error);
  }

  /** For the client only: ends it, with this error if there is one. */
  end(error: TapedeckError | undefined): void {
    if (error === undefined) void this.return();
    else this.finish(error);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  // ── journals ────────────────────────────────────────────────────────────────────────────────

  private get isPlaying(): boolean {
    return this.parts.some((part) => part.isPlaying);
  }

  /** Whether there is more to come, or to wait for. */
  private get isOpen(): boolean {
    const waits = this.pace !== undefined && this.parts.some(({ head }) => head !== undefined);
    return this.isPlaying || waits;
  }

  private part(): ReplayPart {
    return new ReplayPart({
      open: this.host.open,
      arrived: () => this.deliver(),
      ended: () => this.partEnded(),
    });
  }

  private async begin({ welcome }: Connection): Promise<void> {
    const { parts } = this;
    const { requests, speed } = await this.host.plan(welcome.shards);
    if (!this.isPlaying) return;
    this.requests = requests;
    if (speed !== null) {
      this.pace = new Pace(this.host.environment, speed, requests[0]!.from, () => this.deliver());
      if (this.paused) this.pace.pause();
    }
    for (let i = 1; i < requests.length; i++) parts.push(this.part());
    await Promise.all(parts.map(({ opened }) => opened));
    for (const [i, part] of parts.entries()) part.start(requests[i]!);
  }

  private async all(act: (part: ReplayPart) => Promise<void>): Promise<void> {
    await this.begun.catch(() => {});
    await Promise.all(this.parts.map(act));
  }

  /** A journal that was sent to its end is opened again. */
  private async seekPart(part: ReplayPart, i: number, to: { from?: Nanos }): Promise<void> {
    try {
      return await part.seek(to);
    } catch (e) {
      if ((e as TapedeckError).code !== 'no-replay' || !this.isOpen) throw e;
    }
    const again = this.part();
    part.finish('ended');
    this.parts[i] = again;
    await again.opened;
    again.start({ ...this.requests[i]!, from: to.from });
    if (this.paused) await again.pause();
  }

  private clear(): void {
    for (const part of this.parts) part.clear();
  }

  private finish(how: 'ended' | TapedeckError): void {
    for (const part of this.parts) part.finish(how);
    this.pace?.end();
    this.partEnded();
  }

  // ── items ───────────────────────────────────────────────────────────────────────────────────

  private partEnded(): void {
    this.deliver();
    this.tellEnd();
  }

  private tellEnd(): void {
    if (this.hasEnded || this.isOpen) return;
    this.hasEnded = true;
    this.host.ended();
  }

  /** Gives waiting consumers what there is. */
  private deliver(): void {
    if (this.isDelivering) return;
    this.isDelivering = true;
    while (this.waiters.length > 0) {
      const part = this.ready();
      if (part === undefined) break;
      const waiter = this.waiters.shift()!;
      if (part === 'over') waiter.resolve({ done: true, value: undefined });
      else if (part instanceof TapedeckError) waiter.reject(part);
      else waiter.resolve({ done: false, value: take(part) });
    }
    this.isDelivering = false;
  }

  private nextItem(): Promise<IteratorResult<Item, undefined>> {
    const part = this.waiters.length === 0 ? this.ready() : undefined;
    if (part === undefined) {
      return new Promise((resolve, reject) => this.waiters.push({ resolve, reject }));
    }
    if (part === 'over') return Promise.resolve({ done: true, value: undefined });
    if (part instanceof TapedeckError) return Promise.reject(part);
    return Promise.resolve({ done: false, value: take(part) });
  }

  /** The part with the next item; an error, once; or that it is over. Undefined: that is not known yet. */
  private ready(): ReplayPart | TapedeckError | 'over' | undefined {
    if (this.isOver) return 'over';
    if (this.seeking > 0) return undefined;
    let next: ReplayPart | undefined;
    let isOpen = false;
    for (const part of this.parts) {
      const { head, state } = part;
      if (head !== undefined) {
        if (next === undefined || isBefore(head, next.head!)) next = part;
      } else if (state === 'playing') isOpen = true;
      else if (state !== 'ended') return this.failed(state);
    }
    // A journal without a message now may have an earlier one later.
    if (isOpen) return undefined;
    if (next !== undefined) return this.pace?.isDue(next.head!) === false ? undefined : next;
    this.isOver = true;
    this.tellEnd();
    return 'over';
  }

  private failed(error: TapedeckError): TapedeckError {
    this.isOver = true;
    this.clear();
    this.finish(error);
    return error;
  }
}

function take(part: ReplayPart): Item {
  const item = part.head!;
  part.shift();
  return item;
}

/** A declaration has no time: it comes before the message behind it. */
function isBefore(a: Item, b: Item): boolean {
  if (!('receiveTime' in b)) return false;
  return !('receiveTime' in a) || a.receiveTime.compare(b.receiveTime) < 0;
}
