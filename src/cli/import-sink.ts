/** Import sink: what takes the records of an import. */

import type { Fault } from '../../protocol/codes';
import type { Instrument } from '../../protocol/messages';
import type { Recorded } from '../ingest/recording/record';
import type { NumberedTarget } from './import-numbering';

export interface SinkOptions {
  readonly data?: string;
  readonly to?: string;
  readonly key?: string;
  readonly config?: string;
  /** `skip`: records other than the refused one are taken. `stop`: no record after it is. */
  readonly onFault: 'stop' | 'skip';
}

/** The outcome of the records of one call. */
export interface Intake {
  /** How many of them were submitted; with `stop` none after the first refused one. */
  reached: number;
  /** Faults by the index of the record. */
  readonly refused: Map<number, Fault>;
  /** Events that the target had already, and book events that wait for a snapshot. */
  repeated: number;
  waiting: number;
}

/** State of a book at the end. */
export type BookState = 'whole' | 'incomplete' | 'none';

export interface Sink extends NumberedTarget {
  /** The definition of a symbol in the target; undefined: there is none, or it cannot be read. */
  definitionOf(symbol: string): Instrument | undefined;
  /** Called before each recording: everything taken so far counts as present in the target. */
  begin(): Promise<void>;
  /** @throws TapedeckError when the connection fails */
  take(records: readonly Recorded[]): Promise<Intake>;
  /** Undefined: it cannot be read. */
  bookOf(symbol: string): Promise<BookState | undefined>;
  close(): void;
}
