/** Feed instruments on the page: books in doubt, bars of all ages, figures of any length. */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import type { Browser, Page } from 'playwright-core';

import {
  Nanos,
  TapedeckClient,
  type Book,
  type Instrument,
  type Trade,
} from '../../src/client/index';
import { book, instrument, tape, trade } from '../support/feed';
import { PUBLISH_KEY, ServerProcess } from '../support/tapedeck-process';
import { CHROMIUM, launch, open, TEST_MS_MAX, waitLive } from './browser';
import { testDeep } from '../support/tier';

setDefaultTimeout(TEST_MS_MAX);

const SECOND_NS = 1_000_000_000n;
const DAY_S = 86_400;

/** The time some seconds from now, in whole seconds, as nanoseconds. */
function at(seconds: number): string {
  return (BigInt(Math.floor(Date.now() / 1000) + seconds) * SECOND_NS).toString();
}

async function take(server: ServerProcess, ...events: readonly Record<string, unknown>[]) {
  const answer = await server.ingest(tape(...events));
  if (!answer.ok) throw new Error(await answer.text());
}

async function waitText(page: Page, selector: string, text: string): Promise<void> {
  await page.waitForFunction(
    ([place, wanted]) => document.querySelector(place!)?.textContent.includes(wanted!),
    [selector, text],
  );
}

function waitData(page: Page, name: string, value: string): Promise<unknown> {
  return page.waitForFunction(
    ([key, wanted]) => document.querySelector<HTMLElement>('#chart')?.dataset[key!] === wanted,
    [name, value],
  );
}

describe.skipIf(CHROMIUM === undefined)('a book in doubt', () => {
  let browser: Browser;
  let server: ServerProcess;

  beforeAll(async () => {
    server = await ServerProcess.start();
    browser = await launch();
  });

  afterAll(async () => {
    await browser?.close();
    await server?.remove();
  });

  const FEED: Instrument = {
    type: 'instrument',
    symbol: 'GONE',
    seq: 0,
    market: 'feed',
    priceScale: 2,
    quantityScale: 1,
    priceIncrement: 1,
    quantityIncrement: 1,
    previousClose: null,
    rules: null,
    shard: null,
  };

  function levels(form: Book['form'], seq: number, prevSeq: number, bid: number): Book {
    const eventTime = Nanos.fromMillis(Date.now());
    const sides = { bids: [bid, 50], asks: [bid + 10, 70] };
    return {
      type: 'book',
      symbol: 'GONE',
      seq,
      prevSeq,
      eventTime,
      receiveTime: Nanos.ZERO,
      form,
      ...sides,
      crc: null,
      count: 1,
      mark: null,
    };
  }

  function traded(price: number): Trade {
    const eventTime = Nanos.fromMillis(Date.now());
    return {
      type: 'trade',
      symbol: 'GONE',
      seq: 0,
      prevSeq: 0,
      eventTime,
      receiveTime: Nanos.ZERO,
      price,
      quantity: 5,
      aggressor: 'buy',
      tradeId: 0,
      timing: null,
    };
  }

  async function expectDoubt(page: Page, words: string, hasLevels: boolean): Promise<void> {
    await waitText(page, '.panel.ladder .doubt', words);
    await page.waitForSelector('#ladder[data-trusted="false"]');
    await waitText(page, '#head .figures', 'Bid –');
    await waitText(page, '#head .figures', 'Ask –');
    await waitText(page, '#list .row[data-symbol="GONE"] .quote', '– / –');
    expect(await page.textContent('#head .last')).toBe('10.10'); // a trade is still sent
    expect((await page.$('#ladder .level[data-price]')) !== null).toBe(hasLevels);
    const opacity = await page.evaluate(() =>
      Number(getComputedStyle(document.querySelector('#ladder')!).opacity),
    );
    expect(opacity).toBeLessThan(0.7);
  }

  async function expectGood(page: Page, bid: string): Promise<void> {
    await page.waitForSelector('#ladder[data-trusted="true"]');
    await waitText(page, '#head .figures', `Bid ${bid}`);
    expect(await page.isVisible('.panel.ladder .doubt')).toBe(false);
  }

  test('after a gap, when its source is gone, and after a restart it is dimmed, and says why', async () => {
    const source = await TapedeckClient.connect(server.url, { client: 'source', key: PUBLISH_KEY });
    await source.publish([FEED, levels('snapshot', 100, 0, 1000), traded(1010)]);
    const { page, errors } = await open(browser, `${server.url}/#GONE`);
    await expectGood(page, '10.00');

    await source.publish([levels('delta', 105, 103, 1001)]);
    await expectDoubt(page, 'Messages of the source are missing', false);
    // A new reader sees no more of it.
    const late = await open(browser, `${server.url}/#GONE`);
    await expectDoubt(late.page, 'book', false);
    await late.page.context().close();
    await source.publish([levels('snapshot', 200, 0, 1002)]);
    await expectGood(page, '10.02');

    source.close();
    await expectDoubt(page, 'The source has disconnected', true);

    await server.stop('SIGKILL');
    const port = new URL(server.url).port;
    server = await ServerProcess.start({ data: server.data, args: ['--port', port] });
    await waitLive(page);
    await expectDoubt(page, 'before the server restarted', true);
    const again = await TapedeckClient.connect(server.url, { client: 'source', key: PUBLISH_KEY });
    await again.publish([FEED, levels('snapshot', 300, 0, 1003)]);
    await expectGood(page, '10.03');
    again.close();
    const away = /ERR_CONNECTION_(REFUSED|RESET)|ERR_EMPTY_RESPONSE/;
    expect(errors.filter((text) => !away.test(text))).toEqual([]);
    await page.context().close();
  });
});

describe.skipIf(CHROMIUM === undefined)('bars and figures of a feed', () => {
  let browser: Browser;
  let server: ServerProcess;

  beforeAll(async () => {
    server = await ServerProcess.start();
    browser = await launch();
  });

  afterAll(async () => {
    await browser?.close();
    await server?.remove();
  });

  test('without instruments it says so, and what to do; the first one is selected by itself', async () => {
    const { page, errors } = await open(browser, `${server.url}/#NOPE`);
    await waitLive(page);
    await waitText(page, '#list .none', 'This server has no instruments yet.');
    await page.waitForSelector('#empty:not([hidden])');
    expect(await page.textContent('#empty')).toContain('[[instruments]]');
    await waitText(page, '#notice', 'There is no instrument NOPE here.');
    await take(
      server,
      instrument('FIRST'),
      trade('FIRST', '10.00', '1.000', { eventTime: at(-1) }),
    );
    await waitText(page, '#head .symbol', 'FIRST');
    expect(await page.isVisible('#empty')).toBe(false);
    expect(await page.isVisible('#list .none')).toBe(false);
    await waitText(page, '#notice', 'There is no instrument NOPE here; this is FIRST.');
    expect(new URL(page.url()).hash).toBe('#FIRST');
    expect(errors).toEqual([]);
    await page.context().close();
  });

  testDeep('the chart scrolls over empty stretches to the very first bar', async () => {
    const minute = (n: number): string => at(-30 * DAY_S + n * 60);
    const days = [0, 1, 9, 9.5, 28];
    // Ten bars on each of some days, an hour apart.
    const minutes = days.flatMap((day) => [...Array(10).keys()].map((i) => day * 1440 + i * 60));
    const trades = minutes.map((n) =>
      trade('SPARSE', '10.00', '1.000', { eventTime: minute(Math.round(n)) }),
    );
    await take(server, instrument('SPARSE'), ...trades);
    const { page, errors } = await open(browser, `${server.url}/#SPARSE`);
    for (const interval of ['1m', '5m', '1s'] as const) {
      await page.click(`#head .choice button[value="${interval}"]`);
      await waitData(page, 'bars', String(minutes.length));
    }
    expect(errors).toEqual([]);
    await page.context().close();
  });

  testDeep('a revision of an earlier bar changes it; a late new bar is inserted', async () => {
    const base = Math.floor(Date.now() / 1000 / 60) * 60 - 14_400;
    const when = (s: number): string => (BigInt(base + s) * SECOND_NS).toString();
    await take(
      server,
      instrument('REVISED'),
      trade('REVISED', '10.00', '1.000', { eventTime: when(0) }),
    );
    const { page, errors } = await open(browser, `${server.url}/#REVISED`);
    await page.click('#head .choice button[value="1m"]');
    const candle = (s: number, prices: number[], volume: number): string => {
      const [open, high, low, close] = prices;
      return JSON.stringify({ time: base + s, open, high, low, close, volume });
    };
    await waitData(page, 'newest', candle(0, [10, 10, 10, 10], 1));
    await take(server, trade('REVISED', '11.00', '1.000', { eventTime: when(7_200) }));
    await waitData(page, 'newest', candle(7_200, [11, 11, 11, 11], 1));
    await take(server, trade('REVISED', '9.00', '2.000', { eventTime: when(30) }));
    await waitData(page, 'oldest', candle(0, [10, 10, 9, 9], 3));
    await waitData(page, 'newest', candle(7_200, [11, 11, 11, 11], 1));
    await waitData(page, 'bars', '2');
    await take(server, trade('REVISED', '12.00', '1.000', { eventTime: when(70) }));
    await waitData(page, 'bars', '3');
    await waitData(page, 'newest', candle(7_200, [11, 11, 11, 11], 1));
    await waitData(page, 'last', '11.00');
    expect(errors).toEqual([]);
    await page.context().close();
  });

  testDeep('the last price of a scrolled chart is the newest', async () => {
    const trades = [...Array(400).keys()].map((i) =>
      trade('LONG', (100 + i / 100).toFixed(2), '1.000', { eventTime: at(-24_000 + i * 60) }),
    );
    await take(server, instrument('LONG'), ...trades);
    const { page, errors } = await open(browser, `${server.url}/#LONG`);
    await page.click('#head .choice button[value="1m"]');
    await waitData(page, 'bars', '400');
    await waitData(page, 'last', '103.99');
    const before = await page.screenshot({ clip: await chartBox(page) });
    const { x, y, width, height } = await chartBox(page);
    await page.mouse.move(x + 40, y + height / 2);
    await page.mouse.down();
    await page.mouse.move(x + width - 160, y + height / 2, { steps: 8 });
    await page.mouse.up();
    await page.waitForFunction(
      () => Number(document.querySelector<HTMLElement>('#chart')?.dataset['right']) < 380,
    );
    expect(before.equals(await page.screenshot({ clip: await chartBox(page) }))).toBe(false);
    await take(server, trade('LONG', '104.50', '1.000', { eventTime: at(0) }));
    await waitData(page, 'last', '104.50');
    expect(errors).toEqual([]);
    await page.context().close();
  });

  test.each([
    [1440, 900],
    [1280, 800],
    [400, 844],
  ])(
    'at %d × %d no figure is cut off at eight decimals, and all are as wide',
    async (width, height) => {
      const wide = {
        priceScale: 8,
        quantityScale: 8,
        priceIncrement: '0.00000001',
        quantityIncrement: '0.00000001',
      };
      const price = (i: number): string => (61_837.12345678 + i).toFixed(8);
      const side = (step: number): [string, string][] =>
        [...Array(10).keys()].map((i) => [price(step * (i + 1)), '9876.12345678']);
      const symbol = `WIDE${width}`;
      await take(
        server,
        instrument(symbol, wide),
        book(symbol, 'snapshot', side(-1), side(1), { eventTime: at(-60) }),
        trade(symbol, '61837.12345678', '1234.12345678', { eventTime: at(-60) }),
        trade(symbol, '61838.12345678', '87654321.10000001', { eventTime: at(-2) }),
        trade(symbol, '61838.12345678', '87654321.10000001', { eventTime: at(-1) }),
      );
      const { page, errors } = await open(browser, `${server.url}/#${symbol}`, {
        viewport: { width, height },
      });
      await page.waitForSelector('#ladder .level[data-price]');
      await waitText(page, '#tape', '87,654,321.10000001');
      await waitText(page, '#head .figures', '175,309,876.32345680');
      const faults = await page.evaluate(figureFaults);
      expect(faults).toEqual([]);
      expect(errors).toEqual([]);
      await page.context().close();
    },
  );
});

async function chartBox(page: Page) {
  return (await page.locator('#chart').boundingBox())!;
}

/** Runs in the page: figures that are cut off, overflow their panel, or differ in width. */
function figureFaults(): string[] {
  const cells = [
    '#ladder .level[data-price] span',
    '#tape .trade span',
    '#list .row:not([hidden]) .last',
    '#list .row:not([hidden]) .quote',
    '#head .last',
    '#head .figures b',
    '#orders input',
  ];
  return cells.flatMap((selector) =>
    [...document.querySelectorAll<HTMLElement>(selector)].flatMap((element) => {
      if (element.offsetParent === null) return []; // not displayed
      const box = element.getBoundingClientRect();
      const panel = element.closest('.panel')!.getBoundingClientRect();
      const name = `${selector} ${element.textContent}`;
      const faults: string[] = [];
      if (element.scrollWidth > element.clientWidth && element.clientWidth > 0) faults.push('cut');
      if (box.right > panel.right + 0.5 || box.left < panel.left - 0.5) faults.push('outside');
      if (!getComputedStyle(element).fontVariantNumeric.includes('tabular-nums')) {
        faults.push('not tabular');
      }
      return faults.map((fault) => `${name}: ${fault}`);
    }),
  );
}
