/** [W15] The limits in `welcome.limits` are those that the server enforces, also after a reload. */

import { expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { StreamClient } from '../support/stream-client';
import { ServerProcess } from '../support/tapedeck-process';

/** Each setting differs from its default and from every other, so that none can be confused with another. */
const PUSH = {
  heartbeatMs: 4_001,
  pongMs: 20_002,
  lagMs: 103,
  staleMs: 404,
  tradeAgeMs: 1_005,
  outboxBytesMax: 500_006,
  controlMs: 20_007,
  controlMessagesMax: 70_008,
};
const LIMITS = {
  frameBytesMax: 200_009,
  topicsMax: 5_010,
  messagesPerSecond: 10_011,
  bytesPerSecond: 1_000_012,
  publishBytesPerSecond: 10_000_000_013,
  ordersPerSecond: 1_014,
  helloMs: 5_015,
  sessionsPerAddressMax: 116,
  sessionsPerKeyMax: 117,
  playbacksMax: 18,
  playbacksPerClientMax: 19,
};
const MARKET = { latenessMs: 40_020, timeAheadMs: 4_021 };

function section(name: string, settings: Record<string, number>): string {
  const lines = Object.entries(settings).map(([key, value]) => `${key} = ${value}`);
  return `[${name}]\n${lines.join('\n')}\n`;
}

const OTHERS =
  section('push', PUSH) +
  section('market', { ...MARKET, sessionBoundary: 3_622 }) +
  section('cache', { memtableEventsMax: 6_023 });

test('[W15] each limit is that of the settings, and after a reload new connections get the new ones', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tapedeck-limits-'));
  const file = join(directory, 'tapedeck.toml');
  writeFileSync(file, OTHERS + section('limits', LIMITS));
  const server = await ServerProcess.start({ args: ['--config', file] });
  const first = await StreamClient.open(server.url);
  const named = {
    ...PUSH,
    ...LIMITS,
    ...MARKET,
    memoryEventsMax: 6_023,
    sessionBoundarySeconds: 3_622,
    // Not settings: the bounds of the rules.
    frameMessagesMax: 10_000,
    errorsMax: 100,
    resumeEventsMax: 5_000,
    heldRequestsMax: 1_000,
  };
  expect(first.seen[0]!['limits']).toEqual(named);
  // `playbacksMax` needs a restart, so its announced value stays.
  const changed = { ...LIMITS, topicsMax: 5_110, ordersPerSecond: 1_114, playbacksMax: 28 };
  writeFileSync(file, OTHERS + section('limits', changed));
  process.kill(server.pid, 'SIGHUP');
  const later = { ...named, topicsMax: 5_110, ordersPerSecond: 1_114 };
  for (;;) {
    const second = await StreamClient.json(server.url);
    const limits = second.seen[0]!['limits'] as Record<string, number>;
    await second.close();
    if (limits['topicsMax'] === LIMITS.topicsMax) continue;
    expect(limits).toEqual(later);
    break;
  }
  await first.close();
  expect((await server.stop()).code).toBe(0);
  await server.remove();
  rmSync(directory, { recursive: true });
});
