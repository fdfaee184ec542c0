/** Resume parts: what of the answer of a resume follows from the topics that are asked for. */

import type { Instrument, MessageOf } from '../../../protocol/messages';
import type { MirroredInstrument, TopicState } from '../topics/mirror';

/** The topics of bars among them. */
export function* barsOf(
  targets: ReadonlyMap<TopicState, MirroredInstrument | null>,
): Generator<[TopicState, MirroredInstrument]> {
  for (const [topic, instrument] of targets) {
    if (instrument !== null && topic.name.startsWith('bar:')) yield [topic, instrument];
  }
}

/** What a resume passes over. */
export interface Passed {
  /** From which seq on it was asked for. */
  readonly start: number;
  /** The newest seq behind it that a crash took; 0: none. */
  readonly lostTo: number;
}

export const NO_GAPS: Passed = { start: 0, lostTo: 0 };

/**
 * The gaps of topics of bars and statistics. Their states come behind all others, so the gap reaches from
 * the reader's position on: cut off before these have come, it knows what it may lack.
 */
export function gapsOf(
  topics: readonly TopicState[],
  { start, lostTo }: Passed,
): MessageOf<'gap'>[] {
  if (lostTo === 0) return [];
  const range = { from: start + 1, to: lostTo, count: lostTo - start } as const;
  return topics.map(({ name }) => ({
    type: 'gap',
    topic: name,
    ...range,
    reason: 'not-journaled',
  }));
}

/** Topics that one `reset` names. */
const RESET_TOPICS_MAX = 1_000;

export function resetsOf(
  topics: readonly string[],
  rest: Pick<MessageOf<'reset'>, 'epoch' | 'seq' | 'reason'>,
): MessageOf<'reset'>[] {
  const resets: MessageOf<'reset'>[] = [];
  for (let i = 0; i < topics.length; i += RESET_TOPICS_MAX) {
    resets.push({ type: 'reset', topics: topics.slice(i, i + RESET_TOPICS_MAX), ...rest });
  }
  return resets;
}

/** Definitions of the instruments of topics, once each. */
export function definitionsOf(
  targets: ReadonlyMap<unknown, MirroredInstrument | null>,
): Instrument[] {
  const instruments = [...new Set(targets.values())].filter((i) => i !== null);
  return instruments.map(({ definition }) => definition);
}

export function isDerived(name: string): boolean {
  return name.startsWith('bar:') || name.startsWith('stats:');
}

/** How far before a position of a past epoch late bars are looked for. */
const LOOK_BACKS = [5_000, 1_000, 200];

/**
 * From where late bars are looked for that a past life may not have published: as far as memory reaches;
 * where it does not, the journal is asked anyway.
 * @param since undefined where memory does not reach back to a position
 */
export function lookFromOf(seq: number, since: (seq: number) => unknown): number {
  const looked = LOOK_BACKS.map((back) => Math.max(0, seq - back));
  return looked.find((from) => since(from) !== undefined) ?? looked[0]!;
}
