/** REST work: the cost of answers in the share of their client, in microseconds of one core. */

/** A byte of a new answer, and of an answer that is reused. */
export const MADE_BYTE = 1 / 80;
export const SENT_BYTE = 1 / 1_000;
/** A tape, and each of its bytes; the bytes include the cost of the events. */
export const INGESTED = 100;
export const INGESTED_BYTE = 0.03;
/** A block of the journal, which another thread reads and checks; and the most for one answer. */
export const BLOCK = 100;
export const BLOCKS_WORK_MAX = 50_000;
/** The least cost of an answer that may be long. Reused answers below `LONG_BYTES` cost nothing. */
export const LONG_WORK = 20;
export const LONG_BYTES = 8_192;
