/** Rings for tests, in a temporary directory in /dev/shm, with writer and readers in one process. */

import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import type { Instrument, Tick } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import { Nanos } from '../../protocol/time';
import { StartFault } from '../../src/base/start-fault';
import { createRingFile, type RingFile } from '../../src/ipc/ring-file';
import { RingReader, type RingReaderOptions } from '../../src/ipc/ring-reader';
import type { RingRecord } from '../../src/ipc/ring-record';
import { RingWriter } from '../../src/ipc/ring-writer';

export class RingDirectory {
  readonly path = mkdtempSync('/dev/shm/tapedeck-test-');
  private count = 0;

  fresh(): string {
    return join(this.path, `${this.count++}.ring`);
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

export interface MadeRing {
  readonly path: string;
  readonly file: RingFile;
  readonly writer: RingWriter;
}

/** @throws Error with the code and message of the fault when the ring cannot be created */
export function makeRing(path: string, slots: number, entries = 8, first = 0): MadeRing {
  const shape = { slots, entries };
  const file = must(createRingFile({ path, ...shape, epoch: 7, time: Nanos.fromSeconds(1, 0) }));
  return { path, file, writer: new RingWriter(file.words, shape, first) };
}

export function openRing(path: string, options: RingReaderOptions = {}): RingReader {
  return must(RingReader.open(path, options));
}

export function must<T>(made: T | StartFault): T {
  if (made instanceof StartFault) throw new Error(`${made.code}: ${made.message}`);
  return made;
}

export function definition(symbol: string, seq: number): Instrument {
  return {
    type: 'instrument',
    symbol,
    seq,
    market: 'feed',
    priceScale: 2,
    quantityScale: 3,
    priceIncrement: 1,
    quantityIncrement: 1,
    previousClose: null,
    rules: null,
    shard: null,
  };
}

/** A tick whose fields are all functions of its sequence number, so that a torn record is detected. */
export function checkableTick(symbol: string, seq: number): Tick {
  const time = new Nanos(seq % 0x7fff_ffff, (seq * 2_654_435_761) % 4_294_967_296);
  return {
    type: 'tick',
    symbol,
    seq,
    prevSeq: seq - 1,
    eventTime: time,
    receiveTime: time,
    last: seq * 3,
    bid: seq * 5,
    ask: seq * 7,
    quantity: seq + 11,
    volume: seq + 13,
    count: seq % 1_000_003,
  };
}

/** Compares a record with the checkable tick of `seq`. @returns its contents if it differs, else undefined */
export function wrongTick(record: RingRecord, seq: number): string | undefined {
  const hi = seq % 0x7fff_ffff;
  const lo = ((seq * 2_654_435_761) % 4_294_967_296) | 0;
  const { ints } = record;
  const isWhole =
    record.seq === seq &&
    record.prevSeq === seq - 1 &&
    record.last === seq * 3 &&
    record.bid === seq * 5 &&
    record.ask === seq * 7 &&
    record.quantity === seq + 11 &&
    record.volume === seq + 13 &&
    record.count === seq % 1_000_003 &&
    ints[8] === lo &&
    ints[9] === hi &&
    ints[10] === lo &&
    ints[11] === hi;
  return isWhole ? undefined : `record of ${seq}: ${[...record.doubles].join(' ')}`;
}

export function batchOf(events: readonly BatchEvent[]) {
  return { events, lastSeq: events.at(-1)!.seq };
}
