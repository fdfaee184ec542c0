/**
 * Sequencer: the one place where events get their sequence number, and where a turn becomes a batch.
 *
 * Everything that enters the market is submitted here. The first submission schedules a turn on the event loop.
 * The turn takes what has arrived by then, up to a bound of cost and of time, and delivers one batch. Nothing
 * polls: without submissions there is no turn. When more waits than one turn takes, the clients share the turns,
 * by key first, then by session (lanes.ts). A long submission is checked and then taken over several turns, with
 * those of other clients between. Its checks stay valid meanwhile, so it is still taken as a whole or refused.
 *
 * Bounds: waiting events, cost and time of a turn. Invariant: every sequence number is in exactly one batch, in
 * order.
 */

import type { Fault } from '../../protocol/codes';
import { fault } from '../../protocol/codes';
import type { SourceEvent } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import type { Nanos } from '../../protocol/time';
import { assert } from '../base/assert';
import type { Clock } from '../base/clock';
import { Durations } from '../base/durations';
import type { Batch, OwnedExecution } from '../base/contracts/batch';
import { Lanes, type LaneKey } from './lanes';
import { Submission, type Act } from './submission';
import type { SubmitOptions, SubmitResult } from '../base/contracts/submission';
import type { Submitter, SequencedMarket, SequencerOutput } from './contract';

/** The answer to a submission behind one that was refused in the same train. */
export const NOT_REACHED: SubmitResult = {
  index: -1,
  fault: fault('invalid-field', 'a submission before it was refused'),
};

export interface SequencerOptions {
  readonly epoch: number;
  /** The newest sequence number of the epoch so far. */
  readonly lastSeq: number;
  /** The most source events that may wait for a turn. Clients that have few waiting may double it. */
  readonly waitingEventsMax: number;
  /** The most source events that a turn takes; one with many levels counts as several. */
  readonly batchEventsMax: number;
  /** Schedules a turn: `setImmediate` in a server, a steered queue in a simulation. */
  readonly schedule: (turn: () => void) => void;
  /** Whether the receiver of batches has room. While it has none, no turn runs; see `resume`. */
  readonly hasRoom?: () => boolean;
  /** Why nothing can be submitted now; undefined if it can. */
  readonly refusal?: () => Fault | undefined;
  /** Where to count `waited`. */
  readonly waited?: Durations | undefined;
}

/**
 * Receives each batch, and calls back once it is as durable as the setting demands. A turn without events has no
 * batch; its answers are due when those of the turns before it are.
 */
export type Deliver = (batch: Batch | null, onDurable: () => void) => void;

/**
 * The target length of a turn in milliseconds. It includes writing and pushing the batch. So the turn stops taking
 * events after a share of this time, which is estimated from the last turns.
 */
const TURN_MS = 2.5;
/** That share before the first turn. */
const TAKING_FIRST = 0.8;
/** Its minimum: even a small batch has a fixed cost. */
const TAKING_LEAST = 0.1;
/** The weight of a past turn shrinks by this factor with each new turn. */
const FADING = 0.95;
/** A client with less than 1/64 of `waitingEventsMax` waiting is not refused because of other clients. */
const MODEST_PART = 64;
/** With this share of `waitingEventsMax` waiting, a client is crowded. */
const CROWDED_PART = 1 / 4;

/** What a turn took. */
interface Taken {
  /** The first sequence number that it could assign. */
  readonly first: number;
  readonly takenMs: number;
  readonly arrivedMs: number;
  readonly answers: readonly (() => void)[];
}

export class Sequencer {
  readonly epoch: number;
  /** Time from the arrival of the oldest submission of a batch to its turn. */
  readonly waited: Durations;
  private readonly options: SequencerOptions;
  private readonly market: SequencedMarket;
  private readonly clock: Clock;
  private readonly deliver: Deliver;
  private readonly waiting = new Lanes<Submission>();
  private waitingEvents = 0;
  /** Waiting events of each client. */
  private readonly waitingOf = new Map<LaneKey, number>();
  private scheduled = false;
  private seq: number;
  private events: BatchEvent[] = [];
  private executions: OwnedExecution[] = [];
  /** Weighted sums over the last turns: time spent taking events, and time in all. */
  private readonly lately = { takingMs: 0, wholeMs: 0 };
  private readonly output: SequencerOutput & { receiveTime: Nanos };

  constructor(options: SequencerOptions, market: SequencedMarket, clock: Clock, deliver: Deliver) {
    this.options = options;
    this.waited = options.waited ?? new Durations();
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

  /** The newest assigned sequence number. */
  get lastSeq(): number {
    return this.seq;
  }

  /** Submits a source's events. `done` is called once, when they are journaled or refused. */
  submit(
    source: number,
    events: readonly SourceEvent[],
    done: (result: SubmitResult) => void,
    options: SubmitOptions = {},
  ): void {
    const { receiveTime = this.clock.now(), continues = false, isDecimal = false } = options;
    const { owner = '', train, worked } = options;
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
      worked,
      receiveTime,
      arrivedMs,
      done,
    };
    this.waiting.push(new Submission(parts));
    this.count(client, events.length, 1);
    this.scheduleTurn();
  }

  /** Counts a submission of a client that begins (1) or ends (-1) to wait. */
  private count(client: LaneKey, events: number, by: 1 | -1): void {
    this.waitingEvents += by * events;
    const waiting = (this.waitingOf.get(client) ?? 0) + by * Math.max(1, events);
    if (waiting === 0) this.waitingOf.delete(client);
    else this.waitingOf.set(client, waiting);
  }

  /** Why so many more events of a client cannot wait; undefined if they can. */
  private crowded(client: LaneKey, count: number): Fault | undefined {
    const most = this.options.waitingEventsMax;
    if (count > most) {
      return fault('frame-too-large', `${count} events at once; at most ${most} are accepted`);
    }
    const isModest = (this.waitingOf.get(client) ?? 0) + count <= most / MODEST_PART;
    const room = isModest ? 2 * most : most;
    if (this.waitingEvents + count <= room && this.waiting.length < room) return undefined;
    return fault('overloaded', `${this.waitingEvents} events wait already; at most ${room} may`);
  }

  /**
   * Runs an action of the server on the market, behind everything submitted before in its lane. `done` is called
   * when its effects are journaled. It is never refused; the server has at most one at a time for each client.
   * @param lane the source or owner that it is done for
   * @param owner the client that this lane belongs to
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
    this.scheduleTurn();
  }

  /** Whether so much of a client waits that its sockets should not be read. While everything is refused, they are read, so that it learns of it at once. */
  isCrowded(client: LaneKey): boolean {
    const waiting = this.waitingOf.get(client) ?? 0;
    return waiting >= this.options.waitingEventsMax * CROWDED_PART && this.refusal() === undefined;
  }

  /** Whether anything of a source waits. */
  isWaiting(source: number): boolean {
    return this.waiting.costOf(source) > 0;
  }

  /** Why nothing can be submitted now; undefined if it can. */
  refusal(): Fault | undefined {
    return this.options.refusal?.();
  }

  /** The receiver of batches has room again. */
  resume(): void {
    if (this.waiting.length > 0) this.scheduleTurn();
  }

  /** Takes everything that waits, at once. For an orderly shutdown. */
  drain(): void {
    while (this.waiting.length > 0) this.turn();
  }

  private scheduleTurn(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    this.options.schedule(() => {
      this.scheduled = false;
      if (this.options.hasRoom?.() === false) return;
      this.turn();
      if (this.waiting.length > 0) this.scheduleTurn();
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
    this.deliverBatch({ first, takenMs, arrivedMs, answers });
    const { lately } = this;
    lately.takingMs = FADING * lately.takingMs + doneMs - takenMs;
    lately.wholeMs = FADING * lately.wholeMs + this.clock.monotonicMs() - takenMs;
  }

  /** The share of a turn that may be spent taking events. */
  private get takingShare(): number {
    const { takingMs, wholeMs } = this.lately;
    return wholeMs === 0 ? TAKING_FIRST : Math.max(TAKING_LEAST, takingMs / wholeMs);
  }

  /** Ends a turn: delivers what it took as a batch. */
  private deliverBatch({ first, takenMs, arrivedMs, answers }: Taken): void {
    this.market.seal();
    const answer = (): void => {
      for (const send of answers) send();
    };
    if (this.seq < first) {
      if (answers.length > 0) this.deliver(null, answer);
      return;
    }
    const { events, executions } = this;
    this.events = [];
    this.executions = [];
    assert(events.length === this.seq - first + 1, 'a sequence number was not used');
    this.waited.observe(takenMs - arrivedMs);
    const { epoch, seq: lastSeq } = this;
    this.deliver({ epoch, firstSeq: first, lastSeq, events, executions, arrivedMs }, answer);
  }

  /** Works on a submission. @returns the answer when it is done */
  private work(submission: Submission): SubmitResult | undefined {
    const { train, receiveTime, worked } = submission.parts;
    submission.used = 1;
    if (train?.broken === true) return submission.end(NOT_REACHED);
    const from = this.events.length;
    const firstSeq = this.seq + 1;
    const costBefore = submission.cost;
    this.output.receiveTime = receiveTime;
    const outcome = submission.work(this.market, this.output);
    const { seq } = this;
    // An order that trades with many others costs as much as they do.
    submission.used = Math.max(costBefore - submission.cost, this.events.length - from);
    this.market.settle?.(this.output, this.events, from);
    if (outcome === undefined) {
      if (seq >= firstSeq) worked?.({ firstSeq, lastSeq: seq, intake: null });
      return undefined;
    }
    if (!('fault' in outcome)) {
      worked?.({ firstSeq, lastSeq: seq, intake: outcome });
      return { seq, intake: outcome };
    }
    if (train !== undefined) train.broken = true;
    return outcome;
  }
}

const NOBODY: Submitter = { source: 0, owner: '', continues: false, isDecimal: false };

/** All sources of an owner are one client and share its allowance; a source without an owner is its own client. */
function clientOf({ owner, source }: Pick<Submitter, 'owner' | 'source'>): LaneKey {
  return owner === '' ? source : owner;
}
