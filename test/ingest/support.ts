/** Helpers of the recording tests: temporary files, and reading everything at once. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Instrument } from '../../protocol/messages';
import { NOTHING_KNOWN, type Known } from '../../src/ingest/recording/definitions';
import type { RecordingFault } from '../../src/ingest/recording/faults';
import { LineReader, type LineReaderOptions } from '../../src/ingest/recording/line-reader';
import type { Recorded, RecordedBatch } from '../../src/ingest/recording/record';
import {
  openRecording,
  type Recording,
  type RecordingOptions,
} from '../../src/ingest/recording/recording';

export const ACME: Instrument = {
  type: 'instrument',
  symbol: 'ACME',
  seq: 0,
  market: 'feed',
  priceScale: 2,
  quantityScale: 3,
  priceIncrement: 1,
  quantityIncrement: 1,
  previousClose: null,
  rules: null,
  shard: null,
};

/** Known definitions, and no options. */
export function known(...definitions: Instrument[]): Known {
  const bySymbol = new Map(definitions.map((one) => [one.symbol, one]));
  return { ...NOTHING_KNOWN, definitionOf: (symbol) => bySymbol.get(symbol) };
}

export interface All {
  records: Recorded[];
  faults: RecordingFault[];
}

/** A directory for the files of one test file. */
export class TemporaryFiles {
  private readonly directory = mkdtempSync(join(tmpdir(), 'tapedeck-ingest-'));
  private count = 0;

  write(bytes: Uint8Array | string): string {
    const path = this.path(`${this.count++}`);
    writeFileSync(path, bytes);
    return path;
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export async function opened(path: string, options: RecordingOptions = {}): Promise<Recording> {
  const recording = await openRecording(path, options);
  if ('code' in recording) throw new Error(`${recording.code}: ${recording.message}`);
  return recording;
}

export async function refused(
  path: string,
  options: RecordingOptions = {},
): Promise<RecordingFault> {
  const recording = await openRecording(path, options);
  if ('code' in recording) return recording;
  await recording.close();
  throw new Error('it was taken for a recording');
}

export async function all(recording: AsyncIterable<RecordedBatch>): Promise<All> {
  const out: All = { records: [], faults: [] };
  for await (const batch of recording) append(out, batch);
  return out;
}

/** What a reader makes of pieces of bytes. */
export function readPieces(
  pieces: readonly (Uint8Array | string)[],
  options: Partial<LineReaderOptions> = {},
): All & { reader: LineReader } {
  const reader = new LineReader({ file: 'test', format: 'ndjson', onFault: 'skip', ...options });
  const out = { records: [], faults: [], reader };
  for (const piece of pieces) append(out, reader.push(Buffer.from(piece)));
  append(out, reader.end());
  return out;
}

function append(out: All, batch: RecordedBatch): void {
  for (const record of batch.records) out.records.push(record);
  for (const fault of batch.faults) out.faults.push(fault);
}

/** Cuts bytes at the given offsets, which may be in any order and out of range. */
export function cut(bytes: Uint8Array, offsets: readonly number[]): Uint8Array[] {
  const inside = offsets.map((p) => p % (bytes.length + 1)).sort((a, b) => a - b);
  const pieces: Uint8Array[] = [];
  let from = 0;
  for (const to of [...inside, bytes.length]) {
    pieces.push(bytes.subarray(from, to));
    from = to;
  }
  return pieces;
}
