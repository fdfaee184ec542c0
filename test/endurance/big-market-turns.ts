/**
 * Loaded before the server of the big market: measures turns of the event loop also by the processor time of its
 * thread. The wall time, which the server measures, includes other work of the machine. SIGUSR2 writes the turns
 * since the previous signal to the file that is named in the environment.
 */

import { renameSync, writeFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

import { TurnMeter } from '../../src/base/turn-meter';
import { threadClock } from '../turns/thread-clock';
import type { TurnFigures } from './big-market-figures';

const OVER_MS = 5;

/** Members that others must not call. */
interface Meter {
  begin: (this: Meter, detail: unknown) => number;
  end: (this: Meter, kind: string, beganMs: number) => void;
}

function watch(path: string): void {
  const nowMs = threadClock();
  const meter = TurnMeter.prototype as unknown as Meter;
  const { begin, end } = meter;
  let turns: Record<string, { -readonly [name in keyof TurnFigures]: number }> = {};
  let began = 0;
  meter.begin = function (this: Meter, detail) {
    began = nowMs();
    return begin.call(this, detail);
  };
  meter.end = function (this: Meter, kind, beganMs) {
    const ms = nowMs() - began;
    const of = (turns[kind] ??= { count: 0, over5Ms: 0, longestMsMax: 0 });
    of.count += 1;
    if (ms > OVER_MS) of.over5Ms += 1;
    of.longestMsMax = Math.max(of.longestMsMax, Math.round(ms * 10) / 10);
    end.call(this, kind, beganMs);
  };
  process.on('SIGUSR2', () => {
    writeFileSync(`${path}.new`, JSON.stringify(turns));
    renameSync(`${path}.new`, path);
    turns = {};
  });
}

const path = process.env['BIG_MARKET_TURNS'];
if (isMainThread && path !== undefined) watch(path);
