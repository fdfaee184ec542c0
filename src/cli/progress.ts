/** Progress of a long command, on a terminal; silent if standard error is not a terminal. */

import { SingleBar, Presets } from 'cli-progress';

import type { Clock } from '../base/clock';

export interface Progress {
  readonly bytesRead: number;
  readonly bytesTotal: number | null;
  readonly lines: number;
  readonly events: number;
}

const REDRAW_MS = 200;

/** A bar that redraws itself. Work that never yields to the event loop calls `update` itself. */
export function showProgress(
  name: string,
  clock: Clock,
  read: () => Progress,
): { update(): void; stop(): void } {
  const { bytesTotal } = read();
  if (!process.stderr.isTTY || bytesTotal === null) return { update: () => {}, stop: () => {} };
  const bar = new SingleBar(
    {
      format: `${name} {bar} {percentage}% | {events} events, {rate}/s | {eta_formatted} left`,
      stream: process.stderr,
      hideCursor: true,
    },
    Presets.rect,
  );
  const startMs = clock.monotonicMs();
  const update = (): void => {
    const { bytesRead, events } = read();
    const seconds = (clock.monotonicMs() - startMs) / 1000;
    bar.update(bytesRead, { events, rate: Math.round(events / Math.max(seconds, 0.001)) });
  };
  bar.start(bytesTotal, 0, { events: 0, rate: 0 });
  const timer = setInterval(update, REDRAW_MS);
  return {
    update,
    stop: () => {
      clearInterval(timer);
      update();
      bar.stop();
    },
  };
}
