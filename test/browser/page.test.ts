/** The page in a real browser, compared with REST: it displays what the server has. */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import type { Browser, Page } from 'playwright-core';

import { CHROMIUM, launch, open, TEST_MS_MAX, waitLadder, waitLive } from './browser';
import { QuietMarket, TRADE_KEY } from './quiet-market';
import { testDeep } from '../support/tier';

setDefaultTimeout(TEST_MS_MAX);

/** A time of the server in the format of the field, a millisecond later, because the field cuts off the rest. */
function shortly(nanos: string): string {
  const time = new Date(Number(BigInt(nanos) / 1_000_000n) + 1);
  return time.toISOString().replace('T', ' ').slice(0, 23);
}

/** Waits until the newest candle equals the newest bar of REST; the market is quiet meanwhile. */
async function expectNewestBar(page: Page, market: QuietMarket): Promise<void> {
  const { bars } = (await market.server.json('/v1/bars/ACME?interval=1m&limit=10')) as {
    bars: Record<'openTime' | 'open' | 'high' | 'low' | 'close' | 'volume', string>[];
  };
  const { openTime, open, high, low, close, volume } = bars.at(-1)!;
  const time = Number(BigInt(openTime) / 1_000_000_000n);
  const [o, h, l, c, v] = [open, high, low, close, volume].map(Number);
  const candle = JSON.stringify({ time, open: o, high: h, low: l, close: c, volume: v });
  await page.waitForFunction(
    (wanted) => document.querySelector<HTMLElement>('#chart')?.dataset['newest'] === wanted,
    candle,
  );
}

describe.skipIf(CHROMIUM === undefined)('the page', () => {
  let browser: Browser;
  let market: QuietMarket;

  beforeAll(async () => {
    market = await QuietMarket.start();
    await market.fill();
    browser = await launch();
  });

  afterAll(async () => {
    await browser?.close();
    await market?.server.remove();
  });

  test('its ladder is the book of REST at the same seq, and follows it', async () => {
    const { page, errors, strangers } = await open(browser, `${market.server.url}/#ACME`);
    for (const [side, price, quantity, key] of [
      ['sell', '100.05', '3.5', undefined],
      ['buy', '100.05', '1.5', TRADE_KEY],
      ['buy', '99.97', '8.0', undefined],
    ] as const) {
      await market.order(side, price, quantity, key);
      const { seq, bids, asks } = await market.book();
      expect(await waitLadder(page, seq)).toEqual({ seq, trusted: true, bids, asks });
    }
    await page.waitForFunction(
      () => document.querySelector('#tape .trade .price.up')?.textContent === '100.05',
    );
    await page.click('#head .choice button[value="1m"]');
    await expectNewestBar(page, market);
    expect({ errors, strangers }).toEqual({ errors: [], strangers: [] });
    await page.context().close();
  });

  test('time travel displays the book that REST returns for that time', async () => {
    const { page, errors } = await open(browser, `${market.server.url}/#ACME`);
    const before = await market.book();
    await Bun.sleep(1_500);
    await market.order('sell', '100.30', '40.0');
    const now = await market.book();
    await waitLadder(page, now.seq);
    const nanos = BigInt(before.eventTime) + 1_000_000_000n;
    const at = new Date(Number(nanos / 1_000_000n)).toISOString();
    await page.fill('#travel input[type=text]', at.replace('T', ' ').slice(0, 23));
    await page.press('#travel input[type=text]', 'Enter');
    const then = await market.book(at);
    expect(then.seq).toBe(before.seq);
    const { seq, bids, asks } = then;
    expect(await waitLadder(page, seq)).toEqual({ seq, trusted: true, bids, asks });
    // Back to the present, by keyboard.
    await page.keyboard.press('Escape');
    expect((await waitLadder(page, now.seq)).asks).toEqual(now.asks);
    expect(errors).toEqual([]);
    await page.context().close();
  });

  test('from a past time it replays up to the newest book at its start', async () => {
    const { page, errors } = await open(browser, `${market.server.url}/#ACME`);
    const start = await market.book();
    const books = new Map([[start.seq, start]]);
    for (const price of ['99.95', '99.96', '99.98']) {
      await Bun.sleep(700);
      await market.order('buy', price, '1.0');
      const book = await market.book();
      books.set(book.seq, book);
    }
    const newest = Math.max(...books.keys());
    await waitLadder(page, newest);
    await page.fill('#travel input[type=text]', shortly(start.eventTime));
    await page.press('#travel input[type=text]', 'Enter');
    await waitLadder(page, start.seq);
    await page.click('#travel .choice button[value="10"]');
    await page.click('#travel .play');
    const last = await waitLadder(page, newest);
    const { seq, bids, asks } = books.get(newest)!;
    expect(last).toEqual({ seq, trusted: true, bids, asks });
    await page.waitForFunction(() =>
      document.querySelector('#travel .note')?.textContent.startsWith('Replayed'),
    );
    expect(await page.textContent('#travel .play')).toBe('Play');
    expect(errors).toEqual([]);
    await page.context().close();
  });

  test('an order placed on it trades and appears; a wrong key is reported', async () => {
    const { page, errors } = await open(browser, `${market.server.url}/#ACME`);
    await waitLive(page);
    await page.fill('#orders .key input', 'no-key-of-this-server-01');
    await page.press('#orders .key input', 'Enter');
    await page.waitForSelector('#orders .outcome.down');
    expect(await page.textContent('#orders .outcome')).toContain('key');
    await page.fill('#orders .key input', TRADE_KEY);
    await page.press('#orders .key input', 'Enter');
    await page.waitForSelector('#orders .outcome.up');
    expect(page.url()).not.toContain(TRADE_KEY);

    await market.order('sell', '99.99', '2.0');
    const { seq, asks } = await market.book();
    expect(asks[0]).toEqual(['99.99', '2.0']);
    await waitLadder(page, seq);
    await page.click('#ladder .level.ask[data-price="99.99"]');
    await page.fill('#orders input[name=quantity]', '2.0');
    await page.click('#orders .submit');
    await page.waitForFunction(() =>
      document.querySelector('#orders .outcome')?.textContent.includes('filled'),
    );
    const newest = (await market.server.json('/v1/trades/ACME?limit=1'))['trades'] as object[];
    expect(newest[0]).toMatchObject({ price: '99.99', quantity: '2.0', aggressor: 'buy' });
    await page.waitForFunction(
      (wanted) => document.querySelector<HTMLElement>('#tape')?.dataset['seq'] === wanted,
      String((newest[0] as { seq: number }).seq),
    );

    // A resting order is listed, and disappears when it is cancelled.
    await page.fill('#orders input[name=price]', '90.00');
    await page.click('#orders .submit');
    await page.waitForSelector('#orders .own button');
    await page.click('#orders .own button');
    await page.waitForFunction(() => document.querySelector('#orders .own button') === null);
    const orders = await market.server.get('/v1/orders', {
      headers: { authorization: `Bearer ${TRADE_KEY}` },
    });
    expect(await orders.json()).toMatchObject({ orders: [] });
    expect(errors).toEqual([]);
    await page.context().close();
  });

  testDeep(
    'an unknown symbol in the URL is reported, and another instrument is displayed',
    async () => {
      const { page, errors } = await open(browser, `${market.server.url}/?symbol=NOPE`);
      await page.waitForSelector('#notice [data-subject=symbol]');
      expect(await page.textContent('#notice')).toContain(
        'There is no instrument NOPE here; this is ACME.',
      );
      await page.evaluate(() => (location.hash = '#ZINC'));
      await page.waitForFunction(() => document.title.startsWith('ZINC'));
      expect(await page.$('#notice [data-subject=symbol]')).toBeNull();
      expect(errors).toEqual([]);
      await page.context().close();
    },
  );

  testDeep(
    'a clock that is wrong by hours is reported, and times and latencies are right',
    async () => {
      const threeHours = 3 * 3_600_000;
      const { page } = await open(browser, `${market.server.url}/#ACME`, {
        before: (page) =>
          page.addInitScript((ms) => {
            const { now } = Date;
            const origin = performance.timeOrigin;
            Date.now = () => now() + ms;
            Object.defineProperty(performance, 'timeOrigin', { get: () => origin + ms });
          }, threeHours),
      });
      await page.waitForSelector('#notice [data-subject=clock]');
      expect(await page.textContent('#notice')).toContain('3 h ahead of the server');
      await market.order('buy', '99.50', '1.0');
      await waitLadder(page, (await market.book()).seq);
      const displayed = await page.inputValue('#travel input[type=text]');
      const offMs = Date.parse(`${displayed.replace(' ', 'T')}Z`) - Date.now();
      expect(Math.abs(offMs)).toBeLessThan(threeHours / 2);
      await page.context().close();
    },
  );

  test('the server is killed and comes back: the page says so, and resumes by itself', async () => {
    await market.order('sell', '100.05', '1.0');
    await market.order('buy', '100.05', '1.0', TRADE_KEY);
    const { page, errors } = await open(browser, `${market.server.url}/#ACME`);
    await waitLadder(page, (await market.book()).seq);
    const before = await page.locator('#ladder').boundingBox();
    await market.server.stop('SIGKILL');
    await page.waitForSelector('#notice [data-subject=link]');
    expect(await page.textContent('#notice')).toContain('The server is away');
    await page.waitForSelector('#orders .submit:disabled');
    expect(await page.locator('#ladder').boundingBox()).toEqual(before); // nothing jumps
    market = await market.restart();
    await waitLive(page);
    await market.order('sell', '100.15', '7.0');
    const { seq, bids, asks } = await market.book();
    expect(await waitLadder(page, seq)).toEqual({ seq, trusted: true, bids, asks });
    // An interrupted bar is taken from history, and continues live.
    await page.click('#head .choice button[value="1m"]');
    await expectNewestBar(page, market);
    await market.order('buy', '100.15', '0.5', TRADE_KEY);
    await expectNewestBar(page, market);
    // Bars are resumed like everything else: nothing had to be requested again.
    const resets = await page.textContent('#health span[title^="How often state"] b');
    expect(Number(resets)).toBe(0);
    expect(await page.$('#notice [data-subject=link]')).toBeNull();
    const away = /ERR_CONNECTION_(REFUSED|RESET)|ERR_EMPTY_RESPONSE/;
    const unexpected = errors.filter((text) => !away.test(text));
    expect(unexpected).toEqual([]);
    await page.context().close();
  });

  testDeep('a tab that slept through a restart is right again when it wakes', async () => {
    const { page } = await open(browser, `${market.server.url}/#ACME`);
    await waitLadder(page, (await market.book()).seq);
    const session = await page.context().newCDPSession(page);
    await session.send('Page.setWebLifecycleState', { state: 'frozen' });
    market = await market.restart();
    await market.order('buy', '99.95', '4.0');
    await session.send('Page.setWebLifecycleState', { state: 'active' });
    const { seq, bids, asks } = await market.book();
    expect(await waitLadder(page, seq)).toEqual({ seq, trusted: true, bids, asks });
    await page.context().close();
  });
});
