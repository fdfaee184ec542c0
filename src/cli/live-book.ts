/**
 * Live book: the ladder of one instrument on a terminal, redrawn in place until interrupted. It reads
 * the SDK's local copy, which is verified by checksums; while it is not reliable, no level is displayed.
 */

import { SystemClock } from '../base/clock';
import { formatDecimal, TapedeckClient, type Instrument, type LocalBook } from '../client/index';
import { Screen, type Line } from './screen';

const BAR = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'] as const;
const BAR_COLUMNS_MAX = 30;
const CLOCK_EVERY_MS = 1_000;

interface Seen {
  last: number | null;
  state: string;
  updates: number;
  perSecond: number;
  /** Why no data come; empty while they do. */
  trouble: string;
}

/** Runs until the client ends. @throws TapedeckError when the server is away or refuses the symbol */
export async function showLiveBook(
  url: string,
  symbol: string,
  depth: number,
  key?: string,
): Promise<void> {
  const client = await TapedeckClient.connect(url, {
    client: 'tapedeck book',
    ...(key && { key }),
  });
  const clock = new SystemClock();
  const seen: Seen = { last: null, state: 'live', updates: 0, perSecond: 0, trouble: '' };
  const topics: string[] = [`book:${symbol}`, `tick:${symbol}`, 'status'];
  const subscription = client.subscribe(topics);
  try {
    await subscription.ready;
  } catch (e) {
    client.close();
    throw e;
  }
  const screen = new Screen(process.stdout, () => ({
    block: ladder(client.instruments.get(symbol)!, client.book(symbol), seen, depth, screen),
  }));
  client.on('disconnected', ({ reason, code }) => {
    seen.trouble = `the server is away (${reason || code}); reconnecting`;
    screen.changed();
  });
  client.on('connected', () => {
    seen.trouble = '';
    screen.changed();
  });
  process.on('SIGINT', () => {
    screen.end();
    process.exit(0);
  });
  let countedAtMs = clock.monotonicMs();
  let counted = 0;
  const timer = setInterval(() => {
    const nowMs = clock.monotonicMs();
    seen.perSecond = Math.round(((seen.updates - counted) * 1_000) / (nowMs - countedAtMs));
    counted = seen.updates;
    countedAtMs = nowMs;
    screen.changed();
  }, CLOCK_EVERY_MS);
  screen.draw();
  try {
    for await (const item of subscription) {
      if (item.type === 'tick') seen.last = item.last;
      else if (item.type === 'status' && item.symbol === symbol) seen.state = item.state;
      else if (item.type === 'book') seen.updates += 1;
      screen.changed();
    }
  } finally {
    clearInterval(timer);
    screen.end();
  }
}

function ladder(
  definition: Instrument,
  book: LocalBook | undefined,
  seen: Seen,
  depth: number,
  { blockRows, columns }: Pick<Screen, 'blockRows' | 'columns'>,
): Line[] {
  const { symbol, priceScale, quantityScale } = definition;
  const last = seen.last === null ? '' : formatDecimal(seen.last, priceScale);
  const head: Line = [
    [symbol, 'bold'],
    `  ${last}  seq ${book?.seq ?? 0}  ${seen.perSecond}/s  `,
    mood(seen, book?.mark ?? null),
  ];
  const room = roomFor(blockRows);
  if (book === undefined || !book.trusted) {
    const unknown: Line = [['  the book may be incomplete, so it is not displayed', 'yellow']];
    return blockRows > 1 ? [head, unknown] : [unknown];
  }
  const { asks, bids } = around(
    levelsOf(book.asks, depth),
    levelsOf(book.bids, depth),
    room.levels,
  );
  const all = [...asks, ...bids];
  const priceWidth = Math.max(5, ...all.map(([p]) => formatDecimal(p, priceScale).length));
  const quantityWidth = Math.max(8, ...all.map(([, q]) => formatDecimal(q, quantityScale).length));
  const most = Math.max(1, ...all.map(([, quantity]) => quantity));
  const barColumns = Math.min(BAR_COLUMNS_MAX, columns - priceWidth - quantityWidth - 11);
  const line = ([price, quantity]: Level, side: 'ask' | 'bid'): Line => {
    const colour = side === 'ask' ? 'red' : 'green';
    const numbers = [
      formatDecimal(price, priceScale).padStart(priceWidth),
      formatDecimal(quantity, quantityScale).padStart(quantityWidth),
    ];
    return [
      `${side}  `,
      [numbers[0]!, colour],
      `  ${numbers[1]}  `,
      [bar(quantity / most, room.isOneLine ? 0 : barColumns), colour],
    ];
  };
  const askLines = asks.toReversed().map((level) => line(level, 'ask'));
  const bidLines = bids.map((level) => line(level, 'bid'));
  if (room.isOneLine) return [[...bidLines.flat(), ...askLines.flat()]];
  const between: Line = [[spread(asks[0], bids[0], priceScale, priceWidth), 'dim']];
  return [
    ...(room.hasHead ? [head] : []),
    ...askLines,
    ...(room.hasSpread ? [between] : []),
    ...bidLines,
  ];
}

/** What fits into a block of this many lines: the best levels of both sides come first. */
function roomFor(lines: number) {
  const hasHead = lines > 2;
  const hasSpread = lines > 3;
  const levels = Math.max(2, lines - Number(hasHead) - Number(hasSpread));
  return { levels, hasHead, hasSpread, isOneLine: lines < 2 };
}

/** This many levels around the spread, both sides together; a short side leaves its room to the other. */
export function around<T>(
  asks: readonly T[],
  bids: readonly T[],
  most: number,
): { asks: readonly T[]; bids: readonly T[] } {
  const asksMost = Math.max(Math.floor(most / 2), most - bids.length);
  const shown = asks.slice(0, asksMost);
  return { asks: shown, bids: bids.slice(0, most - shown.length) };
}

/** A book's mark as text for people. */
export const MARK_WORDS = {
  stale: 'stale: the source is gone',
  recovered: 'recovered: nothing received since the restart',
} as const;

function mood(
  { trouble, state }: Seen,
  mark: LocalBook['mark'],
): readonly [string, 'yellow' | 'dim' | 'green'] {
  if (trouble !== '') return [trouble, 'yellow'];
  if (mark !== null) return [MARK_WORDS[mark], 'yellow'];
  return state === 'live' ? ['live', 'green'] : [state, 'yellow'];
}

type Level = readonly [price: number, quantity: number];

function levelsOf(flat: readonly number[], depth: number): Level[] {
  const levels: Level[] = [];
  for (let i = 0; i + 1 < flat.length && levels.length < depth; i += 2) {
    levels.push([flat[i]!, flat[i + 1]!]);
  }
  return levels;
}

function spread(
  ask: Level | undefined,
  bid: Level | undefined,
  scale: number,
  width: number,
): string {
  if (ask === undefined || bid === undefined) return '     –';
  return `     ${formatDecimal(ask[0] - bid[0], scale).padStart(width)}  spread`;
}

/** A bar in eighths of a column. */
function bar(share: number, columns: number): string {
  const eighths = Math.round(Math.max(0, Math.min(share, 1)) * Math.max(columns, 0) * 8);
  return '█'.repeat(Math.floor(eighths / 8)) + BAR[eighths % 8]!;
}
