/** Timers: the periodic work of a server. */

import type { Timer, TurnMeter } from '../base/turn-meter';
import type { Broadcaster } from '../broadcast/broadcaster';
import type { Playbacks } from '../broadcast/playback/playbacks';

/** Time between visits to the sessions, and between signs of life for readers on this machine. */
export const LOOK_EVERY_MS = 20;
/** Time between checks for keys that were changed or have ended. */
const WATCH_EVERY_MS = 1_000;
/** A timer cannot take more than 2^31 ms; one that fires early is set again. */
const BAR_TIMER_MS_MAX = 86_400_000;

export interface TimedStages {
  readonly turns: TurnMeter;
  readonly heartbeatMs: number;
  readonly broadcaster: Broadcaster;
  readonly playbacks: Playbacks;
  /** Several times a second. */
  readonly look: () => void;
  /** Once a second. */
  readonly watch: () => void;
}

export interface Timers {
  /** The server stops: no more heartbeats and bar ends, but sessions are still visited. */
  rest(): void;
  stop(): void;
}

export function startTimers(stages: TimedStages): Timers {
  const { turns, heartbeatMs, broadcaster, playbacks } = stages;
  let bars: Timer | undefined;
  broadcaster.wakeIn = (ms) => {
    clearTimeout(bars);
    bars = turns.later('bars', Math.min(ms, BAR_TIMER_MS_MAX), () => broadcaster.endBars());
  };
  broadcaster.endBars();
  const periodic = [
    turns.every('heartbeat', LOOK_EVERY_MS, () => broadcaster.beat()),
    turns.every('heartbeat', heartbeatMs, () => playbacks.notifyWaiting()),
    turns.every('watch', WATCH_EVERY_MS, stages.watch),
  ];
  const look = turns.every('look', LOOK_EVERY_MS, stages.look);
  return {
    rest: () => {
      for (const timer of periodic) clearInterval(timer); // what waits for a slow reader must not grow any more
      clearTimeout(bars);
      broadcaster.wakeIn = () => {};
    },
    stop: () => clearInterval(look),
  };
}
