/** Redaction: no key, token or password remains in the log, wherever it is. */

import { expect, test } from 'bun:test';
import fc from 'fast-check';

import { redacted, redactedText } from '../../src/log/redaction';
import { readSeed } from '../support/seed';
import { testKey } from '../support/tapedeck-process';

const KEY = testKey('somebody');
const JWT = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJkZXNrIiwiZXhwIjoxfQ.c2lnbmF0dXJlLW9mLWl0LWFsbA';
const PASSWORD = 'correct-horse-battery';

test.each([KEY, JWT, `Bearer ${PASSWORD}`, `bearer\t${PASSWORD}`, `Basic ${PASSWORD}`])(
  'from a text: %s',
  (secret) => {
    for (const text of [
      secret,
      `key=${secret}&x=1`,
      `"${secret}"`,
      `a ${secret}, b`,
      `${secret}…`,
    ]) {
      const shown = redactedText(text);
      expect(shown).toContain('[redacted]');
      for (const part of [KEY, JWT, PASSWORD]) expect(shown).not.toContain(part);
    }
  },
);

test('what only looks like a secret is kept: ids of sessions, names of keys, the hint on how to present one', () => {
  for (const text of [
    's17',
    'Give a key: Authorization: Bearer KEY, or hello.key.',
    'tk_',
    'hello.key is missing',
  ]) {
    expect(redactedText(text)).toBe(text);
  }
});

test('from the message, stack and cause of an error', () => {
  const cause = new Error(`inner ${KEY}`);
  const error = Object.assign(new Error(`outer ${JWT}`, { cause }), {
    detail: { token: PASSWORD },
  });
  const text = JSON.stringify(redacted({ error, hint: `with Bearer ${PASSWORD}` }));
  for (const secret of [KEY, JWT, PASSWORD]) expect(text).not.toContain(secret);
  expect(text).toContain('redaction.test.ts'); // the location is kept
});

test('a secret anywhere in any object is removed, and the rest is kept', () => {
  const names = fc.constantFrom(
    'key',
    'Authorization',
    'token',
    'password',
    'clientSecret',
    'cookie',
    'jwt',
    'apiKey',
  );
  const position = fc.array(fc.oneof(fc.constantFrom('a', 'list', 'error'), names), {
    minLength: 0,
    maxLength: 6,
  });
  const inText = fc
    .tuple(fc.string(), fc.constantFrom(KEY, JWT), fc.string())
    .map((parts) => parts.join(' '));
  const secret = fc.oneof(
    fc.tuple(position, inText),
    fc
      .tuple(position, names, fc.string({ minLength: 12 }))
      .map(([path, name]) => [[...path, name], PASSWORD] as [string[], string]),
  );
  fc.assert(
    fc.property(secret, ([path, value]) => {
      let detail: unknown = { value, list: [value], code: 'kept' };
      if (value === PASSWORD) detail = value;
      for (const name of path.toReversed()) {
        detail = name === 'list' ? [detail, { code: 'kept' }] : { [name]: detail, code: 'kept' };
      }
      const text = JSON.stringify(redacted({ detail, code: 'outer' }));
      for (const each of [KEY, JWT, PASSWORD]) expect(text).not.toContain(each);
      expect(text).toContain('"code":"outer"');
    }),
    { seed: readSeed(), numRuns: 500 },
  );
});

test('it handles cyclic objects, and shortens long texts', () => {
  const loop: Record<string, unknown> = { code: 'kept' };
  loop['self'] = loop;
  expect(JSON.stringify(redacted(loop))).toContain('[deeper]');
  expect(redactedText('x'.repeat(100_000)).length).toBeLessThan(5_000);
});
