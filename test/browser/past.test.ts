/** Time travel in a real browser: everything on the page is of the chosen time, or says that it is not. */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import type { Browser, Page } from 'playwright-core';

import { CHROMIUM, launch, open, TEST_MS_MAX, waitLadder, waitLive } from './browser';
import { QuietMarket, TRADE_KEY } from './quiet-market';
import { testDeep } from '../support/tier';

setDefaultTimeout(TEST_MS_MAX);

const TIME = '#travel input[type=text]';

interface Trade {
  readonly seq: number;
  readonly eventTime: string;
}

async function newestTrade(market: QuietMarket): Promise<Trade> {
  const { trades } = (await market.json('/v1/trades/ACME?limit=1')) as { trades: Trade[] };
  return trades[0]!;
}

/** Makes one trade at a price, alone in its millisecond and the next. */
async function tradeAt(market: QuietMarket, price: string, quantity: string): Promise<Trade> {
  await market.order('sell', price, quantity);
  await market.order('buy', price, quantity, TRADE_KEY);
  const made = await newestTrade(market);
  await Bun.sleep(5);
  return made;
}

/** A time as the page writes it, a millisecond after a trade. */
function behind({ eventTime }: Trade): string {
  const time = new Date(Number(BigInt(eventTime) / 1_000_000n) + 1);
  return time.toISOString().replace('T', ' ').slice(0, 23);
}

async function type(page: Page, text: string): Promise<void> {
  await page.fill(TIME, text);
  await page.press(TIME, 'Enter');
}

async function waitText(page: Page, selector: string, text: string): Promise<void> {
  await page.waitForFunction(
    ([place, wanted]) => document.querySelector(place!)?.textContent.includes(wanted!),
    [selector, text],
  );
}

/** The figures of the head, by name. */
function figures(page: Page): Promise<Record<string, string>> {
  return page.evaluate(() =>
    Object.fromEntries(
      [...document.querySelectorAll('#head .figures span')].map((label) => {
        const value = label.querySelector('b')!.textContent;
        return [label.textContent.slice(0, -value.length).trim(), value];
      }),
    ),
  );
}

async function newestCandle(page: Page): Promise<Record<string, number>> {
  const text = await page.getAttribute('#chart', 'data-newest');
  return JSON.parse(text ?? '{}') as Record<string, number>;
}

describe.skipIf(CHROMIUM === undefined)('a past moment on the page', () => {
  let browser: Browser;
  let market: QuietMarket;
  let first: Trade;
  let second: Trade;

  beforeAll(async () => {
    market = await QuietMarket.start();
    await market.fill();
    await tradeAt(market, '99.99', '2.0');
    await tradeAt(market, '100.02', '1.0');
    first = await tradeAt(market, '100.01', '3.0');
    second = await tradeAt(market, '100.07', '4.5');
    browser = await launch();
  });

  afterAll(async () => {
    await browser?.close();
    await market?.server.remove();
  });

  test('headline, statistics, candles and ticket are of that time, and the list says that it is not', async () => {
    const { page, errors } = await open(browser, `${market.server.url}/#ACME`);
    await page.click('#head .choice button[value="1d"]');
    await waitText(page, '#head .last', '100.07');
    await page.waitForFunction(() => document.querySelector('#chart[data-last="100.07"]') !== null);
    expect(await page.isVisible('.list-columns .now')).toBe(false);
    await page.fill('#orders .key input', TRADE_KEY);
    await page.press('#orders .key input', 'Enter');
    await page.waitForSelector('#orders .submit:not(:disabled)');

    await type(page, behind(first));
    await waitText(page, '#head .last', '100.01');
    await page.waitForFunction(() => document.querySelector('#chart[data-last="100.01"]') !== null);
    await waitText(page, '#head .figures', 'Trades 3');
    const { bids, asks } = await market.book(behind(first).replace(' ', 'T') + 'Z');
    expect(await figures(page)).toEqual({
      Bid: bids[0]![0],
      Ask: asks[0]![0],
      Open: '99.99',
      High: '100.02',
      Low: '99.99',
      VWAP: '–',
      Volume: '6.0',
      Trades: '3',
    });
    expect(await page.textContent('#head .change')).toContain('+0.01');
    const { open: o, high, low, close, volume } = await newestCandle(page);
    expect([o, high, low, close, volume]).toEqual([99.99, 100.02, 99.99, 100.01, 6]);
    expect(await page.isVisible('.list-columns .now')).toBe(true);
    for (const field of ['.submit', 'input[name=price]', 'input[name=quantity]', '.sides button']) {
      expect(await page.isDisabled(`#orders ${field}`)).toBe(true);
    }
    expect(await page.textContent('#order-note')).toBe('past, takes none');

    await page.keyboard.press('Escape');
    await waitText(page, '#head .last', '100.07');
    await page.waitForFunction(() => document.querySelector('#chart[data-last="100.07"]') !== null);
    await waitText(page, '#head .figures', 'Trades 4');
    await page.waitForSelector('#orders .submit:not(:disabled)');
    expect(errors).toEqual([]);
    await page.context().close();
  });

  testDeep('a replay updates headline, statistics and candle', async () => {
    const { page, errors } = await open(browser, `${market.server.url}/#ACME`);
    await waitLive(page);
    await page.click('#head .choice button[value="1d"]');
    await type(page, behind(first));
    await waitText(page, '#head .figures', 'Trades 3');
    await page.click('#travel .choice button[value="100"]');
    await page.click('#travel .play');
    await waitText(page, '#head .figures', 'Trades 4');
    expect(await figures(page)).toMatchObject({ High: '100.07', Volume: '10.5' });
    expect(await page.textContent('#head .last')).toBe('100.07');
    await page.waitForFunction(() => document.querySelector('#chart[data-last="100.07"]') !== null);
    expect(await newestCandle(page)).toMatchObject({ high: 100.07, close: 100.07, volume: 10.5 });
    expect(errors).toEqual([]);
    await page.context().close();
  });

  testDeep('another instrument keeps the time', async () => {
    const { page, errors } = await open(browser, `${market.server.url}/#ACME`);
    await waitLive(page);
    await type(page, behind(first));
    await waitText(page, '#head .last', '100.01');
    await page.click('#list .row[data-symbol="ZINC"]');
    await waitText(page, '#head .symbol', 'ZINC');
    await waitText(page, '#travel .note', 'There was no book at this time.');
    await waitText(page, '.panel.ladder .doubt', 'There was no book at this time.');
    expect(await page.inputValue(TIME)).toBe(behind(first));
    await page.click('#list .row[data-symbol="ACME"]');
    const { seq } = await market.book(behind(first).replace(' ', 'T') + 'Z');
    await waitLadder(page, seq);
    await waitText(page, '#head .last', '100.01');
    expect(await page.inputValue(TIME)).toBe(behind(first));
    expect(errors.filter((text) => !text.includes('404'))).toEqual([]); // the browser reports it
    await page.context().close();
  });

  test('an invalid time is reported until it is corrected; the unit of a number is found by its magnitude', async () => {
    const { page, errors } = await open(browser, `${market.server.url}/#ACME`);
    await waitLive(page);
    await type(page, 'yesterday');
    await waitText(
      page,
      '#travel .note.down',
      '“yesterday” is not a time. Expected UTC such as 20',
    );
    // It stays through the paints that the passing of time causes.
    for (let i = 0; i < 3; i++) {
      const max = await page.getAttribute('#travel input[type=range]', 'max');
      await page.waitForFunction(
        (before) =>
          document.querySelector('#travel input[type=range]')!.getAttribute('max') !== before,
        max,
      );
    }
    expect(await page.textContent('#travel .note.down')).toContain('“yesterday” is not a time');
    expect(await page.inputValue(TIME)).toBe('yesterday');
    expect(await page.evaluate(() => document.body.classList.contains('past'))).toBe(false);

    const ms = String(BigInt(first.eventTime) / 1_000_000n + 1n);
    await type(page, ms);
    await waitText(page, '#travel .note', `Read as milliseconds since 1970: ${behind(first)}.`);
    await waitText(page, '#head .last', '100.01');
    expect(await page.inputValue(TIME)).toBe(behind(first));

    await type(page, '2100-01-01');
    await waitText(page, '#travel .note.down', 'is in the future');
    await page.click('#travel .live');
    await page.waitForSelector('#travel .note:not(.down)');
    await type(page, '2020-01-01');
    await waitText(page, '#travel .note', 'This is before the first record. They begin at 20');
    expect(second.seq).toBeGreaterThan(first.seq);
    expect(errors.filter((text) => !text.includes('404'))).toEqual([]);
    await page.context().close();
  });
});
