/**
 * Checks of a chaos run, by code of its own: journals are read by SQL, and readers by the lines that they wrote. What
 * is wrong is a list of sentences; none: nothing is.
 */

import { Database } from 'bun:sqlite';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { FEED_SYMBOL, type Acknowledged } from './chaos-publisher';

const WRONG_MAX = 20;
const TRADE = 3;
const BOOK = 5;

/** What one journal has. */
export interface JournalFacts {
  readonly name: string;
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** A hash of each event, by its number. */
  readonly rows: ReadonlyMap<number, bigint | number>;
  /** Epochs that numbered something, each with its first number, rising. */
  readonly epochs: readonly { readonly epoch: number; readonly first: number }[];
  readonly gaps: number;
  /** Trades and books as readers get them: by number, `topic prevSeq content`. */
  readonly messages: ReadonlyMap<number, string>;
  /** Numbers of the trades of the publisher, and under which numbers each is there. */
  readonly published: ReadonlyMap<number, number[]>;
}

type Cell = string | number | Uint8Array | null;

const ROWS = `SELECT r.id / 8 AS seq, r.kind, ifnull(i.symbol, '') AS symbol, r.prev_seq,
  CAST(r.event_time AS TEXT), CAST(r.receive_time AS TEXT), r.price, r.quantity, r.bid, r.bid_quantity,
  r.ask, r.ask_quantity, r.volume, r.side, r.ref, r.source_seq, r.levels, r.text, r.as_of, r.flags, r.volume_high
  FROM record r LEFT JOIN instrument i ON i.id = r.instrument WHERE r.id % 8 = 0 AND r.kind < 9 ORDER BY r.id`;

export function readFacts(name: string, directory: string): JournalFacts {
  const db = new Database(join(directory, 'journal.sqlite'), { readonly: true });
  const rows = new Map<number, bigint | number>();
  const messages = new Map<number, string>();
  const published = new Map<number, number[]>();
  try {
    for (const row of db.query<Cell[], []>(ROWS).values() as Cell[][]) {
      const [seq, kind, symbol, prevSeq, , , price, quantity] = row as number[];
      const [ref, sourceSeq] = [row[14] as number, row[15] as number];
      rows.set(
        seq!,
        Bun.hash(JSON.stringify(row, (_, v: unknown) => (v instanceof Uint8Array ? [...v] : v))),
      );
      if (kind === TRADE)
        messages.set(seq!, `trade:${symbol} ${prevSeq} ${price}/${quantity}/${ref}`);
      if (kind === BOOK) messages.set(seq!, `book:${symbol} ${prevSeq} ${ref}`);
      if (kind === TRADE && String(symbol) === FEED_SYMBOL) {
        published.set(sourceSeq, [...(published.get(sourceSeq) ?? []), seq!]);
      }
    }
    const noted = db
      .query<{ epoch: number; seq: number }, []>(
        `SELECT ref AS epoch, id / 8 AS seq FROM record WHERE kind = 11 AND text = 'opened' ORDER BY id`,
      )
      .all();
    const [firstSeq = 1, lastSeq = 0] = [rows.keys().next().value, [...rows.keys()].at(-1)];
    const gaps = db
      .query<{ n: number }, []>('SELECT count(*) AS n FROM record WHERE kind = 9')
      .get()!.n;
    const epochs = noted.map(({ epoch, seq }) => ({ epoch, first: seq + 1 }));
    const withEvents = epochs.filter(({ first }) => first <= lastSeq);
    return { name, firstSeq, lastSeq, rows, epochs: withEvents, gaps, messages, published };
  } finally {
    db.close();
  }
}

export class Wrongs {
  readonly found: string[] = [];
  count = 0;

  add(what: string): void {
    this.count += 1;
    if (this.found.length < WRONG_MAX) this.found.push(what);
  }
}

/** All journals have the same events under the same numbers and epochs. */
export function compareJournals(all: readonly JournalFacts[], wrongs: Wrongs): void {
  const whole = all.reduce((a, b) => (b.lastSeq > a.lastSeq ? b : a));
  for (const one of all) {
    if (one.gaps > 0) wrongs.add(`${one.name} has ${one.gaps} gaps`);
    if (one.rows.size !== one.lastSeq - one.firstSeq + 1) wrongs.add(`${one.name} lacks events`);
    for (const [seq, hash] of one.rows) {
      const other = whole.rows.get(seq);
      if (other !== hash) {
        wrongs.add(`event ${seq} of ${one.name} is another than that of ${whole.name}`);
        break;
      }
    }
    const [own, all] = [one, whole].map(({ epochs }) =>
      epochs
        .filter(({ first }) => first <= one.lastSeq)
        .map(({ epoch, first }) => `${epoch}@${first}`),
    );
    if (own!.join(' ') !== all!.join(' ')) {
      const differing = [
        ...own!.filter((e) => !all!.includes(e)),
        '|',
        ...all!.filter((e) => !own!.includes(e)),
      ];
      wrongs.add(`epochs of ${one.name} are not those of ${whole.name}: ${differing.join(' ')}`);
    }
  }
}

/** What was acknowledged is there, and nothing twice. @returns how many acknowledged are lost */
export function checkPublished(
  { published, epochs }: JournalFacts,
  acknowledged: readonly Acknowledged[],
  wrongs: Wrongs,
  isAsync: boolean,
): number {
  let lost = 0;
  for (const [number, seqs] of published) {
    if (seqs.length === 1) continue;
    const of = seqs.map(
      (seq) => `${seq} of ${epochs.findLast(({ first }) => first <= seq)?.epoch}`,
    );
    wrongs.add(`number ${number} is there ${seqs.length} times: ${of.join(', ')}`);
  }
  for (const { number } of acknowledged) {
    if (published.has(number)) continue;
    lost += 1;
    if (!isAsync) wrongs.add(`number ${number} was acknowledged and is lost`);
  }
  return lost;
}

export interface ReaderLine {
  readonly reader: number;
  readonly ms: number;
  readonly what: string;
  readonly topic: string;
  readonly a: number;
  readonly b: number;
  readonly text: string;
}

export function readLines(path: string): {
  readonly lines: ReaderLine[];
  readonly isWhole: boolean;
} {
  const all = readFileSync(path, 'utf8')
    .split('\n')
    .filter((text) => text !== '');
  const isWhole = all.at(-1) === 'end';
  const lines = all.slice(0, isWhole ? -1 : undefined).map((text) => {
    const [reader, ms, what, topic, a, b, rest] = text.split('\t');
    return {
      reader: Number(reader),
      ms: Number(ms),
      what: what!,
      topic: topic!,
      a: Number(a),
      b: Number(b),
      text: rest ?? '',
    };
  });
  return { lines, isWhole };
}

/** How many readers do not yet have the newest message of each of their topics. */
export function readersBehind(lines: readonly ReaderLine[], journal: JournalFacts): number {
  const newest = newestOf(journal);
  const behind = new Map<string, { reader: number; topic: string }>();
  for (const { reader, what, topic, a, b } of lines) {
    const name = `${reader} ${topic}`;
    if (what === 'item') {
      if (a >= newest.get(topic)!) behind.delete(name);
      else behind.set(name, { reader, topic });
    } else if (what === 'gap' || what === 'reset') {
      // What it does not have up to here was declared.
      const upTo = what === 'gap' ? b : a;
      for (const [one, of] of behind) {
        if (of.reader !== reader || newest.get(of.topic)! > upTo) continue;
        if (isOf(of.topic, topic.split(' '))) behind.delete(one);
      }
    }
  }
  return new Set(Array.from(behind.values(), ({ reader }) => reader)).size;
}

/** Whether a topic is one of these, which may be wildcards. */
function isOf(topic: string, names: readonly string[]): boolean {
  return names.includes(topic) || names.includes(`${topic.split(':')[0]}:*`);
}

/** The number of the newest message of each topic. */
function newestOf({ messages }: JournalFacts): ReadonlyMap<string, number> {
  const newest = new Map<string, number>();
  for (const [seq, message] of messages) {
    newest.set(message.slice(0, message.indexOf(' ')), seq);
  }
  return newest;
}

/** One topic of one reader. */
interface Track {
  /** Items that no journal has (in the end), and are not declared yet. */
  orphans: { readonly seq: number; readonly epoch: number; readonly line: ReaderLine }[];
  last: number;
  isBroken: boolean;
  /** What it does not have up to here was declared. */
  declaredTo: number;
}

export interface ReaderFigures {
  items: number;
  gaps: number;
  /** Resets after the first state, by reason. */
  readonly resets: Record<string, number>;
  /** Items that were withdrawn. */
  withdrawn: number;
  reconnects: number;
  epochs: number;
}

/** Whether changes of a book came as one: what follows an earlier one, and leads to the same book. */
function isMerged(
  message: string | undefined,
  topic: string,
  prevSeq: number,
  crc: string,
): boolean {
  if (message === undefined || !topic.startsWith('book:')) return false;
  const [name, before, after] = message.split(' ');
  return name === topic && prevSeq < Number(before) && after === crc;
}

/** Follows what one reader was given. */
export class ReaderCheck {
  readonly figures: ReaderFigures = {
    items: 0,
    gaps: 0,
    resets: {},
    withdrawn: 0,
    reconnects: -1,
    epochs: 0,
  };
  private readonly tracks = new Map<string, Track>();
  private epoch = 0;
  private readonly journal: JournalFacts;
  private readonly wrongs: Wrongs;
  private readonly name: string;

  constructor(name: string, journal: JournalFacts, wrongs: Wrongs) {
    this.name = name;
    this.journal = journal;
    this.wrongs = wrongs;
  }

  take(line: ReaderLine): void {
    const { what, topic, a, text } = line;
    switch (what) {
      case 'item':
        return this.item(line);
      case 'connected':
        this.figures.reconnects += 1;
        this.epoch = Number(topic);
        return;
      case 'epoch':
        this.figures.epochs += 1;
        this.epoch = Number(topic);
        return;
      case 'gap':
        this.figures.gaps += 1;
        return this.withdraw([topic], a, line.b);
      case 'reset':
        this.figures.resets[text] = (this.figures.resets[text] ?? 0) + 1;
        return this.withdraw(topic.split(' '), 0, a);
      default:
        this.wrongs.add(`${this.name}: ${what} ${topic} ${a}`);
    }
  }

  /** The reader was there to the end: it has to have everything. */
  end(): void {
    const newest = newestOf(this.journal);
    for (const [topic, { orphans, last, declaredTo }] of this.tracks) {
      for (const { seq, line } of orphans) {
        this.wrongs.add(
          `${this.name}: ${topic} ${seq} (${line.b}, ${line.text}) of epoch ${this.epoch} is in no journal: ${this.journal.messages.get(seq)}`,
        );
      }
      if (Math.max(last, declaredTo) < newest.get(topic)!) {
        this.wrongs.add(
          `${this.name}: ${topic} ends at ${last}, in the journal at ${newest.get(topic)}`,
        );
      }
    }
  }

  private track(topic: string): Track {
    let track = this.tracks.get(topic);
    if (track === undefined) {
      this.tracks.set(topic, (track = { orphans: [], last: 0, isBroken: true, declaredTo: 0 }));
    }
    return track;
  }

  private withdraw(topics: readonly string[], from: number, upTo: number): void {
    for (const [name, track] of this.tracks) {
      if (!isOf(name, topics)) continue;
      track.declaredTo = upTo;
      this.figures.withdrawn += track.orphans.length;
      track.orphans = track.orphans.filter(({ seq }) => seq < from);
      track.isBroken = true;
    }
  }

  private item(line: ReaderLine): void {
    const { topic, a: seq, b: prevSeq, text } = line;
    const track = this.track(topic);
    this.figures.items += 1;
    if (!track.isBroken && prevSeq !== track.last) {
      this.wrongs.add(
        `${this.name}: ${topic} ${seq} with prevSeq ${prevSeq} follows ${track.last}`,
      );
    }
    const isFirst = track.isBroken;
    track.isBroken = false;
    track.last = seq;
    const message = this.journal.messages.get(seq);
    const isState = isFirst && prevSeq === 0; // what stands when a reader comes follows nothing
    const is = isState ? message?.replace(/ \d+ /, ' 0 ') : message;
    if (is === `${topic} ${prevSeq} ${text}`) return;
    if (isMerged(message, topic, prevSeq, text)) return;
    // Only what another leader replaced may be in no journal, so it is of an earlier epoch than what is there now.
    const there = this.journal.epochs.findLast(({ first }) => first <= seq);
    if (there !== undefined && there.epoch <= this.epoch) {
      this.wrongs.add(
        `${this.name}: ${topic} ${seq} (${prevSeq}, ${text}) came in epoch ${this.epoch}, and its journal has ${this.journal.messages.get(seq)}`,
      );
    } else track.orphans.push({ seq, epoch: this.epoch, line });
  }
}
