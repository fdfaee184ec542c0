import { afterAll, describe, expect, test } from 'bun:test';
import { fileURLToPath } from 'node:url';
import { openSync, readdirSync, readlinkSync, writeSync, closeSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';

import { describeRecordingFault } from '../../src/ingest/recording/faults';
import { tapeLine } from '../../src/ingest/recording/tape';
import { deep } from '../support/tier';
import { ACME, all, opened, refused, TemporaryFiles } from './support';

const files = new TemporaryFiles();
afterAll(() => files.remove());

const trade = (i: number): string =>
  `{"type":"trade","symbol":"ACME","eventTime":"${1_700_000_000_000_000_000n + BigInt(i)}","seq":${i},"price":"${i % 900}.25","quantity":"0.${100 + (i % 900)}","aggressor":"buy","tradeId":${i}}\n`;
const tape = (count: number): string =>
  tapeLine(ACME, () => ACME) + Array.from({ length: count }, (_, i) => trade(i + 1)).join('');
const BAD = '{"type":"trade"}\n';

/** The descriptors of this process for a file. */
const handlesOf = (path: string): number =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path;
    } catch {
      return false;
    }
  }).length;

describe('recording', () => {
  test('gzip, concatenated gzip members and plain text give the same, with any name', async () => {
    const text = tape(5000);
    const half = Math.floor(text.length / 2);
    const members = [text.slice(0, half), text.slice(half, half + 1), '', text.slice(half + 1)];
    const plain = await all(await opened(files.write(text)));
    const gzip = await all(await opened(files.write(gzipSync(text))));
    const several = await all(
      await opened(files.write(Buffer.concat(members.map((m) => gzipSync(m))))),
    );
    expect(plain.records).toHaveLength(5001);
    expect(plain.faults).toEqual([]);
    expect(gzip).toEqual(plain);
    expect(several).toEqual(plain);
  });

  test('progress counts bytes on disk, lines, events, skips and refusals', async () => {
    const bytes = gzipSync(`${tape(2000)}{"type":"heartbeat"}\n\n${BAD}`);
    const recording = await opened(files.write(bytes), { onFault: 'skip' });
    const before = recording.progress();
    expect(before.bytesTotal).toBe(bytes.length);
    expect(before.lines).toBe(0);
    await all(recording);
    expect(recording.progress()).toEqual({
      bytesRead: bytes.length,
      bytesTotal: bytes.length,
      lines: 2004,
      read: 2001,
      events: 2001,
      skipped: 2,
      refused: 1,
      skippedBy: { heartbeat: 1, blank: 1 },
      refusedBy: { 'invalid-field': 1 },
    });
    expect(recording.stoppedBy).toBeUndefined();
  });

  test('stop ends with the fault of the line; skip continues', async () => {
    const path = files.write(`${tape(3)}${BAD}${trade(4)}${BAD}${trade(5)}`);
    const stopping = await opened(path);
    const stopped = await all(stopping);
    expect(stopped.records.map((r) => r.line)).toEqual([1, 2, 3, 4]);
    expect(stopped.faults).toHaveLength(1);
    expect(stopping.stoppedBy).toEqual(stopped.faults[0]);
    const text = describeRecordingFault(stopped.faults[0]!);
    expect(text).toStartWith(`${path}:5: trade.symbol is missing; expected `);
    expect(text).toEndWith(' [invalid-field]');
    const skipped = await all(await opened(path, { onFault: 'skip' }));
    expect(skipped.records.map((r) => r.line)).toEqual([1, 2, 3, 4, 6, 8]);
    expect(skipped.faults.map((f) => f.line)).toEqual([5, 7]);
  });

  test('a gzip cut anywhere: the lines before the cut, then one fault, under either policy', async () => {
    const text = tape(400);
    const bytes = gzipSync(text, { level: 1 });
    const whole = await all(await opened(files.write(bytes)));
    const offsets = [2, 3, 9, 10, 11, 40, bytes.length - 9, bytes.length - 8, bytes.length - 1];
    for (let at = 100; at < bytes.length; at += 397) offsets.push(at);
    let delivered = 0;
    for (const at of offsets) {
      const recording = await opened(files.write(bytes.subarray(0, at)), {
        format: 'ndjson',
        onFault: at % 2 === 0 ? 'skip' : 'stop',
      });
      const { records, faults } = await all(recording);
      expect(records).toEqual(whole.records.slice(0, records.length));
      expect(faults).toMatchObject([{ code: 'truncated-recording', line: records.length + 1 }]);
      expect(recording.stoppedBy).toEqual(faults[0]);
      delivered = Math.max(delivered, records.length);
    }
    expect(delivered).toBe(whole.records.length);
  });

  test('a gzip cut before its first line is refused when the format must be detected', async () => {
    const path = files.write(gzipSync(tape(400)).subarray(0, 15));
    expect(await refused(path)).toMatchObject({ code: 'truncated-recording', file: path });
  });

  test('a plain tape cut in a line: that line is the fault', async () => {
    const { records, faults } = await all(await opened(files.write(tape(3).slice(0, -10))));
    expect(records).toHaveLength(3);
    expect(faults).toMatchObject([{ code: 'malformed-json', line: 4 }]);
  });

  test('damaged gzip, or bytes after it, are a fault and never silent', async () => {
    const bytes = gzipSync(tape(400));
    const flipped = Buffer.from(bytes);
    flipped[bytes.length >> 1]! ^= 0xff;
    const checksum = Buffer.from(bytes);
    checksum[bytes.length - 6]! ^= 1;
    for (const damaged of [
      flipped,
      checksum,
      Buffer.concat([bytes, Buffer.from('garbage')]),
      Buffer.concat([bytes, Buffer.alloc(10), Buffer.from('garbage')]),
    ]) {
      const recording = await opened(files.write(damaged), { format: 'ndjson', onFault: 'skip' });
      const { faults } = await all(recording);
      expect(recording.stoppedBy?.code).toBe('damaged-recording');
      expect(faults.at(-1)).toEqual(recording.stoppedBy);
    }
  });

  test.each<[string, Uint8Array | string, string]>([
    ['empty', '', 'it is empty'],
    ['blank', '\n \n\n', 'it is empty'],
    ['text', 'hello, world\n', 'its first line is "hello, world"; expected a tape (ndjson'],
    ['other JSON', '{"a":1}\n', 'its first line is'],
    ['unknown type', '{"type":"weather"}\n', 'its first line is'],
    ['CSV', 'time,price\n1,2\n', 'its first line is "time,price"'],
    ['time without JSON', '1723161253937085768 1.5\n', 'its first line is "172316'],
    ['bytes', Uint8Array.of(0xff, 0, 1, 2), 'it begins with the bytes ff 00 01 02; expected'],
    ['cryptofeed', 'wss://x.test/ws <-> 1633998511.15\n', 'in the form of cryptofeed, which is'],
    ['its lines', '1633998512.06: {"e":"trade"}\n', 'in the form of cryptofeed, which is not read'],
    ['gzip of text', gzipSync('hello\n'), 'its first line is "hello"'],
    ['gzip of gzip', gzipSync(gzipSync('hello\n')), 'it is a gzip file inside another'],
    ['no line end', 'x'.repeat(3000), 'its first line is too long'],
  ])('not a recording: %s', async (_, bytes, message) => {
    const path = files.write(bytes);
    const fault = await refused(path, { lineBytesMax: 2000 });
    expect(fault).toMatchObject({ code: 'not-a-recording', file: path, line: 0 });
    expect(fault.message).toContain(message);
    expect(handlesOf(path)).toBe(0);
  });

  test('the format is detected from the first line that is not blank, or given by the caller', async () => {
    const binance =
      '\n\r\n1700000000000000000 {"u":1,"s":"ACME","b":"1","B":"1","a":"2","A":"1"}\n';
    const found = await opened(files.write(binance));
    expect(found.format).toBe('binance');
    expect((await all(found)).records.map((r) => r.line)).toEqual([3]);
    const marked = await opened(files.write(`\uFEFF${tape(1)}`));
    expect(marked.format).toBe('ndjson');
    expect((await all(marked)).records).toHaveLength(2);
    const forced = await opened(files.write(tape(1)), { format: 'binance' });
    expect((await all(forced)).faults).toMatchObject([{ line: 1, field: 'time' }]);
  });

  test('a missing file or a directory is a fault that names it', async () => {
    const path = files.path('absent');
    expect(await refused(path)).toMatchObject({ code: 'unreadable-recording', file: path });
    expect(await refused('/')).toMatchObject({ code: 'unreadable-recording', file: '/' });
  });

  test('the file is closed at the end, after an early break, and by close', async () => {
    for (const bytes of [tape(50_000), gzipSync(tape(50_000))]) {
      const path = files.write(bytes);
      const left = await opened(path);
      for await (const batch of left) {
        expect(batch.records.length).toBeGreaterThan(0);
        expect(handlesOf(path)).toBe(1);
        break;
      }
      expect(handlesOf(path)).toBe(0);
      await all(await opened(path));
      expect(handlesOf(path)).toBe(0);
      await (await opened(path)).close();
      expect(handlesOf(path)).toBe(0);
    }
  });

  test('any bytes can be read to their end', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 60 }),
        fc.boolean(),
        fc.constantFrom('ndjson' as const, 'binance' as const),
        async (bytes, asGzip, format) => {
          const path = files.write(
            asGzip ? Buffer.concat([Buffer.from([0x1f, 0x8b, 8]), bytes]) : bytes,
          );
          const { records } = await all(await opened(path, { format, onFault: 'skip' }));
          expect(records).toEqual([]);
        },
      ),
    );
  });

  test('memory stays bounded: a large tape, and much from a small gzip', async () => {
    // Both are larger in both tiers than what the memory may grow by.
    const blanks = deep(10, 5);
    const large = files.path('large');
    const block = Array.from({ length: 5000 }, (_, i) => trade(i)).join('');
    const fd = openSync(large, 'w');
    writeSync(
      fd,
      tapeLine(ACME, () => ACME),
    );
    let blocks = 0;
    for (; blocks * block.length < deep(120e6, 100e6); blocks++) writeSync(fd, block);
    closeSync(fd);
    const blank = gzipSync(`${' '.repeat(999)}\n`.repeat(20_000));
    const small = files.write(
      Buffer.concat([gzipSync(tape(0)), ...Array.from({ length: blanks }, () => blank)]),
    );
    for (const [path, lines] of [
      [large, blocks * 5000 + 1],
      [small, 20_000 * blanks + 1],
    ] as const) {
      const child = Bun.spawn([
        process.execPath,
        fileURLToPath(import.meta.resolve('./memory-child.ts')),
        path,
      ]);
      const found = (await new Response(child.stdout).json()) as { grownBytes: number };
      expect(found).toMatchObject({ lines, refused: 0 });
      expect(found.grownBytes).toBeLessThan(80e6);
    }
  }, 30_000);
});
