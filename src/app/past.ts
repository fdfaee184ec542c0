/** Past: the threads that read the journal, and what asks them. */

import type { Core } from '../base/contracts/core';
import { Playbacks } from '../broadcast/playback/playbacks';
import { History, startHistoryThread, startPlaybackThread } from '../journal/history/history';
import { DamagedBlocks } from './damaged-blocks';
import type { Ground } from './ground';
import { playbackSource } from './playback';

export interface Past {
  /** Answers questions. */
  readonly history: History;
  /** Reads replays and resumes. */
  readonly playback: History;
  readonly playbacks: Playbacks;
  readonly damaged: DamagedBlocks;
}

/** Questions under way for one replay or resume: its own, and those that close others before it. */
const QUESTIONS_A_PLAY = 8;

export function createPast({ config, limits, clock, log }: Ground, core: Core): Past {
  const { path } = core.past;
  const flush = (): Promise<void> => core.past.flush();
  const { turns } = clock;
  const damaged = new DamagedBlocks(log);
  const shared = { open: () => core.past.missing(), onDamage: damaged.report, turns };
  const history = new History({
    ...shared,
    questionsMax: config.limits.pastQueriesMax,
    flush,
    start: () => startHistoryThread(path),
  });
  const playback = new History({
    ...shared,
    questionsMax: 2 * config.limits.playbacksMax * QUESTIONS_A_PLAY, // replays, and as many resumes
    flush: () => {}, // when a replay is opened, not for each of its chunks
    start: () => startPlaybackThread(path),
  });
  return {
    history,
    playback,
    playbacks: new Playbacks(playbackSource(playback, flush), limits),
    damaged,
  };
}
