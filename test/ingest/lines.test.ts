import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';

import { LineSplitter } from '../../src/ingest/recording/lines';
import { cut } from './support';

/** What a splitter delivers: a line as `n:text`, a fault as `n!code`. */
function split(pieces: readonly Uint8Array[], lineBytesMax?: number): string[] {
  const out: string[] = [];
  const taker = {
    line: (text: string, line: number): boolean => out.push(`${line}:${text}`) > 0,
    fault: (fault: { code: string }, line: number): boolean =>
      out.push(`${line}!${fault.code}`) > 0,
  };
  const splitter = new LineSplitter(taker, lineBytesMax);
  for (const piece of pieces) {
    const given = new Uint8Array(piece);
    splitter.push(given);
    given.fill(0); // the caller's buffer is used again
  }
  splitter.end();
  return out;
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('lines', () => {
  test('the line feed ends a line; the last may lack it; blank lines count', () => {
    expect(split([bytes('a\n\nbc')])).toEqual(['1:a', '2:', '3:bc']);
    expect(split([bytes('a\n')])).toEqual(['1:a']);
    expect(split([bytes('\n')])).toEqual(['1:']);
    expect(split([])).toEqual([]);
  });

  test('a byte order mark is dropped at the start of the file and nowhere else', () => {
    expect(split([bytes('\uFEFFa\n\uFEFFb')])).toEqual(['1:a', '2:\uFEFFb']);
  });

  test('a line that is not UTF-8 is a separate fault; other lines are kept', () => {
    const broken = Buffer.concat([bytes('é\n'), Buffer.from([0x61, 0xff, 0xfe]), bytes('\nz')]);
    expect(split([broken])).toEqual(['1:é', '2!not-utf8', '3:z']);
    const messages: string[] = [];
    const splitter = new LineSplitter({
      line: () => true,
      fault: (fault) => messages.push(fault.message) > 0,
    });
    splitter.push(broken);
    expect(messages).toEqual(['byte 2 of the line begins ff fe; expected UTF-8']);
  });

  test('a line of the maximum length is accepted, one byte more is a fault', () => {
    expect(split([bytes('12345\n123456\n12345\r\nx')], 5)).toEqual([
      '1:12345',
      '2!line-too-long',
      '3:12345\r',
      '4:x',
    ]);
  });

  test('a line that never ends is reported at once and not kept', () => {
    const out: string[] = [];
    const splitter = new LineSplitter(
      { line: () => true, fault: (fault, line) => out.push(`${line}!${fault.code}`) > 0 },
      1000,
    );
    for (let i = 0; i < 3; i++) splitter.push(new Uint8Array(600).fill(97));
    expect(out).toEqual(['1!line-too-long']);
    splitter.push(bytes('a\nnext\n'));
    expect(splitter.lines).toBe(2);
  });

  test('a receiver that refuses a line gets no more', () => {
    const seen: string[] = [];
    const splitter = new LineSplitter({
      line: (text) => seen.push(text) < 2,
      fault: () => true,
    });
    expect(splitter.push(bytes('a\nb\nc\n'))).toBe(false);
    expect(seen).toEqual(['a', 'b']);
  });

  test('bytes cut anywhere give the same lines and faults', () => {
    const piece = fc.oneof(
      fc.constantFrom('\n', '\r\n', 'aé€😀', 'plain', '\uFEFF').map(bytes),
      fc
        .constantFrom([0xff], [0xe2, 0x82], [0xed, 0xa0, 0x80], [0x0a, 0x0a])
        .map((b) => Uint8Array.from(b)),
      fc.uint8Array({ maxLength: 8 }),
    );
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 40 }).map((pieces) => Buffer.concat(pieces)),
        fc.array(fc.nat(300), { maxLength: 30 }),
        fc.integer({ min: 1, max: 20 }),
        (whole, offsets, lineBytesMax) => {
          const once = split([whole], lineBytesMax);
          expect(split(cut(whole, offsets), lineBytesMax)).toEqual(once);
          expect(split(cut(whole, [...whole.keys()]), lineBytesMax)).toEqual(once);
        },
      ),
      { numRuns: 500 },
    );
  });
});
