/** Frames of the batch log: what is encoded comes back, and no other bytes are taken for a frame. */

import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';

import fc, { type Arbitrary } from 'fast-check';

import { BatchEncoder, decodeBatch, type WireBatch } from '../../protocol/batch';
import { crc32 } from '../../protocol/checksum';
import type { Fault } from '../../protocol/codes';
import {
  decodeLogBatches,
  decodeLogFrame,
  encodeLogFrame,
  endOf,
  isLastPart,
  isShardName,
  logFrameBytes,
  type LogFrame,
} from '../../protocol/log-frame';
import { fromHex, toHex } from '../support/bytes';

const EPOCH = 1723161255342;
const GOLDEN = [
  'batches',
  'batches-behind-a-hole',
  'part-1-of-2',
  'part-2-of-2',
  'epoch',
  'epoch-first',
  'heartbeat',
] as const;

function readFixture(path: string): string {
  return readFileSync(`${import.meta.dir}/../../fixtures/${path}.hex`, 'utf8').trim();
}

const golden = (name: (typeof GOLDEN)[number]): string => readFixture(`log-frames/${name}`);
const batchBytes = fromHex(readFixture('batches/batch'));

function frameOf(bytes: Uint8Array): LogFrame {
  const frame = decodeLogFrame(bytes);
  if ('code' in frame) throw new Error(frame.message);
  return frame;
}

function faultOf(bytes: Uint8Array): Fault {
  const frame = decodeLogFrame(bytes);
  if (!('code' in frame)) throw new Error('it was taken for a frame');
  return frame;
}

/** The frame with some bytes changed, under a checksum that is right again. */
function changed(hex: string, change: (bytes: Uint8Array, view: DataView) => void): Uint8Array {
  const bytes = fromHex(hex);
  change(bytes, new DataView(bytes.buffer));
  const view = new DataView(bytes.buffer);
  view.setUint32(bytes.length - 4, crc32(bytes.subarray(0, -4)));
  return bytes;
}

const integer = (min = 0): Arbitrary<number> => fc.integer({ min, max: 2 ** 52 });
const shard = fc.stringMatching(/^[A-Za-z0-9_-]{1,32}$/);
const bytes = fc.uint8Array({ minLength: 1, maxLength: 50 });

const frames: Arbitrary<LogFrame> = fc
  .record({
    kind: fc.constantFrom('batches', 'epoch', 'heartbeat'),
    shard,
    epoch: integer(1),
    before: integer(1),
    prevLastSeq: integer(),
    hole: fc.constantFrom(0, 0, 7),
    count: fc.nat(1000),
    part: fc.nat(5),
    more: fc.nat(5),
    batches: fc.array(bytes, { minLength: 1, maxLength: 5 }),
  })
  .map(({ kind, shard, epoch, before, prevLastSeq, hole, count, part, more, batches }) => {
    const isBatches = kind === 'batches';
    const firstSeq = prevLastSeq + 1 + (isBatches ? hole : 0);
    const isSplit = isBatches && part + more > 0;
    return {
      kind,
      shard,
      epoch,
      prevEpoch: kind === 'epoch' ? Math.max(0, epoch - before) : epoch,
      firstSeq,
      lastSeq: isBatches ? firstSeq + count : prevLastSeq,
      prevLastSeq,
      part: isSplit ? part : 0,
      parts: isSplit ? part + more + 1 : 1,
      batches: isSplit ? batches.slice(0, 1) : isBatches ? batches : [],
    };
  });

describe('frames of the batch log', () => {
  test('[L1] [L3] [L4] [L5] [L6] what is encoded comes back', () => {
    fc.assert(
      fc.property(frames, (frame) => {
        const encoded = encodeLogFrame(frame);
        expect(decodeLogFrame(encoded)).toEqual(frame);
        if (frame.parts > 1) return;
        const sum = frame.batches.reduce((total, { length }) => total + length, 0);
        expect(encoded.length).toBe(logFrameBytes(frame.shard, frame.batches.length, sum));
      }),
    );
  });

  test('[L1] bytes of an independent encoder are the frames, and the frames those bytes', () => {
    for (const name of GOLDEN) {
      expect(toHex(encodeLogFrame(frameOf(fromHex(golden(name)))))).toBe(golden(name));
    }
    const numbers = { epoch: EPOCH, prevEpoch: EPOCH, firstSeq: 1042, lastSeq: 1046 };
    const frame = frameOf(fromHex(golden('batches')));
    expect(frame).toMatchObject({ kind: 'batches', shard: 'main', ...numbers, prevLastSeq: 1041 });
    expect(decodeLogBatches(frame)).toEqual([decodeBatch(batchBytes) as WireBatch]);
    expect(endOf(frame)).toBe(1046);
    expect(frameOf(fromHex(golden('epoch-first')))).toMatchObject({
      kind: 'epoch',
      prevEpoch: 0,
      firstSeq: 1,
      lastSeq: 0,
    });
    expect(frameOf(fromHex(golden('batches-behind-a-hole')))).toMatchObject({ prevLastSeq: 1039 });
    expect(frameOf(fromHex(golden('heartbeat'))).kind).toBe('heartbeat');
  });

  test('[L6] a batch in parts is there with its last part', () => {
    const first = frameOf(fromHex(golden('part-1-of-2')));
    const last = frameOf(fromHex(golden('part-2-of-2')));
    expect([isLastPart(first), endOf(first)]).toEqual([false, 1041]);
    expect([isLastPart(last), endOf(last)]).toEqual([true, 1046]);
    const whole = Buffer.concat([first.batches[0]!, last.batches[0]!]);
    expect(decodeLogBatches(last, [whole])).toEqual([decodeBatch(batchBytes) as WireBatch]);
  });

  test('[L2] a frame that is cut short anywhere, or has more behind it, is refused', () => {
    for (const name of GOLDEN) {
      const bytes = fromHex(golden(name));
      for (let length = 0; length < bytes.length; length++) faultOf(bytes.subarray(0, length));
      faultOf(Uint8Array.from([...bytes, 0]));
    }
  });

  test('[L2] each bit that is flipped is noticed', () => {
    const bytes = fromHex(golden('batches'));
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = bytes.slice();
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      const expected = bit < 32 ? 'frame.magic' : bit < 40 ? 'frame.version' : 'frame.crc';
      expect(faultOf(flipped).field).toBe(expected);
    }
  });

  test('[L2] a frame that is hostile under a right checksum is refused by name, and never throws', () => {
    const change = fc.tuple(fc.nat(200), fc.nat(255));
    const changes = fc.array(change, { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(fc.constantFrom(...GOLDEN), changes, (name, list) => {
        const bytes = changed(golden(name), (b) => {
          for (const [at, value] of list) if (at < b.length) b[at] = value;
        });
        const frame = decodeLogFrame(bytes);
        if ('code' in frame) {
          expect(frame.field).toStartWith('frame.');
          return;
        }
        expect(encodeLogFrame(frame)).toEqual(bytes as Uint8Array<ArrayBuffer>);
        const batches = decodeLogBatches(frame);
        if ('code' in batches) expect(batches.message).not.toBe('');
      }),
      { numRuns: 2_000 },
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 150 }), (b) => void decodeLogFrame(b)));
  });

  type Change = (bytes: Uint8Array, view: DataView) => void;
  const cases: readonly [rule: string, name: (typeof GOLDEN)[number], field: string, Change][] = [
    ['[L1]', 'batches', 'frame.kind', (b) => (b[5] = 0)],
    ['[L1]', 'batches', 'frame.kind', (b) => (b[5] = 4)],
    ['[L1]', 'batches', 'frame.part', (_, v) => v.setUint16(6, 1)],
    ['[L1]', 'batches', 'frame.part', (_, v) => v.setUint16(8, 0)],
    ['[L1]', 'batches', 'frame.shard', (b) => (b[10] = 0)],
    ['[L1]', 'batches', 'frame.shard', (b) => (b[56] = 0x2e)],
    ['[L1]', 'heartbeat', 'frame.shard.length', (b) => (b[10] = 200)],
    ['[L2]', 'batches', 'frame.reserved', (b) => (b[11] = 1)],
    ['[L2]', 'batches', 'frame.count', (_, v) => v.setUint32(12, 2)],
    ['[L2]', 'batches', 'frame.batches[0]', (_, v) => v.setUint32(60, 0xffff_ffff)],
    ['[L2]', 'batches', 'frame.body.length', (_, v) => v.setUint32(60, 100)],
    ['[L2]', 'batches', 'frame.epoch', (_, v) => v.setUint32(16, 0x20_0000)],
    ['[L3]', 'batches', 'frame.count', (_, v) => v.setUint32(12, 0)],
    ['[L3]', 'batches', 'frame.prevEpoch', (_, v) => v.setUint32(28, 1)],
    ['[L3]', 'batches', 'frame.firstSeq', (_, v) => v.setUint32(36, 1041)],
    ['[L3]', 'batches', 'frame.lastSeq', (_, v) => v.setUint32(44, 1041)],
    ['[L4]', 'epoch', 'frame.epoch', (_, v) => v.setUint32(28, v.getUint32(20))],
    ['[L4]', 'epoch', 'frame.firstSeq', (_, v) => v.setUint32(36, 1048)],
    ['[L4]', 'epoch', 'frame.lastSeq', (_, v) => v.setUint32(44, 1047)],
    ['[L5]', 'heartbeat', 'frame.prevEpoch', (_, v) => v.setUint32(28, 1)],
    ['[L5]', 'heartbeat', 'frame.parts', (_, v) => v.setUint16(8, 2)],
    ['[L5]', 'heartbeat', 'frame.count', (_, v) => v.setUint32(12, 1)],
    ['[L6]', 'part-1-of-2', 'frame.count', (_, v) => v.setUint32(12, 2)],
  ];
  for (const [i, [rule, name, field, change]] of cases.entries()) {
    test(`[L2] refused by name, ${i}: ${field} of ${name} against ${rule}`, () => {
      expect(faultOf(changed(golden(name), change)).field).toBe(field);
    });
  }

  test('[L3] batches that are not those that the frame names are refused by name', () => {
    const frame = frameOf(fromHex(golden('batches')));
    const field = (change: Partial<LogFrame>): string | undefined => {
      const read = decodeLogBatches({ ...frame, ...change });
      return 'code' in read ? read.field : 'none';
    };
    expect(field({})).toBe('none');
    expect(field({ epoch: 5 })).toBe('frame.batches[0].epoch');
    expect(field({ firstSeq: 1041 })).toBe('frame.batches[0].firstSeq');
    expect(field({ lastSeq: 1047 })).toBe('frame.lastSeq');
    expect(field({ batches: [batchBytes, batchBytes] })).toBe('frame.batches[1].firstSeq');
    expect(field({ batches: [batchBytes.subarray(1)] })).toBe('frame.batches[0].batch.version');
    const { time } = decodeBatch(batchBytes) as WireBatch;
    const numbers = { epoch: EPOCH, firstSeq: 1042, lastSeq: 1041 };
    const empty = new BatchEncoder().encode({ ...numbers, time, events: [], executions: [] });
    expect(field({ batches: [empty] })).toBe('frame.batches[0].lastSeq');
  });

  test('[L1] a shard has a name of letters, digits, dashes and underscores', () => {
    for (const name of ['a', 'main', 'A-1_b', 'x'.repeat(32)]) expect(isShardName(name)).toBe(true);
    for (const name of ['', 'a.b', 'a b', '*', '>', 'ä', 'x'.repeat(33)]) {
      expect(isShardName(name)).toBe(false);
    }
  });
});
