/**
 * A journal of many instruments, written as a server writes it but without a market, so that its
 * records may be as dense, as sparse and as wrongly dated as a test needs. All events are kept
 * beside it, for the naive answers.
 */

import { Database } from 'bun:sqlite';
import { join } from 'node:path';

import { bookChecksum } from '../../protocol/checksum';
import { diffLevels } from '../../protocol/levels';
import type { Instrument } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import { Nanos } from '../../protocol/time';
import { ManualClock } from '../../src/base/clock';
import type { Prng } from '../../src/base/prng';
import { StartFault } from '../../src/base/start-fault';
import { BlockFold, type Block } from '../../src/journal/blocks';
import type { RecordRow } from '../../src/journal/records';
import { RowFrameWriter } from '../../src/journal/write/row-frame';
import { openJournal } from '../../src/journal/recover/opening';
import { JOURNAL_FILE } from '../../src/journal/recover/reading';
import { idOf, KIND, SELECT_RECORD, seqOf, SLOT, SLOTS } from '../../src/journal/schema';
import { DAMAGED } from '../../src/journal/proofs';
import type { SqliteJournal } from '../../src/journal/write/sqlite-journal';
import { textState } from '../support/test-journal';
import { at, bbo, book, instrument, trade } from '../support/market-events';
import { testConfig } from '../support/test-recorder';

export interface Profile {
  readonly symbol: string;
  /** Its share among all instruments. */
  readonly weight: number;
  /** Seconds by which its clock is ahead of the others. */
  readonly aheadSeconds?: number;
  /** Probability that an event is dated up to a second earlier. */
  readonly stepsBack?: number;
  /** Share of books among the events that are not quotes; 1: as many books as trades. */
  readonly books?: number;
}

/** The state of an instrument that continues from one event to the next. */
interface Going {
  readonly profile: Profile;
  trade: number;
  tick: number;
  bbo: number;
  book: number;
  volume: number;
  bids: number[];
  asks: number[];
  isWhole: boolean;
}

export interface Hole {
  readonly from: number;
  readonly to: number;
  readonly reason: string;
}

export class Written {
  /** All events, including those removed later; in order of sequence numbers, from 1. */
  readonly events: BatchEvent[] = [];
  readonly definitions = new Map<string, Instrument>();
  readonly directory: string;
  private journal!: SqliteJournal;
  private epoch = 0;
  private readonly prng: Prng;
  private going: Going[];
  private micros = 0;
  private written = 0;

  constructor(directory: string, prng: Prng, profiles: readonly Profile[]) {
    this.directory = directory;
    this.prng = prng;
    this.open();
    this.going = profiles.map((profile) => ({
      profile,
      trade: 0,
      tick: 0,
      bbo: 0,
      book: 0,
      volume: 0,
      bids: [],
      asks: [],
      isWhole: false,
    }));
    for (const { symbol } of profiles) {
      const definition = { ...instrument(symbol), seq: this.next };
      this.definitions.set(symbol, definition);
      this.events.push(definition);
    }
  }

  get path(): string {
    return join(this.directory, JOURNAL_FILE);
  }

  get lastSeq(): number {
    return this.events.length;
  }

  /** Writes at least this number of events, in batches of different lengths. */
  async write(count: number): Promise<void> {
    for (const end = this.events.length + count; this.events.length < end;) {
      this.add(this.pick());
      if (this.prng.chance(0.05)) this.append();
    }
    this.append();
    await this.journal.flush();
  }

  /**
   * Ends without a commit of the newest events, and starts again from the state before. No
   * checkpoint may be taken meanwhile: it would commit the events before it, and a server starts from
   * a checkpoint, so no journal continues from a state before one.
   * @returns the lost range
   */
  crash(count: number): Hole {
    const before = structuredClone(this.going);
    const from = this.next;
    while (this.events.length < from + count - 1) this.add(this.pick());
    this.journal.checkpoints.stop();
    this.append();
    const { committedSeq } = this.journal.status();
    if (committedSeq >= from) throw new Error(`${from} to ${committedSeq} are committed`);
    this.journal.abandon();
    this.going = before;
    this.open();
    return { from, to: this.lastSeq, reason: 'crash' };
  }

  private open(): void {
    const options = testConfig(this.directory, {
      durability: 'async',
      commitEveryMs: 60_000,
      checkpointEveryEvents: 3_000,
    });
    const opened = openJournal(options.journal, new ManualClock(at(0)));
    if (opened instanceof StartFault) throw new Error(opened.message);
    this.journal = opened.journal;
    this.epoch = opened.recovered.epoch;
    this.journal.begin();
    this.journal.checkpoints.source = textState(() => 'a state');
  }

  /** Adds one quote, or a trade with its tick; `write` brings it to the journal. */
  addOne(kind: 'quote' | 'trade', symbol: string): void {
    const g = this.going.find(({ profile }) => profile.symbol === symbol)!;
    this.micros += 1_000;
    const opening = { symbol, eventTime: at(this.micros), receiveTime: at(this.micros) };
    if (kind === 'trade') this.addTrade(g, opening);
    else this.addQuote(g, opening);
  }

  /** Releases the file without closing it in order. */
  abandon(): void {
    this.journal.abandon();
  }

  async close(): Promise<void> {
    this.journal.close();
    await this.journal.closed;
  }

  private get next(): number {
    return this.events.length + 1;
  }

  private append(): void {
    const events = this.events.slice(this.written);
    if (events.length === 0) return;
    const { epoch, lastSeq } = this;
    this.journal.append({ epoch, firstSeq: this.written + 1, lastSeq, events }, () => {});
    this.written = lastSeq;
  }

  private pick(): Going {
    const all = this.going.reduce((sum, { profile }) => sum + profile.weight, 0);
    let left = this.prng.int(1, all);
    return this.going.find(({ profile }) => (left -= profile.weight) <= 0)!;
  }

  private add(g: Going): void {
    const { prng } = this;
    if (prng.chance(0.8)) this.micros += prng.int(1, 20_000);
    const { symbol, aheadSeconds = 0, stepsBack = 0, books = 1 } = g.profile;
    const back = prng.chance(stepsBack) ? prng.int(0, 1_000_000) : 0;
    const second = at(Math.max(0, this.micros - back));
    const eventTime = Nanos.fromSeconds(second.seconds + aheadSeconds, second.nanosOfSecond);
    const opening = { symbol, eventTime, receiveTime: at(this.micros) };
    if (prng.chance(0.3)) this.addQuote(g, opening);
    else if (prng.chance(books / 2)) this.addBook(g, opening);
    else this.addTrade(g, opening);
  }

  private addQuote(g: Going, opening: Opening): void {
    this.push({ ...bbo(this.next, [9, 1], [10, 1]), ...opening, prevSeq: g.bbo });
    g.bbo = this.lastSeq;
  }

  private addTrade(g: Going, opening: Opening): void {
    const [price, quantity] = [this.prng.int(1, 500), this.prng.int(1, 50)];
    g.volume += quantity;
    this.push({ ...trade({ price, quantity }), ...opening, seq: this.next, prevSeq: g.trade });
    g.trade = this.lastSeq;
    const more = { last: price, bid: 9, ask: 10, quantity, volume: g.volume, count: 1 };
    this.push({ type: 'tick', ...opening, seq: this.next, prevSeq: g.tick, ...more });
    g.tick = this.lastSeq;
  }

  private addBook(g: Going, opening: Opening): void {
    const { prng } = this;
    const draw = (from: number, sign: 1 | -1): number[] =>
      Array.from({ length: prng.int(0, 10) }, (_, i) => [from + i * sign, prng.int(1, 9)]).flat();
    const bids = draw(100, -1);
    const asks = draw(101, 1);
    const form = prng.chance(0.02)
      ? 'incomplete'
      : g.isWhole && prng.chance(0.95)
        ? 'delta'
        : 'snapshot';
    const changed =
      form === 'delta'
        ? [diffLevels(g.bids, bids, 'bid'), diffLevels(g.asks, asks, 'ask')]
        : form === 'snapshot'
          ? [bids, asks]
          : [[], []];
    g.isWhole = form !== 'incomplete';
    g.bids = g.isWhole ? bids : [];
    g.asks = g.isWhole ? asks : [];
    this.push({ ...book(form, this.next, g.book, ...changed), ...opening });
    g.book = this.lastSeq;
    if (!g.isWhole || !prng.chance(0.05)) return;
    const crc = bookChecksum(bids, asks);
    this.push({ type: 'snapshot', ...opening, seq: this.next, bids, asks, crc });
  }

  private push(event: BatchEvent): void {
    this.events.push(event);
  }
}

interface Opening {
  readonly symbol: string;
  readonly eventTime: Nanos;
  readonly receiveTime: Nanos;
}

/** Without syncs: a test does not survive a loss of power. */
function openToAlter(path: string): Database {
  const db = new Database(path);
  db.run('PRAGMA synchronous = OFF');
  return db;
}

/** Removes records from the file of a closed journal, as if they had never been in it. */
export function takeOut(path: string, holes: readonly Hole[]): void {
  const db = openToAlter(path);
  db.transaction(() => {
    declare(db, holes);
    seal(db);
  })();
  db.close();
}

/** Puts all records into new blocks. */
function seal(db: Database): void {
  const rows = new RowFrameWriter();
  for (const row of db
    .query<RecordRow, []>(`${SELECT_RECORD} WHERE id % ${SLOTS} = 0 ORDER BY id`)
    .all())
    rows.row(row);
  for (const table of ['block', 'part', 'open_block']) db.run(`DELETE FROM ${table}`);
  const put = ({ firstId, lastId, crc, parts }: Block): void => {
    db.run('INSERT INTO block VALUES (?, ?, ?, unixepoch())', [lastId, firstId, crc]);
    for (const p of parts) {
      db.run('INSERT INTO part VALUES (?, ?, ?, (? << 32) | ?, (? << 32) | ?, ?, ?)', [
        p.instrument,
        lastId,
        firstId,
        p.minHi,
        p.minLo,
        p.maxHi,
        p.maxLo,
        p.tradeSeq,
        p.bookSeq,
      ]);
    }
  };
  const fold = new BlockFold();
  fold.take(rows.take(), null, put);
  const last = fold.end();
  if (last !== undefined) put(last);
}

/** Deletes records, and notes them as missing. */
function declare(db: Database, holes: readonly Hole[]): void {
  for (const { from, to, reason } of holes) {
    db.run('DELETE FROM record WHERE id BETWEEN ? AND ?', [idOf(from), idOf(to)]);
    const id = idOf(to, SLOT.gap);
    db.run(
      `INSERT OR REPLACE INTO record (id, kind, instrument, prev_seq, event_time, receive_time, ref, text)
         VALUES (?, ${KIND.gap}, 0, 0, 0, 0, ?, ?)`,
      [id, from, reason],
    );
    db.run(`INSERT OR IGNORE INTO note VALUES (${KIND.gap}, ?)`, [id]);
  }
}

/**
 * Alters one record of a kind in a block and leaves the rest as it is.
 * @returns the range of the block
 */
export function alter(path: string, seq: number): Hole {
  const db = openToAlter(path);
  db.run('UPDATE record SET receive_time = receive_time + 1 WHERE id = ?', [idOf(seq)]);
  const block = db
    .query<{ first_id: number; last_id: number }, [number]>(
      'SELECT first_id, last_id FROM block WHERE last_id >= ? ORDER BY last_id LIMIT 1',
    )
    .get(idOf(seq))!;
  db.close();
  return { from: seqOf(block.first_id), to: seqOf(block.last_id), reason: DAMAGED };
}

/** Deletes everything up to the end of a block, as retention does. @returns the last deleted seq */
export function expire(path: string, blocks: number): number {
  const db = openToAlter(path);
  const { id } = db
    .query('SELECT last_id AS id FROM block ORDER BY last_id LIMIT 1 OFFSET ?')
    .get(blocks - 1) as { id: number };
  db.run('DELETE FROM part WHERE last_id <= ?', [id]);
  db.run('DELETE FROM block WHERE last_id <= ?', [id]);
  const to = id / idOf(1);
  declare(db, [{ from: 1, to, reason: 'retention' }]);
  db.close();
  return to;
}

/** First and last seq of each block. */
export function bordersOf(path: string): number[] {
  const db = new Database(path, { readonly: true });
  const rows = db.query('SELECT first_id, last_id FROM block').all();
  db.close();
  return (rows as { first_id: number; last_id: number }[]).flatMap(({ first_id, last_id }) => [
    first_id / idOf(1),
    last_id / idOf(1),
  ]);
}
