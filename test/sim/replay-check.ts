/**
 * Replay check: a replay must bring the events of the range, one by one, from where it began or was moved to, and
 * nothing while it is paused.
 */

import type { Message, MessageOf } from '../../protocol/messages';
import { Wanted } from './source';
import { hold, type Sequenced, type Truth } from './truth';

type Request = MessageOf<'replay'>;

export class ReplayCheck {
  readonly startId: number;
  readonly topics: readonly string[];
  playbacksOpened = 0;
  /** A stop was requested: it may end at any message. */
  isStopping = false;
  /** Paused, as far as the server has confirmed. */
  isPaused = false;
  /** The newest seq when the replay was accepted. */
  private lastSeq = 0;
  private readonly truth: Truth;
  private readonly wanted: Wanted;
  private readonly request: Request;
  private toSeq = 0;
  private nextSeq = 1;
  private fromSeq = 1;
  private hasBegun = false;
  private readonly seeks = new Map<number, Request>();

  constructor(truth: Truth, request: Request) {
    this.truth = truth;
    this.request = request;
    this.startId = request.id;
    this.topics = request.topics;
    this.wanted = new Wanted(request.topics);
  }

  /** The server has accepted the replay. */
  accepted(): void {
    this.lastSeq = this.truth.lastSeq;
    this.goTo(this.request);
  }

  seek(request: Request): void {
    this.seeks.set(request.id, request);
  }

  /** An answer to a request of the replay. @returns whether the replay is over */
  answered(id: number): boolean {
    const seek = this.seeks.get(id);
    if (seek !== undefined) this.goTo(seek);
    if (id !== this.startId) return false;
    const left = this.isStopping ? undefined : this.peek();
    hold(left === undefined, () => ['a replay ended early', left, this.request, this.toSeq]);
    return true;
  }

  define(m: MessageOf<'instrument'>): void {
    const { nextSeq } = this;
    const next = this.peek();
    // The others belong to the opening, are live, or are definitions that an execution needs.
    hold(Bun.deepEquals(m, this.truth.events[m.seq - 1]), () => ['is no definition', m]);
    if (!this.isPaused && next === this.truth.events[m.seq - 1]) this.nextSeq = m.seq + 1;
    else this.nextSeq = nextSeq;
  }

  take(m: Sequenced): void {
    hold(!this.isPaused, () => ['played while paused', m]);
    const next = this.peek();
    if (m.type === 'book' && m.seq < this.fromSeq && m.prevSeq === 0 && !this.hasBegun) {
      const seq = this.truth.head(`book:${m.symbol}`, this.fromSeq - 1);
      hold(m.seq === seq && this.wanted.hasBook(m.symbol), () => ['the book before', seq, m]);
      return this.truth.check(`book:${m.symbol}`, m);
    }
    hold(Bun.deepEquals(next, m), () => ['plays other than was', m, next]);
    this.hasBegun = true;
    this.nextSeq = m.seq + 1;
    this.playbacksOpened += 1;
  }

  private goTo({ from, fromSeq }: Request): void {
    const { to, toSeq } = this.request;
    const positions = {
      from,
      to,
      fromSeq: Math.max(1, fromSeq ?? 1),
      toSeq: Math.min(toSeq ?? this.lastSeq, this.lastSeq),
    };
    const range = this.wanted.range(this.truth, positions);
    this.nextSeq = range.fromSeq;
    this.fromSeq = range.fromSeq;
    this.toSeq = range.toSeq;
    this.hasBegun = false;
  }

  /** The next event of the range. */
  private peek(): Message | undefined {
    while (this.nextSeq <= this.toSeq) {
      const event = this.truth.events[this.nextSeq - 1]!;
      if (this.wanted.has(event) && event.type !== 'command' && event.type !== 'snapshot')
        return event;
      this.nextSeq += 1;
    }
    return undefined;
  }
}
