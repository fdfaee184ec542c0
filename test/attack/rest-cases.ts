/**
 * REST cases: requests built from the operations that a server describes: valid ones, slightly invalid ones, and
 * hostile ones. fast-check draws them, so a seed repeats them.
 */

import fc from 'fast-check';

import { testKey } from '../support/tapedeck-process';
import type { DocumentOperation, DocumentParameter } from './rest-document';

export interface RestCase {
  readonly operation: DocumentOperation;
  readonly method: string;
  /** Path and query as they are sent, in bytes of latin1. */
  readonly target: string;
  readonly headers: readonly string[];
  readonly body: string | null;
}

/** Symbols that exist on the servers of these tests, and others. */
const SYMBOLS = ['ACME', 'DESK', 'NONE', 'S1', 'acme'];

/** Values tried in every parameter that takes text; each is sent percent-encoded, and some also raw. */
export const HOSTILE: readonly string[] = [
  "'",
  '"',
  "' OR '1'='1",
  '1;--',
  "1'; DROP TABLE record;--",
  '\0',
  'ACME\0',
  '../../etc/passwd',
  '..\\..\\x',
  '..%2f..%2f',
  '%2e%2e/',
  '%',
  '%zz',
  '%E0%A4%A',
  '%c0%af',
  '%ff',
  '\r\nX-Injected: 1',
  '💥',
  'ＡＣＭＥ',
  'é',
  '\u202e',
  'A'.repeat(17),
  'A'.repeat(10_000),
  '-1',
  '-0',
  '+1',
  '1e9',
  '0x10',
  '1.5',
  ' 1',
  '1 ',
  '١',
  'NaN',
  'Infinity',
  'null',
  'true',
  '[]',
  '{}',
  '__proto__',
  'constructor',
  'toString',
  '',
  ' ',
  '*',
  '.',
  '..',
  '9007199254740992',
  '18446744073709551616',
  '9'.repeat(400),
  '2024-08-09T00:35:00.5Z',
  '2024-02-30T00:00:00Z',
  '<script>',
  '${1}',
  '$(id)',
];

const hostile = fc.constantFrom(...HOSTILE);
/** Some are sent raw, as no browser would send them. */
const sent = (text: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 6, arbitrary: text.map(encodeURIComponent) },
    {
      weight: 1,
      arbitrary: text.map((raw) => raw.replaceAll(/[^!-~]|[?#&/]/gu, encodeURIComponent)),
    },
  );

function valueOf({ name, schema, example }: DocumentParameter): fc.Arbitrary<string> {
  const good: fc.Arbitrary<string>[] = [];
  if (example !== undefined) good.push(fc.constant(String(example)));
  if (schema.enum !== undefined) good.push(fc.constantFrom(...schema.enum));
  if (name === 'symbol') good.push(fc.constantFrom(...SYMBOLS));
  if (name === 'name' || name === 'next') good.push(fc.nat(40).map((n) => `s${n}`));
  if (['from', 'to', 'at'].includes(name))
    good.push(
      fc.constantFrom(
        '0',
        '1',
        '1700000000123456789',
        '1700000000123456790',
        '9223372036854775807',
        '2023-11-14T22:13:20Z',
      ),
    );
  if (schema.type === 'integer') good.push(fc.nat(12).map(String), fc.maxSafeNat().map(String));
  const text = fc.string({ unit: 'binary', maxLength: 20 }).map((t) => t.toWellFormed());
  return sent(
    fc.oneof(
      { weight: 12, arbitrary: fc.oneof(...good, fc.constant('1')) },
      { weight: 3, arbitrary: hostile },
      { weight: 1, arbitrary: text },
    ),
  );
}

function queryOf(parameters: readonly DocumentParameter[]): fc.Arbitrary<string> {
  const own = parameters.filter((p) => p.in === 'query');
  const pair = fc.oneof(
    ...own.map((p) => fc.tuple(fc.constant(p.name), valueOf(p))),
    ...(own.length === 0 ? [1, 2] : [1]).map(() => fc.tuple(sent(hostile), sent(hostile))),
  );
  const pairs = fc.array(pair, { maxLength: 4 });
  return pairs.map((all) =>
    all.length === 0 ? '' : `?${all.map(([name, value]) => `${name}=${value}`).join('&')}`,
  );
}

function targetOf({ path, parameters }: DocumentOperation): fc.Arbitrary<string> {
  const parts = parameters.filter((p) => p.in === 'path');
  return fc.tuple(fc.tuple(...parts.map(valueOf)), queryOf(parameters)).map(([values, query]) => {
    let at = 0;
    return path.replaceAll(/\{\w+\}/g, () => values[at++]!) + query;
  });
}

const loose = fc.oneof(
  hostile,
  fc.jsonValue({ maxDepth: 2 }),
  fc.constant(null),
  fc.nat(200).map(String),
);

/** A valid body with some members replaced, left out or added. */
function changed(example: object): fc.Arbitrary<object> {
  const names = Object.keys(example);
  const name = fc.oneof(
    fc.constantFrom(...names),
    fc.constantFrom('kind', 'timeInForce', 'postOnly', 'type', 'id', '__proto__'),
  );
  const change = fc.tuple(name, fc.oneof(fc.constant(undefined), loose));
  return fc
    .array(change, { maxLength: 3 })
    .map((changes) => Object.assign({}, example, Object.fromEntries(changes)));
}

const ORDERS = [
  { symbol: 'DESK', side: 'buy', price: '1.00', quantity: '0.001' },
  { symbol: 'DESK', side: 'sell', price: '1.01', quantity: '2', postOnly: true },
  { symbol: 'DESK', side: 'sell', kind: 'market', quantity: '0.002', timeInForce: 'ioc' },
  { symbol: 'DESK', side: 'buy', price: '1.02', quantity: '1', clientOrderId: 'c-1' },
];
const STATES = ['pre-open', 'open', 'halted', 'closed'].map((state) => ({ state }));
const LINES = [
  {
    type: 'instrument',
    symbol: 'S1',
    seq: 0,
    market: 'feed',
    priceScale: 2,
    quantityScale: 3,
    priceIncrement: '0.01',
    quantityIncrement: '0.001',
    previousClose: null,
  },
  {
    type: 'trade',
    symbol: 'ACME',
    seq: 1,
    eventTime: '1700000000123456789',
    price: '10.01',
    quantity: '2',
    aggressor: 'buy',
  },
  {
    type: 'book',
    symbol: 'ACME',
    form: 'snapshot',
    seq: 1,
    eventTime: '1700000000000000000',
    bids: [['9.99', '5']],
    asks: [['10.01', '7']],
  },
];

function bodyOf({ path, body }: DocumentOperation): fc.Arbitrary<string | null> {
  if (body === null) return fc.option(fc.constantFrom('{}', 'x'.repeat(2000)), { freq: 10 });
  const bases: object[] = path.endsWith('/state')
    ? STATES
    : path.endsWith('/ingest')
      ? LINES
      : path.endsWith('/orders')
        ? ORDERS
        : [body.example as object];
  const one = fc
    .constantFrom(...bases)
    .chain(changed)
    .map((value) => JSON.stringify(value));
  const good = fc.constantFrom(...bases).map((value) => JSON.stringify(value));
  const lines = fc.array(fc.oneof(good, one), { minLength: 1, maxLength: 4 });
  const whole = path.endsWith('/ingest') ? lines.map((all) => `${all.join('\n')}\n`) : one;
  return fc.oneof(
    { weight: 6, arbitrary: whole },
    { weight: 2, arbitrary: good },
    { weight: 1, arbitrary: fc.json() },
    {
      weight: 1,
      arbitrary: fc.oneof(
        hostile,
        fc.constantFrom('', '[', '{"a":', '\ufeff{}', '[[[[', '1'.repeat(20_000), '\u00ff\u00fe'),
      ),
    },
  );
}

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'];
const KEYS = ['all', 'feed', 'trader', 'operator', 'nobody'].map(
  (name) => `Bearer ${testKey(name)}`,
);
const TYPES = [
  'application/json',
  'application/x-ndjson',
  'text/plain',
  'multipart/form-data',
  'application/x-www-form-urlencoded',
  'x',
  '',
];

const headersOf = fc
  .tuple(
    fc.oneof(
      { weight: 5, arbitrary: fc.constant(KEYS[0]!) },
      { weight: 3, arbitrary: fc.constantFrom(...KEYS) },
      { weight: 2, arbitrary: fc.constant(null) },
      {
        weight: 1,
        arbitrary: fc.constantFrom(
          'Bearer',
          'Basic YTpi',
          'Bearer a.b.c',
          'Bearer tk_000000000000_x',
        ),
      },
    ),
    fc.option(fc.constantFrom(...TYPES)),
    fc.option(
      fc.constantFrom(
        'Accept-Encoding: gzip',
        'Accept: text/html',
        'Expect: 100-continue',
        'Range: bytes=0-1',
        'If-None-Match: *',
        'Origin: https://evil.example',
        'X-Forwarded-For: 1.2.3.4',
        'Cookie: a=b',
        'Content-Encoding: gzip',
      ),
      { freq: 6 },
    ),
  )
  .map(([key, type, more]) => {
    const named = [
      key && `Authorization: ${key}`,
      type === null ? null : `Content-Type: ${type}`,
      more,
    ];
    return named.filter((header) => header !== null);
  });

/** Requests of these operations. */
export function restCases(operations: readonly DocumentOperation[]): fc.Arbitrary<RestCase> {
  return fc.constantFrom(...operations).chain((operation) =>
    fc.record({
      operation: fc.constant(operation),
      method: fc.oneof(
        { weight: 9, arbitrary: fc.constant(operation.method) },
        { weight: 1, arbitrary: fc.constantFrom(...METHODS) },
      ),
      target: targetOf(operation),
      headers: headersOf,
      body: bodyOf(operation),
    }),
  );
}
