/** REST work: what answers count for in the share of their client, in microseconds of one core. */

/** A byte of an answer that is made, and of one that was made before. */
export const MADE_BYTE = 1 / 80;
export const SENT_BYTE = 1 / 1_000;
/** A tape, and each of its bytes, which stand for its events as well. */
export const INGESTED = 100;
export const INGESTED_BYTE = 0.03;
/** A block of the journal, which another thread reads and checks; and the most for one answer. */
export const BLOCK = 100;
export const BLOCKS_WORK_MAX = 50_000;
/** The least for an answer that may be long. Shorter kept answers are sent for nothing. */
export const LONG_WORK = 20;
export const LONG_BYTES = 8_192;
