/**
 * Event cursor: reads the committed events of a journal in order, as they were numbered, for a batch log that missed
 * them. Bounded: one page of rows.
 */

import type { Database } from 'bun:sqlite';

import type { BatchEvent } from '../../../protocol/records';
import { connectToRead } from '../read-connection';
import { rowToEvent, type RecordRow } from '../records';
import { idOf, SELECT_RECORD, SLOT, SLOTS } from '../schema';

/** The most that a read gives; fewer: no more are committed, or a hole follows. */
export const PAGE_EVENTS = 500;

export class EventCursor {
  private readonly db: Database;
  private readonly symbols = new Map<number, string>();

  /** @param path of the journal, which may be written meanwhile */
  constructor(path: string) {
    this.db = connectToRead(path);
  }

  /**
   * The next events behind a seq, up to a page; they have no hole among them. Empty: none is committed. The first one
   * may lie behind a hole.
   */
  read(after: number): BatchEvent[] {
    const rows = this.db
      .query<RecordRow, [number]>(
        `${SELECT_RECORD} WHERE id > ? AND id % ${SLOTS} = ${SLOT.event} ORDER BY id LIMIT ${PAGE_EVENTS}`,
      )
      .all(idOf(after, SLOTS - 1));
    const events: BatchEvent[] = [];
    for (const row of rows) {
      const event = rowToEvent(row, this.symbolOf(row.instrument));
      if (event === undefined) break;
      if (events.length > 0 && event.seq !== events.at(-1)!.seq + 1) break;
      events.push(event);
    }
    return events;
  }

  close(): void {
    this.db.close();
  }

  private symbolOf(id: number): string {
    const known = this.symbols.get(id);
    if (known !== undefined) return known;
    const rows = this.db
      .query<{ id: number; symbol: string }, []>('SELECT id, symbol FROM instrument')
      .all();
    for (const row of rows) this.symbols.set(row.id, row.symbol);
    return this.symbols.get(id) ?? '';
  }
}
