/** The documents of a running server in a real browser: every link of every page works. */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import type { Browser } from 'playwright-core';

import { DOCUMENTS } from '../../src/docs/documents';
import { ServerProcess } from '../support/tapedeck-process';
import { CHROMIUM, launch, open, TEST_MS_MAX } from './browser';

setDefaultTimeout(TEST_MS_MAX);

describe.skipIf(CHROMIUM === undefined)('documents', () => {
  let server: ServerProcess;
  let browser: Browser;
  beforeAll(async () => {
    [server, browser] = await Promise.all([ServerProcess.start({}), launch()]);
  });
  afterAll(async () => {
    await browser.close();
    await server.remove();
  });

  test('every link of every page leads to a page that has its target', async () => {
    const { page, errors, strangers } = await open(browser, `${server.url}/docs/guide`);
    /** For each opened page: the ids in it. */
    const opened = new Map<string, Set<string>>();
    const links: { from: string; to: URL }[] = [];
    const waiting = ['/docs/guide'];
    for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
      if (opened.has(path)) continue;
      const response = await page.goto(`${server.url}${path}`);
      expect([path, response?.status()]).toEqual([path, 200]);
      opened.set(
        path,
        new Set(await page.$$eval('[id]', (found) => found.map((element) => element.id))),
      );
      // The page at `/` and that of the API have their own tests.
      if (!path.startsWith('/docs/')) continue;
      const found = await page.$$eval('a', (all) => all.map((link) => link.href));
      expect(found.length).toBeGreaterThan(DOCUMENTS.length);
      for (const href of found) {
        const to = new URL(href);
        links.push({ from: path, to });
        if (to.origin === server.url) waiting.push(to.pathname);
      }
    }
    const dead = links.filter(({ to }) => {
      if (to.origin !== server.url) return to.protocol !== 'https:';
      return to.hash !== '' && !opened.get(to.pathname)!.has(decodeURIComponent(to.hash.slice(1)));
    });
    expect(dead.map(({ from, to }) => `${from} → ${to.href}`)).toEqual([]);
    expect([...opened.keys()].sort()).toEqual(
      ['/', '/docs', ...DOCUMENTS.map(({ path }) => path)].sort(),
    );
    expect({ errors, strangers }).toEqual({ errors: [], strangers: [] });
    await page.context().close();
  });

  test('a page follows the light and dark scheme, and fits a small screen', async () => {
    const grounds = new Set<string>();
    for (const colorScheme of ['light', 'dark'] as const) {
      const viewport = { width: 390, height: 844 };
      const url = `${server.url}/docs/reference/settings`;
      const { page, errors } = await open(browser, url, { colorScheme, viewport });
      grounds.add(await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      expect(wide).toBeLessThanOrEqual(viewport.width);
      expect(errors).toEqual([]);
      await page.context().close();
    }
    expect(grounds.size).toBe(2);
  });
});
