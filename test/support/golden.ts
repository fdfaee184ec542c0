/** Golden frames: fixtures/frames/*.json, as read from disk. */

import { readdirSync, readFileSync } from 'node:fs';

import type { Scales } from '../../protocol/units';

const DIRECTORY = `${import.meta.dir}/../../fixtures/frames`;

export interface GoldenFrame {
  readonly name: string;
  readonly about: string;
  /** Decimals of the instruments that the messages name. */
  readonly scales: Readonly<Record<string, Scales>>;
  /** The JSON form, complete: every field, null where it has no value. */
  readonly messages: readonly Record<string, unknown>[];
  /** The binary frame. */
  readonly hex: string;
}

/** All golden frames, in the order of their names. */
export function readGoldenFrames(): GoldenFrame[] {
  return readFrames(DIRECTORY);
}

/** Frames from before a field was added; the messages are what they mean today. */
export function readEarlierFrames(): GoldenFrame[] {
  return readFrames(`${DIRECTORY}/earlier`);
}

function readFrames(directory: string): GoldenFrame[] {
  return readdirSync(directory)
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => JSON.parse(readFileSync(`${directory}/${file}`, 'utf8')) as GoldenFrame);
}
