/** Resume messages: parts of the answer to a resume that follow from the requested topics. */

import { channelDef, channelOfTopic } from '../../../protocol/channels';
import type { Instrument, MessageOf } from '../../../protocol/messages';
import type { MirroredInstrument, TopicState } from '../topics/mirror';

/** The topics of bars, which alone have intervals, among them. */
export function* barsOf(
  targets: ReadonlyMap<TopicState, MirroredInstrument | null>,
): Generator<[TopicState, MirroredInstrument]> {
  for (const [topic, instrument] of targets) {
    if (instrument !== null && topic.def.topic === 'interval') yield [topic, instrument];
  }
}

/** The range that a resume has to declare as lost. */
export interface SkippedRange {
  /** The position of the reader. */
  readonly start: number;
  /** The newest sequence number after it that was lost in a crash; 0: none. */
  readonly lostTo: number;
}

export const NO_GAPS: SkippedRange = { start: 0, lostTo: 0 };

/**
 * The gaps of topics of bars and statistics. Their states follow after all other messages, so the
 * gap begins at the reader's position: a reader that is disconnected before they arrive knows what
 * it may lack.
 */
export function gapsOf(
  topics: readonly TopicState[],
  { start, lostTo }: SkippedRange,
): MessageOf<'gap'>[] {
  if (lostTo === 0) return [];
  const range = { from: start + 1, to: lostTo, count: lostTo - start } as const;
  return topics.map(({ name, numbering: { shard } }) => ({
    type: 'gap',
    topic: name,
    ...range,
    reason: 'not-journaled',
    shard,
  }));
}

/** Topics in one `reset`. */
const RESET_TOPICS_MAX = 1_000;

export function resetsOf(
  topics: readonly string[],
  rest: Pick<MessageOf<'reset'>, 'epoch' | 'seq' | 'reason' | 'shard'>,
): MessageOf<'reset'>[] {
  const resets: MessageOf<'reset'>[] = [];
  for (let i = 0; i < topics.length; i += RESET_TOPICS_MAX) {
    resets.push({
      type: 'reset',
      topics: topics.slice(i, i + RESET_TOPICS_MAX),
      ...rest,
    });
  }
  return resets;
}

/** The definitions of the instruments of topics, once each. */
export function definitionsOf(
  targets: ReadonlyMap<unknown, MirroredInstrument | null>,
): Instrument[] {
  const instruments = [...new Set(targets.values())].filter((i) => i !== null);
  return instruments.map(({ definition }) => definition);
}

/** Whether a topic has a state that follows from trades: bars and statistics. */
export function isDerived(name: string): boolean {
  return channelDef(channelOfTopic(name)).nature === 'derived';
}

/** How far before a position in a past epoch to look for late bars. */
const LOOK_BACKS = [5_000, 1_000, 200];

/**
 * The sequence number to look from for late bars that a past epoch may not have published: as far
 * back as memory reaches. If it does not reach, the journal is asked anyway.
 * @param since undefined if memory does not reach back to a position
 */
export function lookFromOf(seq: number, since: (seq: number) => unknown): number {
  const looked = LOOK_BACKS.map((back) => Math.max(0, seq - back));
  return looked.find((from) => since(from) !== undefined) ?? looked[0]!;
}
