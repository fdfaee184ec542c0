/**
 * Submission: events that a source submits together, from their arrival until they are taken or refused.
 *
 * All events are checked before any is applied. A short submission is checked and applied in one go. A long one is
 * done in parts, each of a bounded cost; what its checks found stays reserved until it ends.
 */

import type { SourceEvent } from '../../protocol/messages';
import type { Nanos } from '../../protocol/time';
import type { LaneKey, Waiting } from './lanes';
import type { Intake, SubmitResult, Train, Worked } from '../base/contracts/submission';
import type { Admission, SequencedMarket, SequencerOutput, Submitter } from './contract';

/** This many levels of a book cost as much as one event. */
const LEVELS_A_COST = 32;
/** A submission that costs more is done in parts. */
const WHOLE_COST_MAX = 32;
/** The cost of a part (the last may be smaller). A turn can end between two parts. */
const PART_COST = 16;
/** A definition costs more: it goes to every session, and sessions with a wildcard join its topics in that turn. */
const DEFINITION_COST = 16;
/** Checking an event costs this share of applying it. */
const CHECK_SHARE = 1 / 8;

/** Does an action, or a part of it. @returns a number, the remaining cost, if it must be called again */
export type Act = (out: SequencerOutput) => unknown;

interface SubmissionParts {
  readonly lane: LaneKey;
  /** The client that it belongs to. */
  readonly owner: LaneKey;
  readonly from: Submitter;
  readonly events: readonly SourceEvent[];
  /** An action of the server itself, in place of events. */
  readonly act?: Act;
  readonly train: Train | undefined;
  readonly worked?: ((worked: Worked) => void) | undefined;
  readonly receiveTime: Nanos;
  readonly arrivedMs: number;
  readonly done: (result: SubmitResult) => void;
}

type Refusal = Extract<SubmitResult, { readonly index: number }>;

export class Submission implements Waiting {
  readonly parts: SubmissionParts;
  readonly lane: LaneKey;
  readonly owner: LaneKey;
  /** Remaining cost; 0 when it is done. */
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

  /** Does one part, or all of it. @returns the outcome when it is done */
  work(market: SequencedMarket, out: SequencerOutput): Intake | Refusal | undefined {
    const { act } = this.parts;
    if (act !== undefined) return this.act(act, out);
    return this.isWhole ? this.takeWhole(market, out) : this.takePart(market, out);
  }

  /** Ends it, done or not. */
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

  /** The index where a part ends that begins at `begin`. Subtracts its cost. */
  private partEnd(begin: number, share: number): number {
    const { events } = this.parts;
    let to = begin;
    let used = 0;
    while (to < events.length && used < PART_COST) used += costOfEvent(events[to++]!) * share;
    this.cost = Math.max(share, this.cost - used); // it is done only when the last event is applied
    return to;
  }
}

/** The estimated cost of applying events; one without levels costs 1. */
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
