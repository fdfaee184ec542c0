/**
 * Reader truth: what the journal of a server says that is killed, set back and forked repeatedly, read by SQL
 * alone. Rows are gathered while servers run, so what retention deletes later is still known. Each run of a server
 * adds rows to those of the run from which it continued, up to where it began.
 */

import {
  declared,
  levelsOf,
  messageOf,
  rowsAfter,
  type GapRow,
  type Row,
} from '../support/kill-rows';

export type Pairs = [price: string, quantity: string][];

/** A message as the journal has it. */
export interface Truth {
  readonly seq: number;
  readonly prevSeq: number;
  readonly topic: string;
  /** Canonical, without `prevSeq` and `count`. */
  readonly body: string;
  readonly row: Row;
  /** Of a book: its ten best levels as JSON, null while it is incomplete; undefined for everything else. */
  readonly copy: string | null | undefined;
  /** It was recorded once, and is now in a declared gap. */
  isGone: boolean;
}

/** A run of a server, and what it added. */
export interface Branch {
  readonly epoch: number;
  readonly parent: Branch | undefined;
  /** Up to which seq it shares the rows of its parent. */
  readonly base: number;
  /** In order of `seq`, by topic. */
  readonly topics: Map<string, Truth[]>;
  newestId: number;
}

/** The journal in its final state. */
export interface Journal {
  readonly topics: ReadonlyMap<string, readonly Truth[]>;
  readonly gaps: readonly GapRow[];
  /** Rows that disappeared without a declared gap. */
  readonly undeclared: readonly Truth[];
}

/** Fields in which messages are compared, in this order. */
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  tick: ['last', 'bid', 'ask', 'quantity', 'volume'],
  trade: ['price', 'quantity', 'aggressor', 'tradeId', 'timing'],
  bbo: ['bid', 'bidQuantity', 'ask', 'askQuantity', 'mark'],
  book: ['form', 'bids', 'asks', 'crc', 'mark'],
  status: ['state', 'reason', 'missed', 'events'],
};
const COMMON = ['type', 'symbol', 'seq', 'eventTime', 'receiveTime'];

/** @param without fields that are left out */
export function bodyOf(m: Readonly<Record<string, unknown>>, ...without: string[]): string {
  const names = [...COMMON, ...(FIELDS[String(m['type'])] ?? [])].filter(
    (n) => !without.includes(n),
  );
  return JSON.stringify(names.map((name) => m[name] ?? null));
}

export function topicOf(m: Readonly<Record<string, unknown>>): string {
  const { type, symbol, interval } = m as Record<string, string>;
  if (type === 'status') return 'status';
  return type === 'bar' ? `bar:${symbol}:${interval}` : `${type}:${symbol}`;
}

export class Branches {
  present: Branch = { epoch: 0, parent: undefined, base: 0, topics: new Map(), newestId: 0 };
  readonly byEpoch = new Map<number, Branch>();
  /** Epochs that two runs had. */
  readonly twice: number[] = [];

  /** A server has started on the data of the directory. @param from the run of which this is a copy */
  begin(directory: string, from: Branch): void {
    const { epochs, gaps } = declared(directory);
    const newest = epochs.reduce((a, b) => (b.first >= a.first ? b : a));
    let base = newest.first - 1;
    const endsAtBase = (g: GapRow): boolean => g.to === base && g.reason !== 'retention';
    for (let gap; (gap = gaps.find(endsAtBase)) !== undefined;) base = gap.from - 1;
    // What was committed after the last reading belongs to the previous run.
    for (const row of rowsAfter(directory, from.newestId)) {
      if (row.id > base * 8 + 7) break;
      add(from, row);
    }
    const { epoch } = newest;
    this.present = { epoch, parent: from, base, topics: new Map(), newestId: base * 8 + 7 };
    if (this.byEpoch.has(epoch)) this.twice.push(epoch);
    this.byEpoch.set(epoch, this.present);
  }

  /** Reads the new rows. */
  gather(directory: string): void {
    const branch = this.present;
    for (const row of rowsAfter(directory, branch.newestId)) add(branch, row);
  }

  close(directory: string): Journal {
    this.gather(directory);
    const { gaps } = declared(directory);
    const topics = new Map(topicsOf(this.present).map((t) => [t, rowsOf(this.present, t)]));
    const edge = Math.max(
      0,
      ...gaps.filter(({ reason }) => reason === 'retention').map(({ to }) => to),
    );
    const undeclared = settle([...topics.values()].flat(), directory, edge, gaps);
    return { topics, gaps, undeclared };
  }
}

function topicsOf(branch: Branch): string[] {
  const names = new Set(branch.topics.keys());
  for (let l: Branch | undefined = branch; l !== undefined; l = l.parent)
    for (const name of l.topics.keys()) names.add(name);
  return [...names];
}

/** The messages of a topic that the journal of a run has, above a seq, in order. */
export function rowsOf(branch: Branch, topic: string, above = 0): Truth[] {
  const parts: Truth[][] = [];
  let upTo = Infinity;
  for (let l: Branch | undefined = branch; l !== undefined && upTo > above; l = l.parent) {
    const rows = l.topics.get(topic) ?? [];
    parts.push(rows.slice(firstAbove(rows, above), firstAbove(rows, upTo)));
    upTo = Math.min(upTo, l.base);
  }
  return parts.reverse().flat();
}

/** The index of the first one above a seq. */
export function firstAbove(rows: readonly Truth[], seq: number): number {
  let [from, to] = [0, rows.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if (rows[middle]!.seq <= seq) from = middle + 1;
    else to = middle;
  }
  return from;
}

/** For the range that retention deleted, only what is in the file counts. */
function settle(
  all: readonly Truth[],
  directory: string,
  edge: number,
  gaps: readonly GapRow[],
): Truth[] {
  const present = new Set<number>();
  for (const { id } of rowsAfter(directory, edge * 8 + 7)) present.add(id / 8);
  const undeclared: Truth[] = [];
  for (const truth of all) {
    if (truth.seq <= edge || present.has(truth.seq)) continue;
    truth.isGone = true;
    const isDeclared = gaps.some(({ from, to }) => from <= truth.seq && truth.seq <= to);
    if (!isDeclared) undeclared.push(truth);
  }
  return undeclared;
}

function add(branch: Branch, row: Row): void {
  branch.newestId = row.id;
  const message = row.id % 8 === 0 ? messageOf(row) : undefined;
  if (message === undefined) return;
  const { seq, prevSeq } = message as unknown as { seq: number; prevSeq: number };
  const topic = topicOf(message);
  const copy = message['type'] === 'book' ? copyBehind(branch, topic, row) : undefined;
  let rows = branch.topics.get(topic);
  if (rows === undefined) branch.topics.set(topic, (rows = []));
  rows.push({ seq, prevSeq, topic, body: bodyOf(message), row, copy, isGone: false });
}

function copyBehind(branch: Branch, topic: string, row: Row): string | null | undefined {
  const { bids, asks } = levelsOf(row);
  if (row.side === 0) return JSON.stringify([bids, asks]);
  if (row.side === 2) return null;
  const before = newestOf(branch, topic);
  if (before === undefined || before.seq !== row.prev_seq || typeof before.copy !== 'string')
    return undefined;
  const [oldBids, oldAsks] = JSON.parse(before.copy) as [Pairs, Pairs];
  return JSON.stringify([merged(oldBids, bids, -1), merged(oldAsks, asks, 1)]);
}

function newestOf(branch: Branch, topic: string): Truth | undefined {
  let upTo = Infinity;
  for (let l: Branch | undefined = branch; l !== undefined; l = l.parent) {
    const rows = l.topics.get(topic) ?? [];
    const found = rows[firstAbove(rows, upTo) - 1];
    if (found !== undefined) return found;
    upTo = Math.min(upTo, l.base);
  }
  return undefined;
}

function merged(before: Pairs, changes: Pairs, sign: 1 | -1): Pairs {
  const levels = new Map([...before, ...changes]);
  return [...levels]
    .filter(([, quantity]) => Number(quantity) !== 0)
    .sort(([a], [b]) => (Number(a) - Number(b)) * sign);
}

/** By [B8], from decimals that have all the digits of their scale. */
export function crcOf(bids: Pairs, asks: Pairs): number {
  const bytes = new DataView(new ArrayBuffer(4 + (bids.length + asks.length) * 16));
  bytes.setUint16(0, bids.length, true);
  bytes.setUint16(2, asks.length, true);
  [...bids, ...asks].forEach(([price, quantity], i) => {
    bytes.setBigInt64(4 + i * 16, BigInt(price.replace('.', '')), true);
    bytes.setBigInt64(12 + i * 16, BigInt(quantity.replace('.', '')), true);
  });
  return Bun.hash.crc32(bytes.buffer);
}
