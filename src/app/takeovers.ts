/**
 * Takeovers: a new session of a key takes over the symbols of an older session whose connection is dead.
 *
 * A publisher whose connection broke silently holds its symbols until the break is noticed. When another session of
 * the same key publishes one of them, the holder is sent a ping. If it gives no sign of life within `takeoverMs`, it
 * is closed. What the new session published waits meanwhile, in order, and enters after the end of the old session,
 * so the events of both are never mixed. A holder that answers keeps its symbols.
 * Bounds: waiting bytes of one session and of all; one question to a holder at a time, and none for `takeoverMs`
 * after an answer.
 */

import { fault, type Fault } from '../../protocol/codes';
import type { MessageOf, SourceEvent } from '../../protocol/messages';
import type { Clock } from '../base/clock';
import { sizeOf } from '../broadcast/backlog/backlog';
import type { SubmitResult } from '../base/contracts/submission';

/** How many bytes may wait, about. */
const SESSION_BYTES_MAX = 4_194_304;
const ALL_BYTES_MAX = 67_108_864;

type Done = (result: SubmitResult) => void;
type Published = Pick<MessageOf<'publish'>, 'events' | 'continues'>;

/** The part of a session that takeovers need. */
export interface RemotePublisher {
  /** The name of its key; null without one. */
  readonly key: string | null;
  /** What it has sent so far. */
  readonly received: { readonly frames: number };
  /** Whether something that it sent is not read yet; it may be its answer to a ping. */
  readonly intake: { readonly isHolding: boolean };
  shut(reason: 'unresponsive'): void;
}

export interface TakeoverStages {
  readonly clock: Clock;
  /** How long a holder has for its sign of life. */
  readonly takeoverMs: number;
  /** The source that feeds a symbol; 0: none does. */
  readonly holderOf: (symbol: string) => number;
  /** The session of a source; undefined: it has ended. */
  readonly publisher: (source: number) => RemotePublisher | undefined;
  /** Sends the session of a source a ping. */
  readonly ask: (source: number) => void;
  /** Resolves when a source that has gone no longer holds any symbol. */
  readonly released: (source: number) => Promise<void>;
  /** @param owner the client that the work counts for */
  readonly submit: (source: number, owner: string, published: Published, done: Done) => void;
}

interface Waiting {
  readonly owner: string;
  readonly published: Published;
  readonly bytes: number;
  readonly done: Done;
}

/** A question to a holder that has no answer yet. */
interface Question {
  readonly answer: Promise<boolean>;
  lives(): void;
}

export class Takeovers {
  private readonly stages: TakeoverStages;
  /** What waits, by source of the new session. */
  private readonly queues = new Map<number, { waiting: Waiting[]; bytes: number }>();
  private bytes = 0;
  private readonly questions = new Map<number, Question>();
  /** When a holder last gave a sign of life, while that still counts. */
  private readonly livedMs = new Map<number, number>();

  constructor(stages: TakeoverStages) {
    this.stages = stages;
  }

  submit(source: number, owner: string, published: Published, done: Done): void {
    const queue = this.queues.get(source);
    if (queue === undefined && this.holdersOf(source, published.events).length === 0) {
      this.stages.submit(source, owner, published, done);
      return;
    }
    const bytes = sizeOf(published.events);
    if ((queue?.bytes ?? 0) + bytes > SESSION_BYTES_MAX || this.bytes + bytes > ALL_BYTES_MAX) {
      return done({ index: -1, fault: tooMuch() });
    }
    this.bytes += bytes;
    if (queue !== undefined) {
      queue.bytes += bytes;
      queue.waiting.push({ owner, published, bytes, done });
      return;
    }
    this.queues.set(source, { waiting: [{ owner, published, bytes, done }], bytes });
    void this.serve(source);
  }

  /** Ends a session that gives no sign of life: another member of the cluster has one that wants its symbols. */
  challenge(source: number): void {
    if (this.stages.publisher(source) === undefined || this.isKnownToLive(source)) return;
    if (!this.questions.has(source)) void this.settle(source);
  }

  /** A session has answered a ping. */
  heard(source: number): void {
    this.questions.get(source)?.lives();
  }

  /** A session has gone. */
  leave(source: number): void {
    this.questions.get(source)?.lives(); // there is nothing to take from it any more
    this.livedMs.delete(source);
    this.bytes -= this.queues.get(source)?.bytes ?? 0;
    this.queues.delete(source);
  }

  /** Submits what waits of a session, in order; each part when no other session of its key holds its symbols. */
  private async serve(source: number): Promise<void> {
    for (;;) {
      const queue = this.queues.get(source);
      const next = queue?.waiting[0];
      if (queue === undefined) return;
      if (next === undefined) return void this.queues.delete(source);
      const holders = this.holdersOf(source, next.published.events);
      if (holders.length > 0) {
        await Promise.all(holders.map((holder) => this.settle(holder)));
        continue;
      }
      queue.waiting.shift();
      queue.bytes -= next.bytes;
      this.bytes -= next.bytes;
      this.stages.submit(source, next.owner, next.published, next.done);
    }
  }

  /** Other sessions of its key that hold one of the symbols and have not recently given a sign of life. */
  private holdersOf(source: number, events: readonly SourceEvent[]): number[] {
    const { holderOf, publisher } = this.stages;
    const key = publisher(source)?.key ?? null;
    if (key === null) return [];
    const holders = new Set<number>();
    let before = '';
    for (const { symbol } of events) {
      if (symbol === before) continue;
      before = symbol;
      const holder = holderOf(symbol);
      if (holder === 0 || holder === source || holders.has(holder)) continue;
      if (publisher(holder)?.key === key && !this.isKnownToLive(holder)) holders.add(holder);
    }
    return [...holders];
  }

  private isKnownToLive(holder: number): boolean {
    const atMs = this.livedMs.get(holder);
    if (atMs === undefined) return false;
    return this.stages.clock.monotonicMs() - atMs < this.stages.takeoverMs;
  }

  /** Ends a holder that gives no sign of life. */
  private async settle(holder: number): Promise<void> {
    const isAlive = await (this.questions.get(holder) ?? this.ask(holder)).answer;
    const { clock, publisher, released } = this.stages;
    const living = publisher(holder);
    if (isAlive && living !== undefined) {
      this.livedMs.set(holder, clock.monotonicMs());
      return;
    }
    living?.shut('unresponsive');
    await released(holder); // many symbols are released in parts, and others have their turns in between
  }

  private ask(holder: number): Question {
    const { clock, publisher, takeoverMs } = this.stages;
    const sent = (): number | undefined => publisher(holder)?.received.frames;
    const before = sent();
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const answered = (isAlive: boolean): void => {
      clearTimeout(timer);
      this.questions.delete(holder);
      resolve(isAlive);
    };
    // Anything that it sends is a sign of life, whether it is read yet or not.
    const isBusy = (): boolean => publisher(holder)?.intake.isHolding === true;
    const timer = clock.turns.later('look', takeoverMs, () =>
      answered(sent() !== before || isBusy()),
    );
    const question = { answer: promise, lives: () => answered(true) };
    this.questions.set(holder, question);
    this.stages.ask(holder);
    return question;
  }
}

function tooMuch(): Fault {
  const message = 'too much waits for the answer of another connection that feeds the same symbols';
  return fault('overloaded', message);
}
