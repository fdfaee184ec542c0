/** Past: the threads that read the journal, and what asks them. */

import { Playbacks } from '../broadcast/playback/playbacks';
import { History, startHistoryThread, startPlaybackThread } from '../journal/history/history';
import type { Question } from '../journal/history/messages';
import { DamagedBlocks } from './damaged-blocks';
import type { Ground } from './ground';
import { playbackSource, playbackSources } from './playback';
import type { Shard, Shards } from './shards';

/** Answers questions about the past; each is of one symbol. */
export type PastQuestions = Pick<History, 'ask'>;

export interface Past {
  readonly history: PastQuestions;
  readonly playbacks: Playbacks;
  readonly damaged: DamagedBlocks;
  /** For each shard one that answers questions, and one that reads for replays and resumes. */
  readonly threads: readonly History[];
}

/** Questions under way for one replay or resume: its own, and those that close others before it. */
const QUESTIONS_A_PLAY = 8;

export function createPast(ground: Ground, shards: Shards): Past {
  const damaged = new DamagedBlocks(ground.log);
  const readers = new Map(shards.all.map((shard) => [shard, readersOf(ground, shard, damaged)]));
  const playbacks = shards.all.map((shard) => {
    const { playback, flush } = readers.get(shard)!;
    return playbackSource(playback, flush);
  });
  const source = playbackSources((name) => playbacks[shards.all.indexOf(shards.named(name))]!);
  return {
    history: {
      ask: (question) => readers.get(shards.of(symbolOf(question)))!.history.ask(question),
    },
    playbacks: new Playbacks(source, ground.limits),
    damaged,
    threads: [...readers.values()].flatMap(({ history, playback }) => [history, playback]),
  };
}

/** The threads that read the journal of a shard. */
function readersOf(
  { config, clock }: Ground,
  { core: { past } }: Shard,
  damaged: DamagedBlocks,
): { readonly history: History; readonly playback: History; readonly flush: () => Promise<void> } {
  const { path } = past;
  const flush = (): Promise<void> => past.flush();
  const { turns } = clock;
  const shared = { open: () => past.missing(), onDamage: damaged.report, turns };
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
  return { history, playback, flush };
}

/** The symbol that decides which journal is asked. */
function symbolOf(question: Question): string {
  if ('symbol' in question) return question.symbol;
  return 'instruments' in question ? (question.instruments[0]?.symbol ?? '') : '';
}
