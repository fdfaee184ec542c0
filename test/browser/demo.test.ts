/** The page on the markets of the demo: everything moves, nothing fails, and no other server is asked. */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import type { Browser } from 'playwright-core';

import { ServerProcess } from '../support/tapedeck-process';
import { CHROMIUM, launch, open, TEST_MS_MAX, readLadder, waitLive } from './browser';
import { testDeep } from '../support/tier';

setDefaultTimeout(TEST_MS_MAX);

const BUNDLE_BYTES_MAX = 150_000;

let server: ServerProcess;

beforeAll(async () => {
  server = await ServerProcess.start({ args: ['--demo'] });
});

afterAll(async () => {
  await server?.remove();
});

/** The files of the page by name, as transferred. */
async function assets(encoding: string): Promise<Map<string, Response>> {
  const headers = { 'accept-encoding': encoding };
  const front = await (await server.get('/')).text();
  const names = [...front.matchAll(/"(\/assets\/[^"]+)"/g)].map((match) => match[1]!);
  const answers = await Promise.all(
    names.map(
      async (name) =>
        [name, await server.get(name, { headers, decompress: false } as RequestInit)] as const,
    ),
  );
  return new Map(answers);
}

describe('the files of the page', () => {
  test.each(['br', 'gzip'])(
    'as %s they are at most 150 kB, and decode to the plain files',
    async (encoding) => {
      const plain = await assets('identity');
      const packed = await assets(encoding);
      expect([...packed.keys()].some((name) => name.endsWith('.js'))).toBe(true);
      let bytes = 0;
      for (const [name, response] of packed) {
        expect(response.headers.get('content-encoding')).toBe(encoding);
        expect(response.headers.get('cache-control')).toContain('immutable');
        const body = await response.bytes();
        bytes += body.length;
        const unpacked = encoding === 'br' ? brotliDecompressSync(body) : gunzipSync(body);
        expect(unpacked.equals(await plain.get(name)!.bytes())).toBe(true);
      }
      console.log(`bundle of the page as ${encoding}: ${bytes} bytes`);
      expect(bytes).toBeLessThan(BUNDLE_BYTES_MAX);
    },
  );

  test('its policy allows connections to its own server only', async () => {
    const { headers } = await server.get('/');
    const policy = headers.get('content-security-policy')!.split('; ');
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self'");
    expect(policy).toContain("connect-src 'self'");
    expect(headers.get('cache-control')).toBe('no-cache');
  });

  test('a file that does not exist is an ordinary fault', async () => {
    const response = await server.get('/assets/nothing.js');
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ error: { code: 'not-found' } });
  });
});

describe.skipIf(CHROMIUM === undefined)('the page of the demo', () => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await launch();
  });

  afterAll(async () => {
    await browser?.close();
  });

  test('chart, trades and figures change', async () => {
    const { page, errors, strangers } = await open(browser, `${server.url}/#BTC-USD`);
    await waitLive(page);
    await page.click('#head .choice button[value="1s"]');
    await page.waitForFunction(
      () => Number(document.querySelector<HTMLElement>('#chart')?.dataset['bars']) > 2,
    );
    const seen = await page.evaluate(() => ({
      bars: Number(document.querySelector<HTMLElement>('#chart')!.dataset['bars']),
      trade: Number(document.querySelector<HTMLElement>('#tape')!.dataset['seq']),
      book: Number(document.querySelector<HTMLElement>('#ladder')!.dataset['seq']),
    }));
    await page.waitForFunction((before) => {
      const of = (id: string, name: string): number =>
        Number(document.querySelector<HTMLElement>(id)!.dataset[name]);
      return (
        of('#chart', 'bars') > before.bars + 1 &&
        of('#tape', 'seq') > before.trade &&
        of('#ladder', 'seq') > before.book
      );
    }, seen);
    await page.waitForFunction(() => {
      const text = document.querySelector('#health .latency b')!.textContent;
      return /^[\d.]+ \/ [\d.]+ ms$/.test(text);
    });
    const { bids, asks } = await readLadder(page);
    expect(Number(bids[0]![0])).toBeLessThan(Number(asks[0]![0]));
    expect({ errors, strangers }).toEqual({ errors: [], strangers: [] });
    await page.context().close();
  });

  testDeep('by keyboard: the filter, the list, an order without a key', async () => {
    const { page, errors } = await open(browser, server.url);
    await waitLive(page);
    await page.waitForSelector('#list .row[aria-selected=true]');
    await page.keyboard.press('/');
    await page.keyboard.type('gold');
    await page.waitForFunction(
      () => document.querySelectorAll('#list .row:not([hidden])').length === 1,
    );
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.title.startsWith('GOLD'));
    await page.keyboard.press('Escape');
    await page.keyboard.press('ArrowUp');
    await page.waitForFunction(() => document.title.startsWith('EUR-USD'));
    await page.keyboard.press('ArrowDown');
    await page.waitForFunction(() => document.title.startsWith('GOLD'));
    await page.waitForFunction(
      () => document.querySelector('#ladder .level.ask[data-price]') !== null,
    );
    await page.keyboard.press('b');
    await page.click('#orders button[value=market]');
    await page.click('#orders .submit:not(:disabled)');
    await page.waitForFunction(() =>
      document.querySelector('#orders .outcome')?.textContent.includes('filled'),
    );
    expect(errors).toEqual([]);
    await page.context().close();
  });

  testDeep('/docs lists every operation', async () => {
    const { page, errors, strangers } = await open(browser, `${server.url}/docs`);
    await page.waitForSelector('#operations details');
    const { paths } = (await server.json('/openapi.json')) as { paths: Record<string, object> };
    const operations = Object.values(paths).flatMap((methods) => Object.keys(methods));
    expect(await page.locator('#operations details').count()).toBe(operations.length);
    expect({ errors, strangers }).toEqual({ errors: [], strangers: [] });
    await page.context().close();
  });

  test.each([
    ['light', 1440, 900],
    ['dark', 1366, 660],
    ['dark', 1100, 760],
    ['light', 390, 844],
  ] as const)('%s, %d × %d: nothing is outside the window', async (colorScheme, width, height) => {
    const viewport = { width, height };
    const { page, errors } = await open(browser, server.url, { colorScheme, viewport });
    await waitLive(page);
    await page.waitForSelector('#ladder .level[data-price]');
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    expect(wide).toBeLessThanOrEqual(width);
    // Every part has enough room: ten levels a side, and the button of the ticket.
    const cut = await page.evaluate(() =>
      ['#ladder .level.bid:last-child', '#orders .submit', '#travel .play'].filter((selector) => {
        const displayed = document.querySelector(selector)!.getBoundingClientRect();
        const panel = document.querySelector(selector)!.closest('.panel')!.getBoundingClientRect();
        return displayed.bottom > panel.bottom || displayed.right > panel.right;
      }),
    );
    expect(cut).toEqual([]);
    expect(errors).toEqual([]);
    await page.context().close();
  });
});
