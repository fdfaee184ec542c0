/**
 * Reload: which changed settings a running server takes over, and which need a restart. It takes over keys, the limits
 * named here, and instruments. Sessions stay, except those whose key has ended. If the new settings contradict those
 * that stay, all of them are refused and nothing changes.
 */

import { StartFault } from '../base/start-fault';
import type { Config } from '../config/config';
import { contradiction } from '../config/relations';

/** The limits that are read at each use. */
export const RELOADED_LIMITS = [
  'sessionsMax',
  'sessionsForKeysPercent',
  'sessionsPerAddressMax',
  'sessionsPerKeyMax',
  'helloMs',
  'messagesPerSecond',
  'bytesPerSecond',
  'publishBytesPerSecond',
  'controlFramesPerSecond',
  'workPerSecond',
  'publishWorkPerSecond',
  'wrongKeysPerSecond',
  'pastBlocksMax',
  'ordersPerSecond',
  'bodiesBytesMax',
  'clientBytesMax',
  'clientBytesPerClientMax',
  'heldBytesMax',
  'topicsMax',
  'bookDepthMax',
  'tradesMax',
  'barsMax',
  'barTradesMax',
  'pastQueriesPerClientMax',
  'playbacksPerClientMax',
  'playbackIdleMs',
  'playbackWaitMs',
  'requestsPerSecond',
  'localRequestsPerSecond',
  'waitingRequestsMax',
  'waitingRequestsPerClientMax',
] as const;

export type Limits = Config['limits'];

/** The settings after the reload, or why they are refused. */
export function merged(running: Config, wanted: Config): Config | StartFault {
  const limits = { ...running.limits };
  for (const name of RELOADED_LIMITS) limits[name] = wanted.limits[name];
  const config = { ...running, limits, instruments: wanted.instruments };
  const wrong = contradiction(config);
  if (wrong === undefined) return config;
  const hint = 'Other settings of the file take a restart; these do not fit those that run.';
  return new StartFault('bad-config', wrong, hint);
}

/** Names of the settings that differ and need a restart. */
export function waiting(running: Config, wanted: Config): string[] {
  const names: string[] = [];
  const compare = (a: unknown, b: unknown, path: string): void => {
    if (isSection(a) && isSection(b)) {
      for (const name of new Set([...Object.keys(a), ...Object.keys(b)])) {
        compare(a[name], b[name], path === '' ? name : `${path}.${name}`);
      }
    } else if (JSON.stringify(a) !== JSON.stringify(b)) names.push(path);
  };
  compare({ ...running, instruments: [] }, { ...wanted, instruments: [] }, '');
  const taken = new Set(RELOADED_LIMITS.map((name) => `limits.${name}`));
  return names.filter((name) => !taken.has(name));
}

function isSection(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
