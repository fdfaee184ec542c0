/** The user's orders on the page: always complete, by instrument, with refusals in plain words. */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import type { Browser, Page } from 'playwright-core';

import { ServerProcess } from '../support/tapedeck-process';
import { CHROMIUM, launch, open, TEST_MS_MAX, waitLive } from './browser';

setDefaultTimeout(TEST_MS_MAX);

/** Trading needs no key in the demo; these two instruments have no orders but those of the page. */
const CONFIG = `
[[instruments]]
symbol = "PLAIN"
priceScale = 2
quantityScale = 1
[[instruments]]
symbol = "WIDE"
priceScale = 8
quantityScale = 8
`;

/** The open orders that the page lists, a line each, with parts separated by a blank. */
function listed(page: Page): Promise<string[]> {
  return page.evaluate(() =>
    [...document.querySelectorAll('#orders .own > div')].map((line) =>
      [...line.querySelectorAll('span')].map((part) => part.textContent).join(' '),
    ),
  );
}

async function enter(page: Page, symbol: string, price: string, quantity: string): Promise<void> {
  await page.click(`#list .row[data-symbol="${symbol}"]`);
  await page.waitForFunction(
    (name) => document.querySelector('#orders .submit')?.textContent === `Buy ${name}`,
    symbol,
  );
  await page.fill('#orders input[name=price]', price);
  await page.fill('#orders input[name=quantity]', quantity);
  await page.click('#orders .submit:not(:disabled)');
}

function waitOutcome(page: Page, words: string): Promise<unknown> {
  return page.waitForFunction(
    (text) => document.querySelector('#orders .outcome')?.textContent.includes(text),
    words,
  );
}

describe.skipIf(CHROMIUM === undefined)('own orders on the page', () => {
  let browser: Browser;
  let server: ServerProcess;

  beforeAll(async () => {
    server = await ServerProcess.start({ config: CONFIG, args: ['--demo', '--rate', '1'] });
    browser = await launch();
  });

  afterAll(async () => {
    await browser?.close();
    await server?.remove();
  });

  test('they are listed by instrument, whatever is selected, even if definitions load late', async () => {
    const { page, errors } = await open(browser, `${server.url}/#PLAIN`);
    await waitLive(page);
    await enter(page, 'PLAIN', '0.05', '2.5');
    await waitOutcome(page, 'rests in the book');
    await enter(page, 'WIDE', '0.00000123', '1234567.00000001');
    await waitOutcome(page, 'rests in the book');
    const wide = 'buy WIDE 1,234,567.00000001 0.00000123';
    const plain = 'buy PLAIN 2.5 0.05';
    expect(await listed(page)).toEqual([wide, plain]);
    await page.click('#list .row[data-symbol="PLAIN"]');
    await page.waitForFunction(
      () => document.querySelector('#orders .own .symbol')?.textContent === 'PLAIN',
    );
    expect(await listed(page)).toEqual([plain, wide]);
    const cut = await page.evaluate(() =>
      [...document.querySelectorAll('#orders .own span')].flatMap((part) =>
        part.scrollWidth > part.clientWidth ? [part.textContent] : [],
      ),
    );
    expect(cut).toEqual([]);

    // The page subscribes, but what follows waits until the open orders are answered.
    let answered = (): void => {};
    const orders = new Promise<void>((resolve) => (answered = resolve));
    page.on('response', (response) => {
      if (new URL(response.url()).pathname === '/v1/orders') answered();
    });
    await page.routeWebSocket(/\/v1\/stream/, (socket) => {
      const upstream = socket.connectToServer();
      let held = Promise.resolve();
      socket.onMessage((message) => {
        if (Buffer.from(message as Buffer).includes('tick:*')) held = orders;
        upstream.send(message);
      });
      upstream.onMessage((message) => {
        held = held.then(() => socket.send(message));
      });
    });
    await page.reload();
    await waitLive(page);
    await page.waitForFunction(() => document.querySelectorAll('#orders .own > div').length === 2);
    await page.waitForSelector('#list .row[aria-selected=true]');
    expect((await listed(page)).toSorted()).toEqual([plain, wide].toSorted());

    await page.click('#orders .own button[aria-label$="of WIDE"]');
    await waitOutcome(page, 'of WIDE is cancelled');
    expect(await listed(page)).toEqual([plain]);
    expect(errors).toEqual([]);
    await page.context().close();
  });

  test('faults in the ticket are reported in its own terms', async () => {
    const { page, errors } = await open(browser, `${server.url}/#PLAIN`);
    await waitLive(page);
    await enter(page, 'PLAIN', '0.05', '1.25');
    await waitOutcome(page, 'Quantity: 1.25 has too many decimals; PLAIN accepts at most 1.');
    await enter(page, 'PLAIN', '0.05', '99999999999999999999');
    await waitOutcome(page, 'Quantity: 99999999999999999999 is too large.');
    await enter(page, 'PLAIN', 'abc', '1');
    await waitOutcome(page, 'Price: “abc” is not a number.');
    // A fault that only the server can find.
    await enter(page, 'PLAIN', '90071992547409.91', '900719925474099.1');
    await page.waitForSelector('#orders .outcome.down');
    const said = await page.textContent('#orders .outcome');
    expect(said).not.toMatch(/order\.|2\^53|scaled|rules/);
    expect(errors).toEqual([]);
    await page.context().close();
  });
});
