/**
 * Detection: the format of a recording, from its first line that is not blank, or why it has none. Only the shape of
 * that line decides; the decoder reports what is wrong inside it.
 */

import { shown } from '../../../protocol/codes';
import { parseJson } from '../../../protocol/json';
import { messageByType } from '../../../protocol/messages';
import { lineFault, type LineFault } from './faults';

export const RECORDING_FORMATS = ['binance', 'ndjson'] as const;
export type RecordingFormat = (typeof RECORDING_FORMATS)[number];

const EXPECTED =
  'expected a tape (ndjson: lines such as {"type":"trade",…}) or a Binance capture ' +
  '(lines such as 1723161253937085768 {"stream":…}), gzip, zstd or plain';

/** Other formats that people may try to import, by their first bytes. */
const SIGNATURES: readonly (readonly [name: string, bytes: readonly number[]])[] = [
  ['a zstd file inside another', [0x28, 0xb5, 0x2f, 0xfd]],
  ['an xz file', [0xfd, 0x37, 0x7a, 0x58, 0x5a]],
  ['a bzip2 file', [0x42, 0x5a, 0x68]],
  ['a zip file', [0x50, 0x4b, 0x03, 0x04]],
  ['a SQLite database', [0x53, 0x51, 0x4c, 0x69, 0x74, 0x65]],
  ['a Parquet file', [0x50, 0x41, 0x52, 0x31]],
  ['text in UTF-16', [0xff, 0xfe]],
  ['text in UTF-16', [0xfe, 0xff]],
  ['a gzip file inside another', [0x1f, 0x8b]],
];

/**
 * @param head the bytes of the file (decompressed) up to the end of the first line that is not
 *   blank, or all bytes
 */
export function detectFormat(head: Uint8Array): RecordingFormat | LineFault {
  const known = SIGNATURES.find(([, bytes]) => bytes.every((byte, i) => head[i] === byte));
  if (known !== undefined) return not(`it is ${known[0]}`);
  const text = readText(head);
  if (text === undefined) return not(`it begins with the bytes ${hex(head.subarray(0, 8))}`);
  const line = text.replace(/^\uFEFF/, '').trim();
  if (line === '') return not('it is empty');
  if (/^\d{1,19}(\.\d{1,9})?\s+\{/.test(line)) return 'binance';
  if (isCryptofeed(line))
    return not('it is a capture in the form of cryptofeed, which is not read');
  return isTapeLine(line) ? 'ndjson' : not(`its first line is ${shown(line)}`);
}

/**
 * Index in this piece where the first line that is not blank ends; -1 if it does not end here.
 * @param begun whether that line began in an earlier piece
 */
export function firstLineEnd(bytes: Uint8Array, begun: boolean): { at: number; begun: boolean } {
  let inLine = begun;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte === 10 && inLine) return { at: i, begun: true };
    if (byte > 32) inLine = true;
  }
  return { at: -1, begun: inLine };
}

/** `wss://… <-> 1633998511.15`, `https://… -> 1633998512.32: {…}`, or `1633998512.06: {…}`. */
function isCryptofeed(line: string): boolean {
  return /^(wss?|https?):\/\/\S+ (<->|<-|->) \d/.test(line) || /^\d+\.\d+: [{[]/.test(line);
}

function isTapeLine(line: string): boolean {
  // A first line that is truncated or damaged is still a tape's if it begins as one.
  if (/^\{\s*"type"\s*:\s*"[a-z]/.test(line)) {
    const type = /"type"\s*:\s*"([^"]*)"/.exec(line)?.[1];
    return type !== undefined && messageByType(type) !== undefined;
  }
  const parsed = parseJson(line);
  if (!('value' in parsed)) return false;
  const type = (parsed.value as { type?: unknown } | null)?.type;
  return typeof type === 'string' && messageByType(type) !== undefined;
}

function readText(head: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(head);
  } catch {
    return undefined;
  }
}

function not(seen: string): LineFault {
  return lineFault('not-a-recording', `${seen}; ${EXPECTED}`);
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
}
