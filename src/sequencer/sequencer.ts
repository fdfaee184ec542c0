/**
 * Sequencer: the one place where events get their number, and where a turn becomes a batch.
 *
 * Whoever brings something in submits it here. The first submission asks the loop for a turn; the
 * turn takes what has arrived by then, up to a bound of cost and of time, and hands one batch on. Nothing
 * polls: without submissions there is no turn. When more waits than a turn takes, those who brought it
 * in share the turns, by their keys first, then by their sessions (lanes.ts). A long submission is checked and then taken over several turns, between
 * which those of others come; what was checked of it cannot become wrong meanwhile, so it is still taken
 * whole or not at all. Bounded: events waiting, cost and time of a turn. Must hold: every number given is in
 * exactly one batch, in order.
 */

import type { Fault } from '../../protocol/codes';
import { fault } from '../../protocol/codes';
import type { Execution, SourceEvent } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import type { Nanos } from '../../protocol/time';
import { assert } from '../base/assert';
import type { Clock } from '../base/clock';
import { Durations } from '../base/durations';
import type { Batch, OwnedExecution } from './batch';
import { Lanes, type LaneKey } from './lanes';
import { Submission, type Act } from './submission';

/** Whether a source's events may enter, found out a part at a time. */
export interface Admission {
  /** The first fault among the events behind those that were checked, up to `to`. */
  check(to: number): { readonly index: number; readonly fault: Fault } | undefined;
  /** The events are taken, or are not to be: others may have what was held for them. */
  close(): void;
}

/** Who brings events in. */
export interface Submitter {
  readonly source: number;
  /** Whose key it is; without one the address. */
  readonly owner: string;
  /** Whether the source's numbers go on from those of its session before. */
  readonly continues: boolean;
  /** Whether they came as decimals, which no scales of the source's own make ambiguous. */
  readonly isDecimal: boolean;
}

/** What the sequencer needs of the market. */
export interface SequencedMarket {
  /**
   * Begins to check a submission.
   * @param holds whether what was checked must stay true until `close`, whatever others bring in
   */
  admit(from: Submitter, events: readonly SourceEvent[], holds: boolean): Admission;
  /** @returns what became of it */
  apply(
    source: number,
    event: SourceEvent,
    out: SequencerOutput,
    continues: boolean,
    owner: string,
  ): 'taken' | 'repeated' | 'waiting';
  /** Follows what was taken of a submission, whose events are those of the batch from a place in the list on. */
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
  /** Whose key it is that brings them in; without one the address. */
  readonly owner?: string;
  /** That it is a part of. */
  readonly train?: Train;
}

export interface SequencerOptions {
  readonly epoch: number;
  /** The newest place that was given before. */
  readonly lastSeq: number;
  /** The most source events that may wait for a turn; twice as many with those of modest sources. */
  readonly waitingEventsMax: number;
  /** The most that a turn takes: source events, of which one with many levels counts for several. */
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

/**
 * A turn is to take no longer, about. What it takes has yet to be written and pushed, as a rule in the same
 * turn: so it takes nothing more when its part of that time is over, which follows from the turns before.
 */
const TURN_MS = 2.5;
/** That part, before any turn has shown it; */
const TAKING_FIRST = 0.8;
/** and the least: a batch has its own price, however little is in it. */
const TAKING_LEAST = 0.1;
/** By so much turns count less with each one behind them. */
const FADING = 0.95;
/** A client of whom so small a part of what may wait waits is not refused for what others bring. */
const MODEST_PART = 64;
/** Of what may wait in all, when of one client so much does it is crowded. */
const CROWDED_PART = 1 / 4;

/** What a turn took. */
interface Taken {
  /** The first place that it may have given. */
  readonly first: number;
  readonly takenMs: number;
  readonly arrivedMs: number;
  readonly answers: readonly (() => void)[];
}

export class Sequencer {
  readonly epoch: number;
  /** From the arrival of the oldest submission of a batch until its turn. */
  readonly waited = new Durations();
  private readonly options: SequencerOptions;
  private readonly market: SequencedMarket;
  private readonly clock: Clock;
  private readonly deliver: Deliver;
  private readonly waiting = new Lanes<Submission>();
  private waitingEvents = 0;
  /** Of each key, address or source without either, by which it counts as modest. */
  private readonly waitingOf = new Map<LaneKey, number>();
  private scheduled = false;
  private seq: number;
  private events: BatchEvent[] = [];
  private executions: OwnedExecution[] = [];
  /** Of the newest turns: how long they were, and how long of that they took events. */
  private readonly lately = { takingMs: 0, wholeMs: 0 };
  private readonly output: SequencerOutput & { receiveTime: Nanos };

  constructor(options: SequencerOptions, market: SequencedMarket, clock: Clock, deliver: Deliver) {
    this.options = options;
    this.epoch = options.epoch;
    this.seq = options.lastSeq;
    this.market = market;
    this.clock = clock;
    this.deliver = deliver;
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
    const { receiveTime = this.clock.now(), continues = false, isDecimal = false } = options;
    const { owner = '', train } = options;
    const refused = this.refusal() ?? this.crowded(clientOf({ owner, source }), events.length);
    if (refused !== undefined) {
      done({ index: -1, fault: refused });
      return;
    }
    const arrivedMs = this.clock.monotonicMs();
    const from = { source, owner, continues, isDecimal };
    const client = clientOf(from);
    const parts = {
      lane: source,
      owner: client,
      from,
      events,
      train,
      receiveTime,
      arrivedMs,
      done,
    };
    this.waiting.push(new Submission(parts));
    this.count(client, events.length, 1);
    this.askForTurn();
  }

  /** A submission of a client waits with its events, or (-1) no more. */
  private count(client: LaneKey, events: number, by: 1 | -1): void {
    this.waitingEvents += by * events;
    const waiting = (this.waitingOf.get(client) ?? 0) + by * Math.max(1, events);
    if (waiting === 0) this.waitingOf.delete(client);
    else this.waitingOf.set(client, waiting);
  }

  /** Why so many events of a client may not wait, over all its sources; undefined when they may. */
  private crowded(client: LaneKey, count: number): Fault | undefined {
    const most = this.options.waitingEventsMax;
    if (count > most) {
      return fault('frame-too-large', `${count} events at once; at most ${most} are taken`);
    }
    const isModest = (this.waitingOf.get(client) ?? 0) + count <= most / MODEST_PART;
    const room = isModest ? 2 * most : most;
    if (this.waitingEvents + count <= room && this.waiting.length < room) return undefined;
    return fault('overloaded', `${this.waitingEvents} events wait already; at most ${room} may`);
  }

  /**
   * Does something to the market in its turn, behind all that was submitted before in its lane; `done` is
   * called when what it did is journaled. What the server itself does is never refused: it is at most one
   * act for each of its clients.
   * @param lane the source or owner that it is done for @param owner with whom that shares the turns
   */
  act(act: Act, done: () => void = () => {}, lane: LaneKey = 0, owner: LaneKey = lane): void {
    const receiveTime = this.clock.now();
    const arrivedMs = this.clock.monotonicMs();
    const parts = {
      lane,
      owner,
      from: NOBODY,
      events: [],
      train: undefined,
      receiveTime,
      arrivedMs,
      done,
    };
    this.waiting.push(new Submission({ ...parts, act }));
    this.askForTurn();
  }

  /** So much of a client waits that it is better not to bring in more: where it is refused, it is at once. */
  isCrowded(client: LaneKey): boolean {
    const waiting = this.waitingOf.get(client) ?? 0;
    return waiting >= this.options.waitingEventsMax * CROWDED_PART && this.refusal() === undefined;
  }

  /** Whether anything of a source waits for its turn. */
  isWaiting(source: number): boolean {
    return this.waiting.costOf(source) > 0;
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
    let arrivedMs = takenMs;
    const answers: (() => void)[] = [];
    const takingMs = TURN_MS * this.takingShare;
    this.waiting.take(this.options.batchEventsMax, (submission) => {
      const { parts } = submission;
      arrivedMs = Math.min(arrivedMs, parts.arrivedMs);
      const result = this.work(submission);
      if (result !== undefined) {
        if (parts.act === undefined) this.count(parts.owner, parts.events.length, -1);
        answers.push(() => parts.done(result));
      }
      return this.clock.monotonicMs() - takenMs < takingMs;
    });
    const doneMs = this.clock.monotonicMs();
    this.handOn({ first, takenMs, arrivedMs, answers });
    const { lately } = this;
    lately.takingMs = FADING * lately.takingMs + doneMs - takenMs;
    lately.wholeMs = FADING * lately.wholeMs + this.clock.monotonicMs() - takenMs;
  }

  /** How much of a turn may go into taking events. */
  private get takingShare(): number {
    const { takingMs, wholeMs } = this.lately;
    return wholeMs === 0 ? TAKING_FIRST : Math.max(TAKING_LEAST, takingMs / wholeMs);
  }

  /** Ends a turn: what it took is a batch. */
  private handOn({ first, takenMs, arrivedMs, answers }: Taken): void {
    this.market.seal();
    const answer = (): void => {
      for (const tell of answers) tell();
    };
    if (this.seq < first) {
      if (answers.length > 0) this.deliver(null, answer);
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

  /** Does a part of it, or all. @returns the answer, when it is done */
  private work(submission: Submission): SubmitResult | undefined {
    const { train, receiveTime } = submission.parts;
    submission.used = 1;
    if (train?.broken === true) return submission.end(NOT_REACHED);
    const from = this.events.length;
    const costBefore = submission.cost;
    this.output.receiveTime = receiveTime;
    const outcome = submission.work(this.market, this.output);
    const { seq } = this;
    // An order that trades with many others costs as many.
    submission.used = Math.max(costBefore - submission.cost, this.events.length - from);
    this.market.settle?.(this.output, this.events, from);
    if (outcome === undefined) return undefined;
    if (!('fault' in outcome)) return { seq, intake: outcome };
    if (train !== undefined) train.broken = true;
    return outcome;
  }
}

const NOBODY: Submitter = { source: 0, owner: '', continues: false, isDecimal: false };

/** Who counts as one client: its sources share what it may have waiting. */
function clientOf({ owner, source }: Pick<Submitter, 'owner' | 'source'>): LaneKey {
  return owner === '' ? source : owner;
}
