/**
 * Extract: the records of one kind of one instrument in a range of time, in order, as a stream.
 *
 * Before the first of them stands the definition that holds there, and a new one where it changed. A
 * book delta whose predecessor is outside the range has the whole book before it, at that one's place,
 * so that whoever begins here holds the same ten levels. Bounded: one stretch of rows.
 */

import { bookChecksum } from '../../protocol/checksum';
import { TenLevels } from '../../protocol/levels';
import type { Book, Instrument } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import type { Nanos } from '../../protocol/time';
import type { InstrumentRow, JournalReading } from './reading';
import { parseDefinition, rowToEvent } from './records';
import { KIND, seqOf } from './schema';

export const EXTRACT_KINDS = ['trade', 'tick', 'bbo', 'book', 'snapshot', 'command', 'status'] as const; // prettier-ignore
export type ExtractKind = (typeof EXTRACT_KINDS)[number];

export interface Range {
  readonly kind: ExtractKind;
  readonly instrument: InstrumentRow;
  /** First event time; null: from the beginning. */
  readonly from: Nanos | null;
  /** The event time to end before; null: to the end. */
  readonly to: Nanos | null;
}

/** The events stretch by stretch; a stretch may be empty. @throws Error when a record does not read */
export function* extract(reading: JournalReading, range: Range): Generator<BatchEvent[]> {
  const { kind, instrument } = range;
  const books = new Books();
  let definition = parseDefinition(instrument.definition);
  let isTold = false;
  for (const rows of reading.rowsOf(instrument.id, [KIND.instrument, KIND[kind]])) {
    const events: BatchEvent[] = [];
    for (const row of rows) {
      const event = rowToEvent(row, instrument.symbol);
      if (event === undefined) throw new Error(`record ${seqOf(row.id)} does not read`);
      if (event.type === 'instrument') {
        definition = event;
        isTold = false;
        continue;
      }
      const isIn = isWithin(event.eventTime, range);
      if (isIn) {
        if (!isTold) events.push(...told(definition));
        isTold = true;
        if (event.type === 'book') events.push(...books.before(event));
        events.push(event);
      }
      if (event.type === 'book') books.take(event, isIn);
    }
    yield events;
  }
  if (!isTold) yield told(definition);
}

function told(definition: Instrument | undefined): Instrument[] {
  return definition === undefined ? [] : [definition];
}

function isWithin(time: Nanos, { from, to }: Range): boolean {
  return (from === null || time.compare(from) >= 0) && (to === null || time.compare(to) < 0);
}

/** The ten levels as they go by, and how far whoever reads the extract has them. */
class Books {
  private readonly levels = new TenLevels();
  private newest: Book | null = null;
  private givenSeq = 0;

  /** The whole book that a change needs before it, if it does. */
  before(event: Book): Book[] {
    const { newest, levels } = this;
    if (event.form !== 'delta' || newest === null || newest.seq === this.givenSeq) return [];
    const { bids, asks } = levels;
    return [{ ...newest, prevSeq: 0, form: 'snapshot', bids, asks, crc: bookChecksum(bids, asks) }];
  }

  take(event: Book, isGiven: boolean): void {
    this.newest = event;
    if (isGiven) this.givenSeq = event.seq;
    if (event.form === 'delta') this.levels.apply(event.bids, event.asks);
    else this.levels.replace(event.bids, event.asks);
  }
}
