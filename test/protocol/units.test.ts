import { describe, expect, test } from 'bun:test';

import fc from 'fast-check';

import { fromJson } from '../../protocol/json';
import { formatDecimal, isSymbol, parseDecimal, SCALE_MAX } from '../../protocol/units';
import { safeInteger } from '../support/arbitraries';

const MAX = BigInt(Number.MAX_SAFE_INTEGER);

/** The expected result of parseDecimal for a well-formed text, computed without doubles. */
function oracle(text: string, scale: number): number | string {
  const [, sign, whole, decimals] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text)!;
  const kept = (decimals ?? '').slice(0, scale).padEnd(scale, '0');
  const value = BigInt(whole! + kept);
  const tooMany = /[1-9]/.test((decimals ?? '').slice(scale));
  if (value > MAX) return tooMany ? 'either' : 'out-of-range';
  if (tooMany) return 'too-many-decimals';
  return Number(sign === '-' ? -value : value) + 0;
}

const scale = fc.integer({ min: 0, max: SCALE_MAX });

describe('decimals', () => {
  test('[N1] a scaled integer survives its decimal form, at every scale', () => {
    fc.assert(
      fc.property(safeInteger(), scale, (value, scale) => {
        expect(parseDecimal(formatDecimal(value, scale), scale)).toBe(value);
      }),
    );
  });

  test('[N1] the decimal form is the exact quotient, with exactly the decimals of the scale', () => {
    fc.assert(
      fc.property(safeInteger(), scale, (value, scale) => {
        const text = formatDecimal(value, scale);
        const big = BigInt(value);
        const magnitude = big < 0n ? -big : big;
        const power = 10n ** BigInt(scale);
        const decimals = scale === 0 ? '' : `.${String(magnitude % power).padStart(scale, '0')}`;
        expect(text).toBe(`${big < 0n ? '-' : ''}${magnitude / power}${decimals}`);
      }),
    );
  });

  test('[N3] any well-formed decimal is read exactly or refused with the right fault', () => {
    const text = fc.stringMatching(/^-?\d{1,18}(\.\d{1,20})?$/);
    const short = fc.stringMatching(/^-?\d{1,5}(\.\d{1,6}0{0,6})?$/);
    fc.assert(
      fc.property(fc.oneof(text, short), scale, (text, scale) => {
        const expected = oracle(text, scale);
        const actual = parseDecimal(text, scale);
        if (expected === 'either') expect(actual).toBeString();
        else expect(actual).toBe(expected as number);
      }),
      { numRuns: 2_000 },
    );
  });

  test('[N3] anything that is not a decimal is malformed', () => {
    const wellFormed = /^-?\d+(\.\d+)?$/;
    const near = fc.string({
      unit: fc.constantFrom(...'0123456789.-+eE ,_x٣'.split('')),
      maxLength: 24,
    });
    fc.assert(
      fc.property(fc.oneof(near, fc.string()), scale, (text, scale) => {
        fc.pre(!wellFormed.test(text));
        expect(parseDecimal(text, scale)).toBe('malformed');
      }),
      { numRuns: 2_000 },
    );
  });

  const forms: [text: string, scale: number, expected: number | string][] = [
    ['1.50', 2, 150],
    ['1.50', 1, 15],
    ['1.50', 0, 'too-many-decimals'],
    ['1.00', 0, 1],
    ['-0.1', 1, -1],
    ['-0.1', 0, 'too-many-decimals'],
    ['-0', 2, 0],
    ['-0.00', 1, 0],
    ['007', 0, 7],
    ['0.000000000000001', 15, 1],
    ['0.0000000000000001', 15, 'too-many-decimals'],
    ['1e5', 2, 'malformed'],
    ['.5', 2, 'malformed'],
    ['5.', 2, 'malformed'],
    ['99999999999999999999.', 2, 'malformed'],
    ['1.234.5', 1, 'malformed'],
    ['', 2, 'malformed'],
    ['-', 2, 'malformed'],
    ['.', 2, 'malformed'],
    ['-.5', 2, 'malformed'],
    ['+1', 2, 'malformed'],
    [' 1', 2, 'malformed'],
    ['1 ', 2, 'malformed'],
    ['1,5', 2, 'malformed'],
    ['0x10', 2, 'malformed'],
    ['NaN', 2, 'malformed'],
    ['Infinity', 2, 'malformed'],
    ['٣', 2, 'malformed'],
    ['9007199254740991', 0, Number.MAX_SAFE_INTEGER],
    ['-9007199254740991', 0, -Number.MAX_SAFE_INTEGER],
    ['9007199254740992', 0, 'out-of-range'],
    ['90071992547409.91', 2, Number.MAX_SAFE_INTEGER],
    ['90071992547409.92', 2, 'out-of-range'],
    ['9007199254740991', 1, 'out-of-range'],
    ['1', 15, 10 ** 15],
    ['10', 15, 'out-of-range'],
    ['9'.repeat(40), 0, 'out-of-range'],
    ['9'.repeat(41), 0, 'malformed'],
    ['1'.repeat(100_000), 8, 'malformed'],
  ];
  for (const [text, scale, expected] of forms) {
    test(`[N3] "${text.slice(0, 20)}" at ${scale} decimals is ${expected}`, () => {
      expect(parseDecimal(text, scale)).toBe(expected as number);
    });
  }

  const faults: [price: unknown, code: string][] = [
    ['1.501', 'off-increment'],
    ['90071992547409.92', 'out-of-range'],
    ['1e5', 'invalid-field'],
    [1.5, 'invalid-field'],
    [null, 'invalid-field'],
    [undefined, 'invalid-field'],
  ];
  for (const [price, code] of faults) {
    test(`[N3] a JSON price of ${JSON.stringify(price)} is refused as ${code}, with its field`, () => {
      const trade = {
        type: 'trade',
        symbol: 'A',
        seq: 1,
        prevSeq: 0,
        eventTime: '1',
        receiveTime: '1',
        price,
        quantity: '1',
        aggressor: 'buy',
        tradeId: 0,
        timing: null,
      };
      const fault = fromJson(trade, () => ({ priceScale: 2, quantityScale: 0 }));
      expect(fault).toMatchObject({ code, field: 'trade.price' });
      expect((fault as { message: string }).message).toMatch(/^trade\.price is .+; expected .+/);
    });
  }
});

describe('symbols', () => {
  test('[N9] a symbol is 1 to 16 letters, digits, dots, dashes and underscores', () => {
    for (const good of ['A', 'BTCUSDT', 'a.b-c_d', '0', 'ABCDEFGHIJKLMNOP']) {
      expect(isSymbol(good)).toBe(true);
    }
    const bad = [
      '',
      '*',
      '.A',
      '-A',
      'A:B',
      'A/B',
      'A B',
      'A\n',
      'Ä',
      'ABCDEFGHIJKLMNOPQ',
      7,
      null,
    ];
    for (const text of bad) expect(isSymbol(text)).toBe(false);
  });
});
