/**
 * By hand: `bun test/browser/frames.ts [ORDERS A SECOND] [SECONDS]`: how evenly the page is painted while a busy
 * market arrives. It prints the messages a second that the page received, and the times between frames.
 */

import { ServerProcess } from '../support/tapedeck-process';
import { launch, open, waitLive } from './browser';

const [rate = '2000', seconds = '20'] = process.argv.slice(2);
const server = await ServerProcess.start({ args: ['--demo', '--rate', rate] });
const browser = await launch();
try {
  const { page, errors } = await open(browser, `${server.url}/#BTC-USD`);
  await waitLive(page);
  await Bun.sleep(5_000); // one-time work is done by then
  const started = await read(page);
  const system = await browser.newBrowserCDPSession();
  const cpu = async (): Promise<Map<string, number>> => {
    const { processInfo } = await system.send('SystemInfo.getProcessInfo');
    return new Map(processInfo.map(({ id, type, cpuTime }) => [`${type} ${id}`, cpuTime]));
  };
  const cpuBefore = await cpu();
  const gapsMs = await page.evaluate(
    async (ms) => {
      const gaps: number[] = [];
      let before = 0;
      const end = performance.now() + ms;
      await new Promise<void>((resolve) => {
        const frame = (at: number): void => {
          if (before !== 0) gaps.push(at - before);
          before = at;
          if (at < end) requestAnimationFrame(frame);
          else resolve();
        };
        requestAnimationFrame(frame);
      });
      return gaps;
    },
    Number(seconds) * 1_000,
  );
  const ended = await read(page);
  const cpuAfter = await cpu();
  gapsMs.sort((a, b) => a - b);
  const rank = (share: number): string => gapsMs[Math.ceil(gapsMs.length * share) - 1]!.toFixed(1);
  console.log({
    ordersPerSecond: Number(rate),
    messagesPerSecond: `${started.perSecond} at the start, ${ended.perSecond} at the end`,
    latency: ended.latency,
    frames: gapsMs.length,
    framesPerSecond: (gapsMs.length / Number(seconds)).toFixed(1),
    betweenFramesMs: { p50: rank(0.5), p95: rank(0.95), p99: rank(0.99), max: rank(1) },
    later50Ms: gapsMs.filter((ms) => ms > 50).length,
    processorShare: Object.fromEntries(
      [...cpuAfter]
        .map(([name, s]) => [name, (s - (cpuBefore.get(name) ?? 0)) / Number(seconds)] as const)
        .filter(([, share]) => share > 0.02)
        .map(([name, share]) => [name, share.toFixed(2)]),
    ),
    conflated: ended.conflated,
    gaps: ended.gaps,
    resets: ended.resets,
    errors,
  });
} finally {
  await browser.close();
  await server.remove();
}

type Page = Awaited<ReturnType<typeof open>>['page'];

/** The health strip. */
function read(page: Page) {
  return page.evaluate(() => {
    const figure = (name: string): string =>
      document.querySelector(`#health .${name} b`)!.textContent;
    const few = [...document.querySelectorAll('#health .few b')].map((b) => b.textContent);
    const [conflated, gaps, resets] = few;
    return { perSecond: figure('rate'), latency: figure('latency'), conflated, gaps, resets };
  });
}
