/** The page of a member of a cluster: who leads and who lags, while members come and go. */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import type { Browser, Page } from 'playwright-core';

import { hasNats, NatsServers } from '../support/nats';
import { ServerProcess } from '../support/tapedeck-process';
import { testDeep } from '../support/tier';
import { until } from '../support/until';
import { CHROMIUM, launch, open, TEST_MS_MAX, waitLive } from './browser';

setDefaultTimeout(TEST_MS_MAX);

function waitCluster(page: Page, ...parts: readonly string[]): Promise<unknown> {
  return page.waitForFunction((wanted) => {
    const text = document.querySelector('#cluster')?.textContent ?? '';
    return wanted.every((part) => text.includes(part));
  }, parts);
}

describe.skipIf(CHROMIUM === undefined || !hasNats)('the page of a member of a cluster', () => {
  let browser: Browser;
  let nats: NatsServers;

  beforeAll(async () => {
    nats = await NatsServers.one();
    browser = await launch();
  });

  afterAll(async () => {
    await browser?.close();
    await nats?.remove();
  });

  function start(role: string, member: string): Promise<ServerProcess> {
    const config = `[cluster]\nreplicas = 1\nmember = "${member}"\n`;
    const cluster = ['--cluster', 'seen', '--nats', nats.urls.join(','), '--role', role];
    return ServerProcess.start({
      config,
      args: [...cluster, ...(role === 'edge' ? [] : ['--demo'])],
    });
  }

  testDeep('names the leader, and who is away', async () => {
    const leader = await start('leader', 'core-a');
    const edge = await start('edge', 'edge-1');
    const { page, errors } = await open(browser, edge.url);
    await waitLive(page);
    await waitCluster(page, 'cluster seen', 'core-a leads', 'edge-1 follows, this server');
    const standby = await start('standby', 'core-b');
    await waitCluster(page, 'core-b follows');
    await leader.stop('SIGKILL');
    await waitCluster(page, 'core-b leads', 'core-a away for');
    await standby.stop();
    await waitCluster(page, 'nobody leads');
    expect(await page.locator('#cluster').textContent()).not.toContain('core-b');
    expect(errors).toEqual([]);
    for (const server of [leader, standby, edge]) await server.remove();
  });

  test('has nothing of a cluster where there is none, and asks for it once', async () => {
    const server = await ServerProcess.start({ args: ['--demo'] });
    const asked: string[] = [];
    const { page } = await open(browser, server.url, {
      before: async (opened) => {
        await opened.clock.install();
        opened.on('requestfinished', (request) => {
          if (request.url().endsWith('/v1/cluster')) asked.push(request.url());
        });
      },
    });
    await waitLive(page);
    await until(async () => {
      await page.clock.runFor(250);
      return asked.length > 0;
    });
    await page.clock.runFor(10_000);
    await page.waitForLoadState('networkidle');
    expect(await page.locator('#cluster').isVisible()).toBe(false);
    expect(asked).toHaveLength(1);
    await server.remove();
  });
});
