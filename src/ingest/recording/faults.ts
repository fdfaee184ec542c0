/**
 * Faults: what may be wrong with a recording, as values that name the file and the line.
 *
 * A fault of a line costs that line; `onFault` says whether the reading ends there. A name that
 * Tapedeck cannot take costs the lines of that name and never ends the reading. A fault of the file
 * (cut off, damaged, unreadable) always ends it, since nothing behind it can be trusted.
 */

import { shown, type ErrorCode, type Fault } from '../../../protocol/codes';

/** The codes beyond those of the protocol, with what to do about each. */
export const RECORDING_FAULTS = {
  'unreadable-recording': 'Give the path of a file that this user may read.',
  'not-a-recording': 'Give a tape (ndjson) or a Binance capture; gzip, zstd or plain.',
  'nothing-taken': 'Give a recording with trades, quotes or books of a format that is read.',
  'truncated-recording': 'Fetch the file again; what came before the break was delivered.',
  'damaged-recording': 'Fetch the file again; the compressed data does not hold together.',
  'line-too-long': 'Split the message; no line may be longer than the limit.',
  'not-utf8': 'Write recordings as UTF-8.',
  'ambiguous-symbol': 'Give --snapshot-symbol SYMBOL.',
  'unusable-symbol': 'Give it a name that can be taken: --symbol NAME=SYMBOL.',
  'mixed-markets': 'Import one of the two by itself, under another name: --symbol NAME=SYMBOL.',
  'wrong-time-unit': 'Say the unit of its times: --time-unit s, ms, us or ns.',
} as const satisfies Record<string, string>;

export type RecordingCode = ErrorCode | keyof typeof RECORDING_FAULTS;

/** A fault of a line before it is known which file the line stands in. */
export interface LineFault {
  readonly code: RecordingCode;
  /** Field, value and what was expected. */
  readonly message: string;
  readonly field?: string;
  /** Of a fault of the file: the bytes before it are whole, also the last line without its line feed. */
  readonly isBehind?: boolean;
  /** Many lines share it: it is reported with the first of them, and counted with all. */
  readonly name?: string;
}

export interface RecordingFault extends LineFault {
  readonly file: string;
  /** Counted from 1; 0 when the file as a whole is at fault. */
  readonly line: number;
}

export function lineFault(code: RecordingCode, message: string): LineFault {
  return { code, message };
}

/** A fault on a field of a line: what it is, what was given, what was expected. */
export function lineFieldFault(
  field: string,
  value: unknown,
  expected: string,
  code: RecordingCode = 'invalid-field',
): LineFault {
  return { code, field, message: `${field} is ${shown(value)}; expected ${expected}` };
}

export function recordingFault(
  file: string,
  line: number,
  fault: LineFault | Fault,
): RecordingFault {
  return { ...fault, file, line };
}

/** For people: `tape.ndjson:17: trade.price is "x"; expected a decimal string … [invalid-field]`. */
export function describeRecordingFault(fault: RecordingFault): string {
  const at = fault.line === 0 ? fault.file : `${fault.file}:${fault.line}`;
  return `${at}: ${fault.message} [${fault.code}]`;
}
