/**
 * Submission: what a source brings in at once, from its arrival until it is taken or refused.
 *
 * All of it is checked before any of it is taken. A short one is both in one go; a long one takes as many
 * goes as its cost asks for, and holds meanwhile what its checks have found.
 */

import type { SourceEvent } from '../../protocol/messages';
import type { Nanos } from '../../protocol/time';
import type { LaneKey, Waiting } from './lanes';
import type {
  Admission,
  Intake,
  SequencedMarket,
  SequencerOutput,
  SubmitResult,
  Submitter,
  Train,
} from './sequencer';

/** So many levels of a book cost what one event costs. */
const LEVELS_A_COST = 32;
/** A longer submission is taken a part at a time; */
const WHOLE_COST_MAX = 32;
/** which costs so much at least, but for the last one. A turn is to be able to end between two of them. */
const PART_COST = 16;
/** A definition costs more: it goes to every session, and those of a wildcard join its topics in that turn. */
const DEFINITION_COST = 16;
/** To check an event costs such a part of what it costs to take it. */
const CHECK_SHARE = 1 / 8;

/** Does something, or a part of it. @returns a number: what is left of its cost, if it is to be called again */
export type Act = (out: SequencerOutput) => unknown;

interface SubmissionParts {
  readonly lane: LaneKey;
  /** With whom it shares the turns. */
  readonly owner: LaneKey;
  readonly from: Submitter;
  readonly events: readonly SourceEvent[];
  /** Done to the market instead: what the server itself has to say. */
  readonly act?: Act;
  readonly train: Train | undefined;
  readonly receiveTime: Nanos;
  readonly arrivedMs: number;
  readonly done: (result: SubmitResult) => void;
}

type Refusal = Extract<SubmitResult, { readonly index: number }>;

export class Submission implements Waiting {
  readonly parts: SubmissionParts;
  readonly lane: LaneKey;
  readonly owner: LaneKey;
  /** What is left of it; 0 when it is done. */
  cost: number;
  used = 0;
  private readonly isWhole: boolean;
  private admission: Admission | undefined;
  private checked = 0;
  private taken = 0;
  private readonly intake = { repeated: 0, waiting: 0 };

  constructor(parts: SubmissionParts) {
    this.parts = parts;
    this.lane = parts.lane;
    this.owner = parts.owner;
    this.cost = Math.max(1, costOf(parts.events));
    this.isWhole = this.cost <= WHOLE_COST_MAX;
    if (!this.isWhole) this.cost *= 1 + CHECK_SHARE;
  }

  /** Does a part of it, or all. @returns the outcome, when it is done */
  work(market: SequencedMarket, out: SequencerOutput): Intake | Refusal | undefined {
    const { act } = this.parts;
    if (act !== undefined) return this.act(act, out);
    return this.isWhole ? this.takeWhole(market, out) : this.takePart(market, out);
  }

  /** It is done, whatever is left of it. */
  end<R>(outcome: R): R {
    this.admission?.close();
    this.cost = 0;
    return outcome;
  }

  private act(act: Act, out: SequencerOutput): Intake | undefined {
    const left = act(out);
    if (typeof left !== 'number' || left <= 0) return this.end(this.intake);
    this.cost = left;
    return undefined;
  }

  private takeWhole(market: SequencedMarket, out: SequencerOutput): Intake | Refusal {
    const { from, events } = this.parts;
    this.admission = market.admit(from, events, false);
    const refused = this.admission.check(events.length);
    if (refused !== undefined) return this.end(refused);
    for (const event of events) this.apply(event, market, out);
    return this.end(this.intake);
  }

  private takePart(market: SequencedMarket, out: SequencerOutput): Intake | Refusal | undefined {
    const { from, events } = this.parts;
    this.admission ??= market.admit(from, events, true);
    if (this.checked < events.length) {
      this.checked = this.partEnd(this.checked, CHECK_SHARE);
      const refused = this.admission.check(this.checked);
      return refused && this.end(refused);
    }
    const to = this.partEnd(this.taken, 1);
    while (this.taken < to) this.apply(events[this.taken++]!, market, out);
    return this.taken === events.length ? this.end(this.intake) : undefined;
  }

  private apply(event: SourceEvent, market: SequencedMarket, out: SequencerOutput): void {
    const { source, continues, owner } = this.parts.from;
    const outcome = market.apply(source, event, out, continues, owner);
    if (outcome !== 'taken') this.intake[outcome] += 1;
  }

  /** Where a part ends that begins there; what it costs is used. */
  private partEnd(begin: number, share: number): number {
    const { events } = this.parts;
    let to = begin;
    let used = 0;
    while (to < events.length && used < PART_COST) used += costOfEvent(events[to++]!) * share;
    this.cost = Math.max(share, this.cost - used); // it is done when the last one is taken
    return to;
  }
}

/** About what it costs to take events, where one without levels costs 1. */
function costOf(events: readonly SourceEvent[]): number {
  let cost = 0;
  for (const event of events) cost += costOfEvent(event);
  return cost;
}

function costOfEvent(event: SourceEvent): number {
  if (event.type === 'instrument') return DEFINITION_COST;
  if (event.type !== 'book') return 1;
  return 1 + Math.floor((event.bids.length + event.asks.length) / (2 * LEVELS_A_COST));
}
