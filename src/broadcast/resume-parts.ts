/** Resume parts: what of the answer of a resume follows from the topics that are asked for. */

import type { Instrument, MessageOf } from '../../protocol/messages';
import type { MirroredInstrument, TopicState } from './mirror';

/** The topics of bars among them. */
export function* barsOf(
  targets: ReadonlyMap<TopicState, MirroredInstrument | null>,
): Generator<[TopicState, MirroredInstrument]> {
  for (const [topic, instrument] of targets) {
    if (instrument !== null && topic.name.startsWith('bar:')) yield [topic, instrument];
  }
}

/**
 * What a crash took, of bars and statistics. Their newest states follow behind all others, so the gap reaches
 * from the reader's position on: cut off before these have come, it knows what it may lack.
 */
export function gapsOf(
  targets: ReadonlyMap<TopicState, unknown>,
  start: number,
  lostTo: number,
): MessageOf<'gap'>[] {
  if (lostTo === 0) return [];
  const range = { from: start + 1, to: lostTo, count: lostTo - start } as const;
  const gaps: MessageOf<'gap'>[] = [];
  for (const { name } of targets.keys()) {
    if (isDerived(name)) gaps.push({ type: 'gap', topic: name, ...range, reason: 'not-journaled' });
  }
  return gaps;
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
