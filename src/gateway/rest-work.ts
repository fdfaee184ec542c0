/** REST work: what answers count for in the share of who asks, and those that are made once for many. */

import type { Clock } from '../base/clock';
import { KeptAnswer } from './kept-answers';
import { openApiDocument } from './openapi';

/** Work in microseconds: of a byte of an answer that is made, and of one that was made before. */
export const MADE_BYTE = 1 / 80;
export const SENT_BYTE = 1 / 1_000;
/** Of a tape less than it takes, since its key is trusted with that. */
export const INGESTED_BYTE = 1 / 200;
/** Of a block of the journal that is proven, which a thread of its own does; of one answer so much at the most. */
export const BLOCK = 100;
export const BLOCKS_WORK_MAX = 100_000;
/** Of an answer that may be long, whatever it turns out to be; and how long an answer is not worth a thought. */
export const LONG_WORK = 20;
export const LONG_BYTES = 8_192;
/** How long answers are kept that many ask for: so that making them takes a tenth of a core at the most. */
const METRICS_MS = 100;
const INSTRUMENT_MS = 0.03;

interface Stages {
  readonly clock: Clock;
  readonly version: string;
  readonly metrics: { text(): Promise<string> };
  readonly queries: { readonly instrumentCount: number; instruments(): Promise<string> };
}

export function keptAnswers({ clock, version, metrics, queries }: Stages) {
  const kept = (make: () => string | Promise<string>, lifeMs: () => number): KeptAnswer =>
    new KeptAnswer(make, lifeMs, clock);
  return {
    openApi: kept(
      () => openApiDocument(version),
      () => Infinity,
    ),
    metrics: kept(
      () => metrics.text(),
      () => METRICS_MS,
    ),
    instruments: kept(
      () => queries.instruments(),
      () => queries.instrumentCount * INSTRUMENT_MS,
    ),
  };
}
