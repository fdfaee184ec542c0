/**
 * Import summary: the outcome of every line, for people and for programs.
 *
 * Must hold: `lines` = `taken` + `repeated` + `waiting` + `skipped` + `refused`.
 */

import type { RecordingProgress } from '../ingest/recording/recording';

export interface BookWarning {
  readonly symbol: string;
  /** `never`: no snapshot came; `lost`: its changes did not continue it. */
  readonly book: 'never' | 'lost';
}

export class ImportSummary {
  lines = 0;
  /** Lines that recorded something new, or hold a definition that changes nothing. */
  taken = 0;
  /** Lines whose events the target had already. */
  repeated = 0;
  /** Changes of a book that were kept or dropped while it waited for a snapshot. */
  waiting = 0;
  skipped = 0;
  refused = 0;
  /** Source events of the lines that were taken. */
  events = 0;
  readonly skippedBy = new Map<string, number>();
  readonly refusedBy = new Map<string, number>();
  books: readonly BookWarning[] = [];
  /** The fault that ended the import early, or null. */
  stopped: { readonly code: string; readonly message: string } | null = null;

  /** The outcome of reading a recording. */
  addReading(counts: RecordingProgress): void {
    this.lines += counts.lines;
    this.taken += counts.read;
    this.skipped += counts.skipped;
    this.refused += counts.refused;
    this.events += counts.events;
    addAll(this.skippedBy, counts.skippedBy);
    addAll(this.refusedBy, counts.refusedBy);
  }

  /** A line that was read is refused. */
  refuse(code: string, events: number): void {
    this.taken -= 1;
    this.refused += 1;
    this.events -= events;
    addAll(this.refusedBy, { [code]: 1 });
  }

  /** Lines were read after the one that ended the import. */
  leave(lines: number, events: number): void {
    this.lines -= lines;
    this.taken -= lines;
    this.events -= events;
  }

  addIntake(repeated: number, waiting: number): void {
    this.taken -= repeated + waiting;
    this.events -= repeated + waiting;
    this.repeated += repeated;
    this.waiting += waiting;
  }

  toJson(seconds: number): string {
    const { lines, taken, repeated, waiting, skipped, refused, events, books, stopped } = this;
    return JSON.stringify({
      lines,
      taken,
      repeated,
      waiting,
      skipped,
      refused,
      events,
      skippedBy: Object.fromEntries(this.skippedBy),
      refusedBy: Object.fromEntries(this.refusedBy),
      books,
      stopped,
      seconds: Number(seconds.toFixed(3)),
    });
  }

  toText(seconds: number): string {
    const { lines, taken, repeated, waiting, skipped, refused, events } = this;
    const rate = Math.round(events / Math.max(seconds, 0.001));
    const text = [
      `${lines} lines: ${taken} taken, ${repeated} repeated, ${waiting} waiting, ${skipped} skipped, ${refused} refused`,
      `${events} events in ${seconds.toFixed(2)} s (${rate}/s)`,
    ];
    if (skipped > 0) text.push(`skipped: ${listed(this.skippedBy)}`);
    if (refused > 0) text.push(`refused: ${listed(this.refusedBy)}`);
    for (const { symbol, book } of this.books) {
      text.push(
        book === 'never'
          ? `WARNING: the book of ${symbol} never became complete: its changes continue no snapshot`
          : `WARNING: the book of ${symbol} is incomplete at the end: changes are missing, and no snapshot followed`,
      );
    }
    return text.map((line) => `${line}\n`).join('');
  }
}

function addAll(to: Map<string, number>, counts: Readonly<Record<string, number>>): void {
  for (const [key, count] of Object.entries(counts)) to.set(key, (to.get(key) ?? 0) + count);
}

function listed(counts: ReadonlyMap<string, number>): string {
  const sorted = [...counts].sort(([, a], [, b]) => b - a);
  return sorted.map(([key, count]) => `${count} ${key}`).join(', ');
}
