/** Verify messages: the tasks that the verification gives its threads, and what they find. */

import type { InstrumentRow } from '../recover/reading';

/** Records to check: those of whole blocks, or those after the newest block. */
export interface StretchTask {
  /** Id of the last record before it; −1: it begins with the first record. */
  readonly afterId: number;
  readonly lastId: number;
  readonly isSealed: boolean;
}

export interface Fault {
  /** The range of sequence numbers that the fault may concern. */
  readonly seq: number;
  readonly lastSeq: number;
  readonly message: string;
}

export interface Definition {
  readonly instrument: number;
  readonly seq: number;
  readonly text: string;
}

export interface StretchFound {
  readonly events: number;
  /** The newest definition of each instrument that is defined in the stretch. */
  readonly definitions: readonly Definition[];
  /** The first fault. */
  readonly fault: Fault | undefined;
}

/** `structure`: SQLite's own check of the file. */
export type Task = 'structure' | StretchTask;

export type ToVerifier = { readonly open: VerifierSettings } | { readonly task: Task };

export type FromVerifier =
  | { readonly task: 'structure'; readonly fault: string | undefined }
  | { readonly task: StretchTask; readonly found: StretchFound };

/** What a thread needs to start. */
export interface VerifierSettings {
  readonly path: string;
  readonly instruments: readonly InstrumentRow[];
}
