/** Temper: the conditions of a run: the capacities, how the journal answers, how long the run lasts. */

import type { Prng } from '../../src/base/prng';
import type { PlaybackLimits } from '../../src/broadcast/playback/playbacks';
import type { SessionLimits } from '../../src/broadcast/sessions/session-limits';
import type { SourceTemper } from './source';
import type { WireLimits } from './wire';

export interface Temper {
  readonly readers: number;
  /** The chance that a turn of the market is a burst. */
  readonly bursts: number;
  readonly stepsMax: number;
  /** Sessions are closed for being slow, or for a backlog. */
  readonly isStrict: boolean;
  readonly session: SessionLimits;
  readonly wire: WireLimits;
  readonly source: SourceTemper;
  readonly memtableEventsMax: number;
  readonly playbacks: PlaybackLimits;
  /** Answers with the states of more topics than this are made while they are sent. */
  readonly statesAtOnceMax: number;
  /** The chance that the server restarts in a step. */
  readonly restarts: number;
  /** The chance that all connections are cut in a step. */
  readonly cuts: number;
}

export function drawTemper(random: Prng, isJournaled: boolean): Temper {
  const isStrict = random.chance(0.25);
  const isFailing = random.chance(0.2);
  const isFlood = random.chance(0.05);
  // So many readers that their requests after a cut take several turns.
  const isCrowd = !isFlood && random.chance(0.05);
  const playbacksMax = random.int(1, 3);
  return {
    readers: isCrowd ? random.int(10, 16) : random.int(1, 4),
    bursts: isFlood ? 0.5 : 0.05,
    stepsMax: isCrowd ? 100 : 250,
    isStrict,
    session: {
      outboxBytesMax: random.int(1_500, 8_000),
      staleMs: random.int(50, 300),
      tradeAgeMs: random.int(100, 1_000),
      lagMs: random.int(20, 80),
      pingMs: 500,
      pongMs: isStrict ? random.int(300, 1_500) : 1e9,
      controlMs: isStrict ? random.int(200, 1_000) : 1e9,
      controlMessagesMax: isStrict ? 100 : 1e9,
    },
    wire: {
      kernelBytes: random.int(0, 20_000),
      backlogBytesMax: isStrict ? random.int(30_000, 150_000) : 1e9,
    },
    source: {
      frameEventsMax: isFlood ? 400 : 30,
      prompt: random.chance(0.5) && !isFlood ? 0.9 : 0.2,
      failing: isFailing ? 0.05 : 0,
      broken: isFailing ? 0.1 : 0,
    },
    memtableEventsMax:
      isFlood || random.chance(0.5) ? random.int(20, isFlood ? 60 : 200) : random.int(200, 3_000),
    playbacks: {
      playbacksMax,
      playbacksPerClientMax: random.int(1, playbacksMax),
      playbackIdleMs: 500 * playbacksMax,
      playbackWaitMs: 600_000,
    },
    statesAtOnceMax: isStrict ? 256 : 1,
    restarts: !isJournaled && random.chance(0.3) ? 0.01 : 0,
    cuts: isCrowd ? 0.03 : 0,
  };
}
