/** The forms of what members ask of the leader: each comes back as it was, and nothing else is taken. */

import { describe, expect, test } from 'bun:test';
import { decode, encode } from '@msgpack/msgpack';

import { Prng } from '../../src/base/prng';
import {
  decodeAnswer,
  decodeRequest,
  encodeAnswer,
  encodeRequest,
  refusalOf,
  refused,
  WRITE_BYTES_MAX,
  type WriteAnswer,
  type WriteRequest,
} from '../../src/cluster/write-messages';
import { readSeed } from '../support/seed';
import { deep } from '../support/tier';

const target = { owner: 'ada', symbol: 'ACME', orderId: 2 ** 52, clientOrderId: null };
const submit: WriteRequest = {
  kind: 'submit',
  is: {
    owner: 'ada',
    isAssigned: true,
    clientOrderId: '~a-1',
    symbol: 'ACME',
    side: 'sell',
    kind: 'limit',
    timeInForce: 'ioc',
    postOnly: false,
    price: -(2 ** 40),
    quantity: 2 ** 50,
  },
};
const REQUESTS: readonly WriteRequest[] = [
  submit,
  { kind: 'cancel', is: { ...target, symbol: null } },
  { kind: 'amend', is: { ...target, price: null, quantity: 5 } },
  { kind: 'setState', is: { owner: '', symbol: 'ACME', state: 'pre-open' } },
  { kind: 'cancelAll', is: { owner: 'größer' } },
  { kind: 'define', is: { json: '{"symbol":"ACME"}' } },
  { kind: 'renumber', is: { symbol: 'FEED' } },
  { kind: 'delete', is: { symbol: 'FEED' } },
];
const epoch = 2 ** 52 + 1;
const ANSWERS: readonly WriteAnswer[] = [
  { kind: 'done', is: { epoch, seq: 7, orderId: 65_536 } },
  { kind: 'cancelled', is: { epoch, seq: null, cancelled: 0, left: 3 } },
  { kind: 'defined', is: { epoch, seq: 2 ** 40, symbol: 'ACME' } },
  { kind: 'changed', is: { epoch, seq: 9 } },
  { kind: 'refused', is: { code: 'market-closed', message: 'it is closed', field: null } },
];

function bytesOf(request: WriteRequest): Uint8Array {
  const bytes = encodeRequest(request);
  if ('code' in bytes) throw new Error(bytes.message);
  return bytes;
}

describe('requests and answers', () => {
  test('come back as they were', () => {
    for (const request of REQUESTS) expect(decodeRequest(bytesOf(request))).toEqual(request);
    for (const answer of ANSWERS) expect(decodeAnswer(encodeAnswer(answer))).toEqual(answer);
  });

  test('a fault keeps code, message and field; a long message is cut', () => {
    const fault = { code: 'invalid-field', message: 'x'.repeat(100_000), field: 'price' } as const;
    const answer = decodeAnswer(encodeAnswer(refused(fault)));
    if ('code' in answer || answer.kind !== 'refused') throw new Error('no refusal');
    expect(refusalOf(answer.is)).toEqual({ ...fault, message: 'x'.repeat(4_096) });
  });

  test('another version, an unknown kind, too many bytes and wrong values are refused by name', () => {
    const of = (values: unknown[]) => decodeRequest(encode(values));
    expect(of([2, 4, 'ada'])).toMatchObject({ code: 'not-supported', field: 'write.version' });
    expect(of([1, 8, 'ada'])).toMatchObject({ code: 'invalid-field', field: 'write.kind' });
    expect(of([1, 6, 'no symbol'])).toMatchObject({ field: 'renumber.symbol' });
    expect(of([1, 4])).toMatchObject({ field: 'cancelAll.owner' });
    expect(of([1, 4, 'ada', 'of a later version'])).toEqual({
      kind: 'cancelAll',
      is: { owner: 'ada' },
    });
    expect(decodeRequest(new Uint8Array(WRITE_BYTES_MAX + 1))).toMatchObject({
      code: 'frame-too-large',
    });
    expect(encodeRequest({ kind: 'define', is: { json: 'x'.repeat(70_000) } })).toMatchObject({
      code: 'frame-too-large',
    });
    const unknown = encode([1, 4, 'no-such-code', 'message', null]);
    expect(decodeAnswer(unknown)).toMatchObject({ field: 'answer.code' });
  });

  test('whatever bytes come, reading them ends with a request that encodes again, or a fault', () => {
    const random = new Prng(readSeed());
    const all = [...REQUESTS.map(bytesOf), ...ANSWERS.map((answer) => encodeAnswer(answer))];
    let taken = 0;
    const runs = deep(200_000, 5_000);
    for (let i = 0; i < runs; i++) {
      const bytes = Uint8Array.from(all[random.int(0, all.length - 1)]!);
      for (let n = random.int(1, 3); n > 0; n--) {
        bytes[random.int(0, bytes.length - 1)] = random.int(0, 255);
      }
      const cut = random.chance(0.2) ? bytes.subarray(0, random.int(0, bytes.length)) : bytes;
      decodeAnswer(cut);
      const request = decodeRequest(cut);
      if ('code' in request) continue;
      taken += 1;
      expect(decodeRequest(bytesOf(request))).toEqual(request);
    }
    expect(taken).toBeGreaterThan(0);
  });

  test('a value of every other type in every position is refused or taken as it is, never thrown', () => {
    const values = [null, true, -1, 1.5, 2 ** 60, 'x', '\ud800', [], {}, new Uint8Array(3), NaN];
    for (const request of REQUESTS) {
      const whole = decode(bytesOf(request)) as unknown[];
      for (let at = 0; at < whole.length; at++) {
        for (const value of values) {
          const read = decodeRequest(encode(whole.with(at, value)));
          if (!('code' in read)) expect(decodeRequest(bytesOf(read))).toEqual(read);
        }
      }
    }
  });
});
