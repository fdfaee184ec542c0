/** Compressed recordings, cut and damaged at every byte: good lines are kept, and the loss is reported. */

import { afterAll, describe, expect, test } from 'bun:test';
import { constants, gzipSync, zstdCompressSync } from 'node:zlib';

import { tapeLine } from '../../src/ingest/recording/tape';
import type { RecordingFault } from '../../src/ingest/recording/faults';
import { ACME, all, opened, TemporaryFiles } from './support';

const files = new TemporaryFiles();
afterAll(() => files.remove());

const line = (i: number): string =>
  `{"type":"trade","symbol":"ACME","eventTime":"${1_700_000_000_000_000_000n + BigInt(i)}","seq":${i},"price":"${(i * 7919) % 977}.25","quantity":"0.${100 + ((i * 31) % 900)}","aggressor":"buy"}\n`;
const TAPE =
  tapeLine(ACME, () => ACME) + Array.from({ length: 30 }, (_, i) => line(i + 1)).join('');
const LINES = 31;

interface Found {
  lines: number[];
  fault: RecordingFault | undefined;
  note: string | undefined;
}

async function read(bytes: Uint8Array): Promise<Found> {
  const recording = await opened(files.write(bytes), { format: 'ndjson', onFault: 'skip' });
  const { records } = await all(recording);
  const { lines, read: taken, skipped, refused } = recording.progress();
  expect(lines).toBe(taken + skipped + refused);
  return { lines: records.map((r) => r.line), fault: recording.stoppedBy, note: recording.note };
}

const counted = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);
describe('gzip', () => {
  const GZIP = gzipSync(TAPE);
  const behind = (...more: (string | Uint8Array)[]): Buffer =>
    Buffer.concat([GZIP, ...more.map((one) => Buffer.from(one as string))]);

  test('cut at every byte: the first lines, more with a later cut, then the fault', async () => {
    let before = 0;
    for (let at = 4; at < GZIP.length; at++) {
      const { lines, fault } = await read(GZIP.subarray(0, at));
      expect(lines).toEqual(counted(lines.length));
      expect(lines.length).toBeGreaterThanOrEqual(before);
      expect([at, fault?.code]).toEqual([at, 'truncated-recording']);
      before = lines.length;
    }
    expect(before).toBe(LINES);
  });

  test('damaged at every byte: no loss is silent, and every line before the damage is kept', async () => {
    const whole = (await read(GZIP)).lines;
    expect(whole).toEqual(counted(LINES));
    for (let at = 10; at < GZIP.length; at++) {
      const garbled = Buffer.from(GZIP);
      garbled[at]! ^= 0x5a;
      const { lines, fault } = await read(garbled);
      if (fault === undefined) expect(lines).toEqual(counted(LINES)); // some bits mean nothing
      // What the bytes before the damage give by themselves is kept; the last of them may be damaged.
      const kept = (await read(GZIP.subarray(0, at))).lines.length;
      expect(lines.slice(0, kept)).toEqual(counted(kept));
      if (at >= GZIP.length - 8) expect(lines).toEqual(counted(LINES));
    }
  });

  test('zero padding is skipped and reported', async () => {
    for (const zeros of [1, 511, 512, 200_000]) {
      const { lines, fault, note } = await read(behind(new Uint8Array(zeros)));
      expect([lines.length, fault]).toEqual([LINES, undefined]);
      expect(note).toBe(`${zeros} zero bytes follow the gzip data; they were passed over`);
    }
  });

  test('other trailing bytes affect none of the lines, and are reported', async () => {
    const unended = gzipSync(TAPE.slice(0, -1)); // the last line lacks its line feed
    for (const bytes of [
      behind('garbage'),
      behind(new Uint8Array(9), 'x'),
      behind('\x1f'),
      behind('\x1f\x8b\x08'),
      Buffer.concat([unended, Buffer.from('!')]),
    ]) {
      const { lines, fault } = await read(bytes);
      expect(lines).toEqual(counted(LINES));
      expect(fault?.code).toBeOneOf(['damaged-recording', 'truncated-recording']);
    }
    const { fault } = await read(behind('more'));
    expect(fault?.message).toContain('which is whole, follow bytes that are none (6d 6f 72 65 …)');
  });

  test('members with names, comments and extra fields', async () => {
    const header = Buffer.from([0x1f, 0x8b, 8, 2 | 4 | 8 | 16, 0, 0, 0, 0, 0, 3]);
    const named = Buffer.concat([
      header,
      Buffer.from([3, 0, 1, 2, 3]),
      Buffer.from('a.ndjson\0why\0'),
      Buffer.from([9, 9]),
      GZIP.subarray(10),
    ]);
    expect((await read(named)).lines).toEqual(counted(LINES));
    expect(
      (await read(Buffer.concat([named, gzipSync(line(40)), named.subarray(0, 12)]))).lines,
    ).toEqual(counted(LINES + 1));
  });
});

describe('zstd', () => {
  const params = { [constants.ZSTD_c_checksumFlag]: 1 };
  const ZSTD = zstdCompressSync(TAPE, { params });

  test('is read like gzip, with several frames in a row and skippable ones too', async () => {
    const skippable = Buffer.from([0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
    const two = Buffer.concat([ZSTD, skippable, zstdCompressSync(line(40))]);
    expect(await read(ZSTD)).toEqual({ lines: counted(LINES), fault: undefined, note: undefined });
    expect(await read(two)).toMatchObject({ lines: counted(LINES + 1), fault: undefined });
  });

  test('cut or damaged at every byte: the first lines, and no loss is silent', async () => {
    for (let at = 4; at < ZSTD.length; at++) {
      const { lines, fault } = await read(ZSTD.subarray(0, at));
      expect(lines).toEqual(counted(lines.length));
      expect([at, fault?.code]).toEqual([at, 'truncated-recording']);
      const garbled = Buffer.from(ZSTD);
      garbled[at]! ^= 0x5a;
      const damaged = await read(garbled);
      // Some bits mean nothing: then nothing is lost.
      if (damaged.fault === undefined) expect(damaged.lines).toEqual(counted(LINES));
    }
  });

  test('large blocks before a break are kept', async () => {
    const text = TAPE + Array.from({ length: 20_000 }, (_, i) => line(i + 31)).join('');
    const bytes = zstdCompressSync(text);
    const { lines, fault } = await read(bytes.subarray(0, Math.floor(bytes.length * 0.7)));
    expect(lines.length).toBeGreaterThan(5_000);
    expect(lines).toEqual(counted(lines.length));
    expect(fault?.code).toBe('truncated-recording');
  });

  test('bytes after it affect none of the lines', async () => {
    const { lines, fault } = await read(Buffer.concat([ZSTD, Buffer.from('garbage')]));
    expect(lines).toEqual(counted(LINES));
    expect(fault?.message).toContain('behind the zstd data, which is whole');
  });
});
