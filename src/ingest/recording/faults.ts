/**
 * Faults: what can be wrong with a recording, as values that name the file and the line.
 *
 * A fault of a line costs that line; `onFault` says whether reading stops there. A name that Tapedeck cannot accept
 * costs the lines with that name and never stops reading. A fault of the file (truncated, damaged, unreadable) always
 * stops it, since nothing behind it can be trusted.
 */

import { shown, type ErrorCode, type Fault } from '../../../protocol/codes';

/** Codes beyond those of the protocol, each with a hint. */
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

/** A fault of a line, before its file is known. */
export interface LineFault {
  readonly code: RecordingCode;
  /** Field, value and what was expected. */
  readonly message: string;
  readonly field?: string;
  /** For a fault of the file: whether the bytes before it are intact, including a last line without a line feed. */
  readonly isBehind?: boolean;
  /** Shared by many lines: reported with the first and counted with each. */
  readonly name?: string;
}

export interface RecordingFault extends LineFault {
  readonly file: string;
  /** Counted from 1; 0 if the file as a whole is at fault. */
  readonly line: number;
}

export function lineFault(code: RecordingCode, message: string): LineFault {
  return { code, message };
}

/** A fault of a field: its name, its value and what was expected. */
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

/** The text for people: `tape.ndjson:17: trade.price is "x"; expected a decimal string … [invalid-field]`. */
export function describeRecordingFault(fault: RecordingFault): string {
  const at = fault.line === 0 ? fault.file : `${fault.file}:${fault.line}`;
  return `${at}: ${fault.message} [${fault.code}]`;
}
