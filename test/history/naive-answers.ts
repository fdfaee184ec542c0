/** Naive answers from a list of events: every query scans all of it. */

import { TenLevels } from '../../protocol/levels';
import type { Book, Tick, Trade } from '../../protocol/messages';
import type { BatchEvent, Snapshot } from '../../protocol/records';
import type { Nanos } from '../../protocol/time';
import type { Hole } from './written';

export type Timed = Exclude<BatchEvent, { type: 'instrument' }>;

export function timed(events: readonly BatchEvent[], symbol: string): Timed[] {
  return events.filter((e): e is Timed => e.type !== 'instrument' && e.symbol === symbol);
}

export function isIn(hole: Hole, seq: number): boolean {
  return seq >= hole.from && seq <= hole.to;
}

export function without(events: readonly BatchEvent[], holes: readonly Hole[]): BatchEvent[] {
  return events.filter(({ seq }) => !holes.some((hole) => isIn(hole, seq)));
}

/** In order of sequence numbers; `to` exclusive, null: unbounded. */
export function ticksOf(
  events: readonly BatchEvent[],
  symbol: string,
  from: Nanos | null,
  to: Nanos | null,
): Tick[] {
  return events.filter(
    (e): e is Tick =>
      e.type === 'tick' &&
      e.symbol === symbol &&
      (from === null || e.eventTime.compare(from) >= 0) &&
      (to === null || e.eventTime.compare(to) < 0),
  );
}

/** Newest first. */
export function tradesOf(events: readonly BatchEvent[], symbol: string, before: number): Trade[] {
  return events
    .filter((e): e is Trade => e.type === 'trade' && e.symbol === symbol && e.seq < before)
    .reverse();
}

export interface BookState {
  readonly event: Book;
  /** Null while the book is incomplete. */
  readonly levels: { readonly bids: readonly number[]; readonly asks: readonly number[] } | null;
}

/** The book after each book event. */
export function bookStates(events: readonly BatchEvent[], symbol: string): BookState[] {
  const copy = new TenLevels();
  return events
    .filter((e): e is Book => e.type === 'book' && e.symbol === symbol)
    .map((event) => {
      if (event.form === 'delta') copy.apply(event.bids, event.asks);
      else copy.replace(event.bids, event.asks);
      const levels = event.form === 'incomplete' ? null : { bids: copy.bids, asks: copy.asks };
      return { event, levels };
    });
}

/** The last in order of sequence numbers whose time is not after the given one. */
export function stateBy(states: readonly BookState[], at: Nanos): BookState | undefined {
  return states.findLast(({ event }) => event.eventTime.compare(at) <= 0);
}

/**
 * Whether a journal with holes must know the book at a time, if its clock never steps back: the
 * newest existing record has all that it needs, and what follows implies that no other record came
 * before that time.
 */
export function mustKnow(
  all: readonly BatchEvent[],
  holes: readonly Hole[],
  symbol: string,
  at: Nanos,
): boolean {
  const isThere = ({ seq }: { seq: number }): boolean => !holes.some((hole) => isIn(hole, seq));
  const events = timed(all, symbol);
  const books = events.filter(
    (e): e is Book | Snapshot => e.type === 'book' || e.type === 'snapshot',
  );
  const last = books.findLastIndex((e) => isThere(e) && e.eventTime.compare(at) <= 0);
  const base = books.findLastIndex(
    (e, i) => i <= last && (e.type === 'book' ? e.form !== 'delta' : isThere(e)),
  );
  const isAllThere = (from: number, to: number): boolean =>
    books.slice(from, to).every((e) => isThere(e) || e.type === 'snapshot');
  if (base < 0 || !isAllThere(base, last + 1)) return false;
  // The next book record names this one, or the instrument passes the time before a hole begins.
  const next = books.findIndex((e, i) => i > last && e.type === 'book' && isThere(e));
  if (next >= 0 && isAllThere(last, next)) return true;
  const { seq } = books[last]!;
  const hole = holes.find(({ from }) => from > seq);
  if (hole === undefined) return true;
  return events.some((e) => e.seq > seq && e.seq < hole.from && e.eventTime.compare(at) > 0);
}
