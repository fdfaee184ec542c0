/**
 * A real Chromium for the tests of the page: the package of Debian, or another installed one. Without one the tests
 * are skipped, and say so. Every page is watched: errors on the console, exceptions, and every request to another
 * server.
 */

import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'];
/** Software rendering on a busy machine is slow; nothing here asserts a time. */
const WAIT_MS = 45_000;

/** Timeout of a test with a browser; each file sets it, because a timeout set by an imported file applies only once. */
export const TEST_MS_MAX = 120_000;

/** Undefined where no Chromium is installed. */
export const CHROMIUM = NAMES.map((name) => Bun.which(name)).find((path) => path !== null);

if (CHROMIUM === undefined) {
  console.warn(
    `SKIPPED: tests of the page need one of ${NAMES.join(', ')} (Debian: apt-get install chromium)`,
  );
}

export function launch(): Promise<Browser> {
  // The sandbox needs rights that a CI container does not have; the pages are our own.
  return chromium.launch({ executablePath: CHROMIUM!, args: ['--no-sandbox'] });
}

export interface Watched {
  readonly page: Page;
  /** Errors on the console, and exceptions. */
  readonly errors: string[];
  /** Requests to other servers. */
  readonly strangers: string[];
}

/** Opens a page in its own context, which is watched from its first request on. */
export async function open(
  browser: Browser,
  url: string,
  options: BrowserContextOptions & { readonly before?: (page: Page) => Promise<unknown> } = {},
): Promise<Watched> {
  const { before, ...contextOptions } = options;
  const context = await browser.newContext({
    viewport: { width: 1440, height: 900 },
    ...contextOptions,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  const errors: string[] = [];
  const strangers: string[] = [];
  const { host } = new URL(url);
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text());
  });
  page.on('pageerror', (error) => errors.push(String(error.stack)));
  page.on('request', (request) => {
    const address = new URL(request.url());
    if (address.host !== host && address.protocol !== 'data:') strangers.push(request.url());
  });
  page.on('websocket', (socket) => {
    if (new URL(socket.url()).host !== host) strangers.push(socket.url());
  });
  await before?.(page);
  await page.goto(url);
  return { page, errors, strangers };
}

export interface Ladder {
  readonly seq: number;
  readonly trusted: boolean;
  /** Best first, as the page writes them, without the commas. */
  readonly bids: [string, string][];
  readonly asks: [string, string][];
}

/** What the ladder displays in one paint. */
export function readLadder(page: Page): Promise<Ladder> {
  return page.evaluate(() => {
    const root = document.querySelector<HTMLElement>('#ladder')!;
    const side = (name: string): [string, string][] =>
      [...root.querySelectorAll<HTMLElement>(`.level.${name}[data-price]`)].map((level) => [
        level.dataset['price']!,
        level.querySelector('.quantity')!.textContent.replaceAll(',', ''),
      ]);
    return {
      seq: Number(root.dataset['seq']),
      trusted: root.dataset['trusted'] === 'true',
      bids: side('bid'),
      asks: side('ask').reverse(),
    };
  });
}

/** Waits until the page is connected. */
export async function waitLive(page: Page): Promise<void> {
  await page.waitForSelector('#health .state[data-state="live"]');
}

/** Waits until the ladder has a seq. @returns the ladder */
export async function waitLadder(page: Page, seq: number): Promise<Ladder> {
  await page.waitForFunction(
    (wanted) => document.querySelector<HTMLElement>('#ladder')?.dataset['seq'] === String(wanted),
    seq,
  );
  return readLadder(page);
}
