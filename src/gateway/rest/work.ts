/** REST work: what answers count for in the share of who asks, and those that are made once for many. */

import type { Clock } from '../../base/clock';
import { KeptAnswer } from './kept-answers';
import { openApiDocument } from './openapi';

/** Work in microseconds: of a byte of an answer that is made, and of one that was made before. */
export const MADE_BYTE = 1 / 80;
export const SENT_BYTE = 1 / 1_000;
/** Of a tape, and of each of its bytes, which stand for the events in it as well. */
export const INGESTED = 100;
export const INGESTED_BYTE = 0.03;
/** Of a block of the journal that is proven, which a thread of its own does; of one answer so much at the most. */
export const BLOCK = 100;
export const BLOCKS_WORK_MAX = 50_000;
/** Of an answer that may be long, whatever it turns out to be; and how long an answer is not worth a thought. */
export const LONG_WORK = 20;
export const LONG_BYTES = 8_192;
/** Of a core, to make an answer that many ask for. */
const KEPT_SHARE = 0.02;

interface Stages {
  readonly clock: Clock;
  readonly version: string;
  readonly metrics: { text(): Promise<string> };
  readonly queries: { instruments(): Promise<string> };
}

export function keptAnswers({ clock, version, metrics, queries }: Stages) {
  const kept = (make: () => string | Promise<string>, share = KEPT_SHARE): KeptAnswer =>
    new KeptAnswer(make, share, clock);
  return {
    openApi: kept(() => openApiDocument(version), 0),
    metrics: kept(() => metrics.text()),
    instruments: kept(() => queries.instruments()),
  };
}
