/**
 * By hand: `bun run picture [FILE]`: makes the picture of the page in the README, from its own server whose markets
 * have run for a while.
 */

import { join } from 'node:path';

import { ServerProcess } from '../support/tapedeck-process';
import { CHROMIUM, launch, open, waitLive } from './browser';

const [file = join(import.meta.dir, '../../src/gateway/page/picture.png')] = process.argv.slice(2);
/** So that there are candles, and the newest messages are far from the start. */
const RUN_MS = 75_000;

if (CHROMIUM === undefined) process.exit(1);
const server = await ServerProcess.start({ args: ['--demo'] });
const browser = await launch();
try {
  await Bun.sleep(RUN_MS);
  const { page, errors } = await open(browser, `${server.url}/#BTC-USD`, {
    viewport: { width: 1440, height: 860 },
    colorScheme: 'light',
  });
  await waitLive(page);
  await page.click('#head .choice button[value="1s"]');
  // An order of the user, well below the market, so that it rests.
  const bid = await page.getAttribute('#ladder .level.bid:last-child', 'data-price');
  await page.fill('#orders input[name=price]', (Number(bid) - 250).toFixed(2));
  await page.fill('#orders input[name=quantity]', '0.25000');
  await page.click('#orders .submit:not(:disabled)');
  await Bun.sleep(12_000);
  await page.screenshot({ path: file });
  console.log(file, errors);
} finally {
  await browser.close();
  await server.remove();
}
