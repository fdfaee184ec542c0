/** The page of a server that requires a key of its readers, in a real browser. */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { SignJWT } from 'jose';
import type { Browser, Page } from 'playwright-core';

import { Scratch, tapedeck, testKey, type TestKey } from '../support/tapedeck-process';
import { CHROMIUM, launch, open, TEST_MS_MAX, waitLadder, waitLive } from './browser';
import { QuietMarket } from './quiet-market';
import { testDeep } from '../support/tier';

setDefaultTimeout(TEST_MS_MAX);

const SECRET = 'a-secret-of-more-than-thirty-two-bytes-0123456789';
const KEYS: readonly TestKey[] = [
  { name: 'reader', roles: ['read'] },
  { name: 'desk', roles: ['read', 'trade'] },
  { name: 'blind', roles: ['trade'] },
  { name: 'short', roles: ['read'] },
];
const READ_KEY = testKey('reader');
const TRADER_KEY = testKey('desk');
const BLIND_KEY = testKey('blind');
const SHORT_KEY = testKey('short');

function token(seconds: number): Promise<string> {
  return new SignJWT({ sub: 'ann', roles: ['read'] })
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime(Math.floor(Date.now() / 1000) + seconds)
    .sign(new TextEncoder().encode(SECRET));
}

async function give(page: Page, key: string): Promise<void> {
  await page.waitForSelector('#gate[open]');
  await page.keyboard.type(key); // the field has the focus
  await page.keyboard.press('Enter');
}

function waitSaid(page: Page, selector: string, words: string): Promise<unknown> {
  return page.waitForFunction(
    ([place, text]) => document.querySelector(place!)?.textContent.includes(text!),
    [selector, words],
  );
}

async function expectBook(page: Page, market: QuietMarket): Promise<void> {
  const { seq, bids, asks } = await market.book();
  // With a new client the ladder is empty at first; before that it is still that of the old one.
  await waitLive(page);
  let displayed = await waitLadder(page, seq);
  while (!displayed.trusted) displayed = await waitLadder(page, seq);
  expect(displayed).toEqual({ seq, trusted: true, bids, asks });
}

/** Where a secret of the page can be found, except in the storage of its tab. */
async function leaks(page: Page, secret: string): Promise<string[]> {
  const storages = await page.evaluate(() => ({
    address: location.href,
    document: document.documentElement.outerHTML,
    fields: [...document.querySelectorAll('input')].map(({ value }) => value).join(),
    local: JSON.stringify(Object.entries(localStorage)),
    cookies: document.cookie,
    history: JSON.stringify(history.state),
  }));
  return Object.entries(storages).flatMap(([where, text]) =>
    text.includes(secret) ? [where] : [],
  );
}

describe.skipIf(CHROMIUM === undefined)('the page of a server that requires a key', () => {
  const scratch = new Scratch();
  let browser: Browser;
  let market: QuietMarket;

  beforeAll(async () => {
    const config = `
[auth]
requireKey = true
tokenAlgorithm = "HS256"
tokenKeyFile = "${scratch.write(SECRET, '.key')}"
`;
    market = await QuietMarket.start({
      config,
      keys: KEYS,
    });
    await market.fill();
    browser = await launch();
  });

  afterAll(async () => {
    await browser?.close();
    await market?.server.remove();
    scratch.remove();
  });

  test('asks for a key; reports a wrong one; with the right one it works as usual', async () => {
    const { page, errors, strangers } = await open(browser, `${market.server.url}/#ACME`);
    await waitSaid(page, '#gate', 'This server requires a key');
    await waitSaid(page, '#health', 'Key wanted');
    await give(page, 'no-key-of-this-server-01');
    await waitSaid(page, '#gate .outcome', 'The server refused it: this is no key of this server.');
    await give(page, BLIND_KEY);
    await waitSaid(page, '#gate .outcome', 'the key blind does not have the role read');
    await give(page, await token(-60));
    await waitSaid(page, '#gate .outcome', 'the token is refused');
    await page.keyboard.press('Escape'); // there is nothing to close
    await give(page, TRADER_KEY);
    await waitLive(page);
    expect(await page.isVisible('#gate')).toBe(false);
    await expectBook(page, market);
    await market.order('buy', '99.97', '8.0');
    await expectBook(page, market);
    expect(await leaks(page, TRADER_KEY)).toEqual([]);

    // The same key may also trade.
    await waitSaid(page, '#order-note', 'key accepted');
    await page.click('#ladder .level.bid[data-price="99.97"]');
    await page.click('#orders .sides button[value=sell]');
    await page.fill('#orders input[name=quantity]', '8.0');
    await page.click('#orders .submit');
    await waitSaid(page, '#orders .outcome', 'is filled');

    // History is read with the key too.
    const { eventTime, seq } = await market.book();
    const at = new Date(Number(BigInt(eventTime) / 1_000_000n) + 1).toISOString();
    await page.fill('#travel input[type=text]', at.replace('T', ' ').slice(0, 23));
    await page.press('#travel input[type=text]', 'Enter');
    await page.waitForSelector('body.past');
    await waitLadder(page, seq);
    await page.keyboard.press('Escape');

    // The tab keeps it over a reload, and another tab does not have it.
    await page.reload();
    await expectBook(page, market);
    const other = await page.context().newPage();
    await other.goto(market.server.url);
    await other.waitForSelector('#gate[open]');
    await other.close();
    await page.click('#forget');
    await page.waitForSelector('#gate[open]');
    expect(await page.evaluate(() => sessionStorage.length)).toBe(0);
    expect({ errors, strangers }).toEqual({ errors: [], strangers: [] });
    await page.context().close();
  });

  test('when its key is revoked while it is open, it says so, and continues with another', async () => {
    const { page, errors } = await open(browser, `${market.server.url}/#ACME`);
    await give(page, READ_KEY);
    await expectBook(page, market);
    await waitSaid(page, '#order-note', 'needs a key');

    // A second key trades, though it may not read; until it is revoked too.
    await page.fill('#orders .key input', BLIND_KEY);
    await page.press('#orders .key input', 'Enter');
    await waitSaid(page, '#order-note', 'key accepted');
    await page.fill('#orders input[name=price]', '90.00');
    await page.click('#orders .submit');
    await waitSaid(page, '#orders .outcome', 'rests in the book');
    await page.click('#orders .own button');
    await waitSaid(page, '#orders .outcome', 'is cancelled');
    await tapedeck(['keys', 'revoke', 'blind', '--data', market.server.data]);
    await waitSaid(page, '#orders .outcome', 'The key was revoked');
    await waitSaid(page, '#order-note', 'needs a key');
    const revoked = await tapedeck(['keys', 'revoke', 'reader', '--data', market.server.data]);
    expect(revoked).toMatchObject({ code: 0 });
    await waitSaid(page, '#gate[open]', 'The key was revoked');
    expect(await page.evaluate(() => sessionStorage.length)).toBe(0);
    await give(page, READ_KEY);
    await waitSaid(page, '#gate .outcome', 'The server refused it: this is no key of this server.');
    await market.order('buy', '99.96', '2.0');
    await give(page, TRADER_KEY);
    await waitLive(page);
    await expectBook(page, market);
    await waitSaid(page, '#order-note', 'key accepted');
    // With a key that may read and not trade, one request for its orders fails, which the browser reports.
    expect(errors.filter((text) => !text.includes('403'))).toEqual([]);
    expect(errors.length).toBeLessThanOrEqual(1);
    await page.context().close();
  });

  testDeep(
    'a token that expires while it is open: the stream continues with the next one, and no loss is silent',
    async () => {
      const { page } = await open(browser, `${market.server.url}/#ACME`);
      await give(page, await token(6));
      await expectBook(page, market);
      await waitSaid(page, '#gate[open]', 'The key has expired');
      // Meanwhile the market changes.
      await market.order('sell', '99.99', '1.0');
      await market.order('buy', '99.99', '1.0', TRADER_KEY);
      await give(page, await token(600));
      await waitLive(page);
      await expectBook(page, market);
      const { trades } = (await market.json('/v1/trades/ACME?limit=1')) as {
        trades: { seq: number }[];
      };
      await page.waitForFunction(
        (wanted) => document.querySelector<HTMLElement>('#tape')?.dataset['seq'] === wanted,
        String(trades[0]!.seq),
      );
      await waitSaid(page, '#tape-note', 'loaded again');
      await page.waitForFunction(() => {
        const resets = document.querySelector('#health span[title^="How often state"] b');
        return Number(resets?.textContent) > 0;
      });
      // It continues live.
      await market.order('buy', '99.95', '3.0');
      await expectBook(page, market);
      await page.context().close();
    },
  );

  testDeep('when its key is gone after a restart of the server, it says so', async () => {
    const { page } = await open(browser, `${market.server.url}/#ACME`);
    await give(page, SHORT_KEY);
    await expectBook(page, market);
    market = await market.restart({ keys: KEYS.filter(({ name }) => name === 'desk') });
    await waitSaid(page, '#gate[open]', 'The server no longer takes the key');
    expect(await page.$('#notice [data-subject=link]')).toBeNull();
    await give(page, TRADER_KEY);
    await expectBook(page, market);
    await page.context().close();
  });

  testDeep(
    'its documents need no key, and narrow screens display the field for the key',
    async () => {
      const docs = await open(browser, `${market.server.url}/docs`);
      await docs.page.waitForSelector('#operations details');
      expect(docs.errors).toEqual([]);
      await docs.page.context().close();
      for (const colorScheme of ['light', 'dark'] as const) {
        const { page } = await open(browser, market.server.url, {
          viewport: { width: 390, height: 700 },
          colorScheme,
        });
        await page.waitForSelector('#gate[open]');
        const box = (await page.locator('#gate').boundingBox())!;
        expect(box.x).toBeGreaterThanOrEqual(0);
        expect(box.x + box.width).toBeLessThanOrEqual(390);
        expect(box.y + box.height).toBeLessThanOrEqual(700);
        await page.context().close();
      }
    },
  );
});
