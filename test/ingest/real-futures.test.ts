/** Recorded futures: COIN-M as hftbacktest captures them, USD-M of four symbols as cryptofeed does. */

import { afterAll, expect, test } from 'bun:test';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

import type { SourceEvent } from '../../protocol/messages';
import type { ImportOptions } from '../../src/cli/import-options';
import { balanceOf, exported, importInto } from '../support/imported';
import { Scratch } from '../support/tapedeck-process';
import { NaiveInstrument } from './naive-book';
import { all, opened } from './support';

const DATA = join(import.meta.dir, '../../../shared/data');
const COIN_M = join(DATA, 'btcusd_perp_20240808.gz');
const VENUES = join(DATA, 'venues');
const present = existsSync(COIN_M) && existsSync(VENUES);
if (!present) console.log(`NOT TESTED against real data: ${COIN_M} is not there`);

const scratch = new Scratch();
afterAll(() => scratch.remove());

const UNWHOLE = new Set(['gap', 'overlap', 'quote-mismatch', 'trades-missed', 'book-renumbered']);

/** @returns the directory */
async function importWhole(
  file: string,
  symbols: readonly string[],
  lines: number,
  options: Partial<ImportOptions> = {},
): Promise<string> {
  const data = scratch.fresh();
  const { summary, fault } = await importInto(data, [file], options);
  expect(fault).toBeUndefined();
  expect(balanceOf(summary)).toBe(0);
  expect(summary).toMatchObject({ lines, refused: 0, books: [] });
  for (const symbol of symbols) {
    const reasons = exported(data, 'status', symbol).map((e) => e['reason'] as string);
    expect([symbol, reasons.filter((reason) => UNWHOLE.has(reason))]).toEqual([symbol, []]);
  }
  return data;
}

test.skipIf(!present)(
  'COIN-M: a complete book, no gap, every line',
  async () => {
    const { records } = await all(await opened(COIN_M));
    const events = records.flatMap((r) => r.events);
    const definition = events[0] as SourceEvent & { type: 'instrument' };
    expect([definition.priceScale, definition.quantityScale]).toEqual([1, 0]);
    const book = new NaiveInstrument(definition);
    let wasWhole = false;
    for (const event of events) {
      book.apply(event);
      if (wasWhole) expect(book.state).toBe('live');
      wasWhole ||= book.state === 'live';
    }
    expect(wasWhole).toBe(true);
    await importWhole(COIN_M, ['BTCUSD_PERP'], 48_270);
  },
  60_000,
);

interface Line {
  readonly time: string;
  readonly json: string;
  readonly symbol: string;
}

/** Lines `<time>: {…}`, and for a REST answer `https://…symbol=X… -> <time>: {…}`. */
function linesOf(venue: string): Line[] {
  const found: Line[] = [];
  for (const part of ['ws.1', 'http.0']) {
    const path = join(VENUES, `cryptofeed-${venue}.${part}.0.gz`);
    for (const line of gunzipSync(readFileSync(path)).toString().split('\n')) {
      const [, url, time, json] = /^(?:(\S+) -> )?(\d+(?:\.\d+)?): (\{.*\})$/.exec(line) ?? [];
      const symbol =
        /"s":"([A-Z]+)"/.exec(json ?? '')?.[1] ?? /symbol=([A-Z]+)/.exec(url ?? '')?.[1];
      if (time !== undefined && json !== undefined && symbol !== undefined) {
        found.push({ time, json, symbol });
      }
    }
  }
  return found.sort((x, y) => Number(x.time) - Number(y.time));
}

const fileOf = (lines: readonly Line[]): string =>
  scratch.write(lines.map(({ time, json }) => `${time} ${json}\n`).join(''));

async function importLines(lines: readonly Line[]): Promise<void> {
  const symbols = [...new Set(lines.map(({ symbol }) => symbol))];
  const data = await importWhole(fileOf(lines), symbols, lines.length, { timeUnit: 's' });
  for (const symbol of symbols) {
    expect(exported(data, 'book', symbol).length).toBeGreaterThan(1);
  }
}

test.skipIf(!present)(
  'spot, four symbols in one capture: each snapshot is assigned by its number, each book is complete',
  async () => {
    const lines = linesOf('BINANCE');
    expect(new Set(lines.map(({ symbol }) => symbol)).size).toBe(4);
    await importLines(lines);
  },
  60_000,
);

test.skipIf(!present)(
  'USD-M: each book is complete; of all together the numbers do not reveal the symbol of a snapshot',
  async () => {
    const lines = linesOf('BINANCE_FUTURES');
    const symbols = [...new Set(lines.map(({ symbol }) => symbol))];
    expect(symbols).toHaveLength(4);
    for (const one of symbols) await importLines(lines.filter(({ symbol }) => symbol === one));
    const { fault } = await importInto(scratch.fresh(), [fileOf(lines)], { timeUnit: 's' });
    expect(fault?.code).toBe('ambiguous-symbol');
  },
  60_000,
);

test.skipIf(!present)(
  'captures in the form of cryptofeed are refused with that reason',
  async () => {
    for (const name of readdirSync(VENUES).filter((one) => one.startsWith('cryptofeed'))) {
      const { fault } = await importInto(scratch.fresh(), [join(VENUES, name)]);
      expect([name, fault?.code]).toEqual([name, 'not-a-recording']);
      expect(fault!.message).toContain('in the form of cryptofeed');
    }
  },
);
