/**
 * Sequencer: the one place where events get their number, and where a turn becomes a batch.
 *
 * Whoever brings something in submits it here. The first submission asks the loop for a turn; the
 * turn takes what has arrived by then, up to a bound, and hands one batch on. Nothing polls: without
 * submissions there is no turn. Bounded: events waiting, events taken a turn. Must hold: every
 * number given is in exactly one batch, in order, and no submission is split between batches.
 */

import type { Fault } from '../../protocol/codes';
import { fault } from '../../protocol/codes';
import type { Execution, SourceEvent } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import type { Nanos } from '../../protocol/time';
import { assert } from '../base/assert';
import { BoundedQueue } from '../base/bounded-queue';
import type { Clock } from '../base/clock';
import { Durations } from '../base/durations';
import type { Batch, OwnedExecution } from './batch';

/** What the sequencer needs of the market. */
export interface SequencedMarket {
  check(
    source: number,
    events: readonly SourceEvent[],
    isDecimal: boolean,
  ): { readonly index: number; readonly fault: Fault } | undefined;
  /** @returns what became of it */
  apply(
    source: number,
    event: SourceEvent,
    out: SequencerOutput,
    continues: boolean,
  ): 'taken' | 'repeated' | 'waiting';
  /** Follows a submission, whose events are those of the batch from a place in the list on. */
  settle?(out: SequencerOutput, events: readonly BatchEvent[], from: number): void;
  /** Ends the batch. */
  seal(): void;
}

export interface SequencerOutput {
  readonly receiveTime: Nanos;
  nextSeq(): number;
  push(event: BatchEvent): void;
  execution(owner: string, message: Execution): void;
}

/**
 * Answer to a submission: the last place it produced (or the newest, if none), or why none of it was
 * taken, and which of its events is at fault (-1: none in particular).
 */
export type SubmitResult =
  | { readonly seq: number; readonly intake: Intake }
  | { readonly index: number; readonly fault: Fault };

/** How many events of a submission had no effect, and why. */
export interface Intake {
  /** The source had sent them before. */
  readonly repeated: number;
  /** They wait until a snapshot of the book comes, or went for want of one. */
  readonly waiting: number;
}

/**
 * Submissions that are taken in their order up to the first that is refused: those behind it are
 * refused as well, untouched.
 */
export interface Train {
  broken: boolean;
}

/** What a submission of a broken train is answered with. */
export const NOT_REACHED: SubmitResult = {
  index: -1,
  fault: fault('invalid-field', 'a submission before it was refused'),
};

export interface SubmitOptions {
  /** When they were received, if that is not now: a recording has its own time. */
  readonly receiveTime?: Nanos;
  /** Whether the source's numbers go on from those of its session before. */
  readonly continues?: boolean;
  /** Whether they came as decimals, which no scales of the source's own make ambiguous. */
  readonly isDecimal?: boolean;
  /** That it is a part of. */
  readonly train?: Train;
}

interface Submission {
  readonly train: Train | undefined;
  readonly source: number;
  readonly continues: boolean;
  readonly isDecimal: boolean;
  readonly events: readonly SourceEvent[];
  /** Done to the market instead, in its turn: what the server itself has to say. */
  readonly act?: (out: SequencerOutput) => void;
  readonly receiveTime: Nanos;
  readonly arrivedMs: number;
  readonly done: (result: SubmitResult) => void;
}

export interface SequencerOptions {
  readonly epoch: number;
  /** The newest place that was given before. */
  readonly lastSeq: number;
  /** The most source events that may wait for a turn. */
  readonly waitingEventsMax: number;
  readonly batchEventsMax: number;
  /** Asks for a turn; `setImmediate` in a server, a hand-turned one in a simulation. */
  readonly schedule: (turn: () => void) => void;
  /** Whether what takes the batches has room. While it has none there is no turn: see `resume`. */
  readonly hasRoom?: () => boolean;
  /** Why nothing may be brought in at all now; undefined when it may. */
  readonly refusal?: () => Fault | undefined;
}

/**
 * Takes each batch; calls back when what it promises to publishers holds. A turn that made no event
 * has no batch, and its answers hold when those of the turns before do.
 */
export type Deliver = (batch: Batch | null, onDurable: () => void) => void;

export class Sequencer {
  readonly epoch: number;
  /** From the arrival of the oldest submission of a batch until its turn. */
  readonly waited = new Durations();
  private readonly options: SequencerOptions;
  private readonly market: SequencedMarket;
  private readonly clock: Clock;
  private readonly deliver: Deliver;
  private readonly waiting: BoundedQueue<Submission>;
  private waitingEvents = 0;
  private scheduled = false;
  private seq: number;
  private events: BatchEvent[] = [];
  private executions: OwnedExecution[] = [];
  private readonly output: SequencerOutput & { receiveTime: Nanos };

  constructor(options: SequencerOptions, market: SequencedMarket, clock: Clock, deliver: Deliver) {
    this.options = options;
    this.epoch = options.epoch;
    this.seq = options.lastSeq;
    this.market = market;
    this.clock = clock;
    this.deliver = deliver;
    // Submissions are bounded where they enter. What the server itself does must not be lost to a
    // queue that its clients filled; it is at most one act for each of them.
    this.waiting = new BoundedQueue(Number.MAX_SAFE_INTEGER);
    this.output = {
      receiveTime: clock.now(),
      nextSeq: () => ++this.seq,
      push: (event) => void this.events.push(event),
      execution: (owner, message) => void this.executions.push({ owner, message }),
    };
  }

  /** The newest place given. */
  get lastSeq(): number {
    return this.seq;
  }

  /**
   * Brings a source's events in; `done` is called once, when they are journaled or refused.
   */
  submit(
    source: number,
    events: readonly SourceEvent[],
    done: (result: SubmitResult) => void,
    options: SubmitOptions = {},
  ): void {
    const { receiveTime = this.clock.now(), continues = false, isDecimal = false, train } = options;
    const refused = this.refusal();
    if (refused !== undefined) {
      done({ index: -1, fault: refused });
      return;
    }
    const most = this.options.waitingEventsMax;
    if (events.length > most) {
      const message = `${events.length} events at once; at most ${most} are taken`;
      done({ index: -1, fault: fault('frame-too-large', message) });
      return;
    }
    if (this.waitingEvents + events.length > most || this.waiting.length >= most) {
      const message = `${this.waitingEvents} events wait already; at most ${most} may`;
      done({ index: -1, fault: fault('overloaded', message) });
      return;
    }
    const arrivedMs = this.clock.monotonicMs();
    this.waiting.push({
      train,
      source,
      continues,
      isDecimal,
      events,
      receiveTime,
      arrivedMs,
      done,
    });
    this.waitingEvents += events.length;
    this.askForTurn();
  }

  /**
   * Does something to the market in its turn, behind all that was submitted before; `done` is called
   * when what it did is journaled.
   */
  act(act: (out: SequencerOutput) => void, done: () => void = () => {}): void {
    const { clock } = this;
    const arrivedMs = clock.monotonicMs();
    this.waiting.push({
      train: undefined,
      source: 0,
      continues: false,
      isDecimal: false,
      events: [],
      act,
      receiveTime: clock.now(),
      arrivedMs,
      done,
    });
    this.askForTurn();
  }

  /** Why nothing may be brought in now, by whatever way; undefined when it may. */
  refusal(): Fault | undefined {
    return this.options.refusal?.();
  }

  /** There is room again. */
  resume(): void {
    if (this.waiting.length > 0) this.askForTurn();
  }

  /** Takes everything that waits, now. For an orderly end. */
  drain(): void {
    while (this.waiting.length > 0) this.turn();
  }

  private askForTurn(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    this.options.schedule(() => {
      this.scheduled = false;
      if (this.options.hasRoom?.() === false) return;
      this.turn();
      if (this.waiting.length > 0) this.askForTurn();
    });
  }

  private turn(): void {
    const first = this.seq + 1;
    const takenMs = this.clock.monotonicMs();
    const arrivedMs = this.waiting.at(0)?.arrivedMs ?? takenMs;
    const answers: (() => void)[] = [];
    for (let taken = 0; taken < this.options.batchEventsMax;) {
      const submission = this.waiting.shift();
      if (submission === undefined) break;
      const count = submission.events.length;
      this.waitingEvents -= count;
      taken += Math.max(1, count);
      const from = this.events.length;
      const result = this.take(submission);
      this.market.settle?.(this.output, this.events, from);
      answers.push(() => submission.done(result));
    }
    this.market.seal();
    const answer = (): void => {
      for (const tell of answers) tell();
    };
    if (this.seq < first) {
      this.deliver(null, answer);
      return;
    }
    const { events, executions } = this;
    this.events = [];
    this.executions = [];
    assert(events.length === this.seq - first + 1, 'a place in the numbering was left empty');
    this.waited.observe(takenMs - arrivedMs);
    const { epoch, seq: lastSeq } = this;
    this.deliver({ epoch, firstSeq: first, lastSeq, events, executions, arrivedMs }, answer);
  }

  private take(submission: Submission): SubmitResult {
    const { source, continues, isDecimal, events, receiveTime, train } = submission;
    if (train?.broken === true) return NOT_REACHED;
    this.output.receiveTime = receiveTime;
    submission.act?.(this.output);
    const refused = this.market.check(source, events, isDecimal);
    if (refused !== undefined) {
      if (train !== undefined) train.broken = true;
      return refused;
    }
    const intake = { repeated: 0, waiting: 0 };
    for (const event of events) {
      const outcome = this.market.apply(source, event, this.output, continues);
      if (outcome !== 'taken') intake[outcome] += 1;
    }
    return { seq: this.seq, intake };
  }
}
