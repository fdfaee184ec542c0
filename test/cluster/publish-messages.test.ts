/** The forms of what members publish at the leader: each comes back as it was, and nothing else is taken. */

import { describe, expect, test } from 'bun:test';
import { encode } from '@msgpack/msgpack';

import type { SourceEvent } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { Prng } from '../../src/base/prng';
import {
  decodeEvents,
  decodePublishAnswer,
  decodePublishRequest,
  encodeAlive,
  encodeEntry,
  encodePublish,
  encodePublishAnswer,
  ENTRY_BYTES_MAX,
  ENTRY_HEAD_BYTES,
  entryHead,
  MESSAGE_ENTRIES_MAX,
  outcomeOf,
  refusedMessage,
  resultOf,
  STREAM_BYTES_MAX,
  type PublishAnswer,
} from '../../src/cluster/publish-messages';
import { WRITE_BYTES_MAX } from '../../src/cluster/write-messages';
import { readSeed } from '../support/seed';
import { deep } from '../support/tier';

const head = { member: 'a1b2', source: 7, stream: 2 ** 40, number: 3, owner: 'größer' };
const epoch = 2 ** 52 + 1;

function trade(symbol: string, price = 1): SourceEvent {
  const eventTime = Nanos.fromMillis(1_700_000_000_000);
  return {
    type: 'trade',
    symbol,
    seq: 5,
    prevSeq: 4,
    eventTime,
    receiveTime: Nanos.ZERO,
    price,
    quantity: 2,
    aggressor: 'buy',
    tradeId: 9,
    timing: null,
  };
}

function entry(events: readonly SourceEvent[], continues = false): Uint8Array {
  const bytes = encodeEntry('publish', events, continues);
  if ('code' in bytes) throw new Error(bytes.message);
  return bytes;
}

const taken = outcomeOf({ seq: 2 ** 45, intake: { repeated: 1, waiting: 2 } });
const refused = outcomeOf({
  index: 3,
  fault: { code: 'invalid-field', field: 'price', message: 'price is -1' },
});
const ANSWERS: readonly PublishAnswer[] = [
  { kind: 'outcomes', is: { epoch, outcomes: [taken, refused] } },
  { kind: 'outcomes', is: { epoch, outcomes: [] } },
  { kind: 'alive', is: { epoch, base: 77, wanted: [3, 2 ** 40] } },
  { kind: 'gone', is: { epoch, seq: 2 ** 40 } },
  { kind: 'early', is: { epoch } },
  refusedMessage({ code: 'overloaded', message: 'too much' }),
];

describe('messages', () => {
  test('requests, answers and outcomes come back as they were', () => {
    const bytes = new Uint8Array([1, 2, 3]);
    expect(decodePublishRequest(encodePublish(head, bytes))).toEqual({
      kind: 'publish',
      is: head,
      bytes,
    });
    expect(decodePublishRequest(encodeAlive('a1'))).toEqual({
      kind: 'alive',
      is: { member: 'a1' },
    });
    for (const answer of ANSWERS) {
      expect(decodePublishAnswer(encodePublishAnswer(answer))).toEqual(answer);
    }
    expect(resultOf(taken)).toEqual({ seq: 2 ** 45, intake: { repeated: 1, waiting: 2 } });
    const whole = { index: -1, fault: { code: 'overloaded', message: 'much' } } as const;
    expect(resultOf(outcomeOf(whole))).toEqual(whole);
  });

  test('other versions, kinds, sizes and codes are refused by name', () => {
    const of = (values: unknown[]) => decodePublishRequest(encode(values));
    expect(of([2, 1, 'a'])).toMatchObject({ code: 'not-supported', field: 'message.version' });
    expect(of([1, 9, 'a'])).toMatchObject({ field: 'message.kind' });
    expect(of([1, 0, 'a', 1, 1, 1, 'o'])).toMatchObject({ field: 'publish.bytes' });
    expect(of([1, 0, 'a', -1, 1, 1, 'o', new Uint8Array(1)])).toMatchObject({
      field: 'publish.source',
    });
    expect(of([1, 0, 'a', 1, 1, 1, 'o', new Uint8Array(STREAM_BYTES_MAX + 1)])).toMatchObject({
      field: 'publish.bytes',
    });
    expect(decodePublishRequest(new Uint8Array(WRITE_BYTES_MAX + 1))).toMatchObject({
      code: 'frame-too-large',
    });
    const odd = encode([1, 0, epoch, [[null, 0, 0, 1, ['no-such-code', 'm', null]]]]);
    expect(decodePublishAnswer(odd)).toMatchObject({ field: 'answer.code' });
    const both = encode([1, 0, epoch, [[5, 0, 0, 1, ['overloaded', 'm', null]]]]);
    expect(decodePublishAnswer(both)).toMatchObject({ field: 'answer.outcome' });
  });

  test('an answer with many long refusals keeps every code and index within the bound', () => {
    const message = 'ü'.repeat(4_000);
    const one = outcomeOf({ index: 4, fault: { code: 'invalid-field', message, field: message } });
    const outcomes = new Array(MESSAGE_ENTRIES_MAX).fill(one) as (typeof one)[];
    const bytes = encodePublishAnswer({ kind: 'outcomes', is: { epoch, outcomes } });
    expect(bytes.length).toBeLessThanOrEqual(WRITE_BYTES_MAX);
    const read = decodePublishAnswer(bytes);
    if ('code' in read || read.kind !== 'outcomes') throw new Error('no outcomes');
    expect(read.is.outcomes).toHaveLength(MESSAGE_ENTRIES_MAX);
    expect(read.is.outcomes[9]).toMatchObject({ index: 4, refusal: { code: 'invalid-field' } });
  });
});

describe('entries', () => {
  test('more events than one message of the protocol may have come back in order', () => {
    const events = Array.from({ length: 25_001 }, (_, i) => trade('AA', i));
    const bytes = entry(events, true);
    const read = entryHead(bytes, 0);
    expect(read).toEqual({ kind: 'publish', length: bytes.length - ENTRY_HEAD_BYTES });
    expect(decodeEvents(bytes.subarray(ENTRY_HEAD_BYTES))).toEqual({ events, continues: true });
  });

  test('too many bytes, a cut head and an unknown kind are refused', () => {
    const many = Array.from({ length: 240_000 }, (_, i) => trade('A'.repeat(32), 2 ** 40 + i));
    expect(encodeEntry('publish', many, false)).toMatchObject({ code: 'frame-too-large' });
    const bytes = entry([trade('AA')]);
    expect(entryHead(bytes.subarray(0, 4), 0)).toMatchObject({ code: 'malformed-msgpack' });
    bytes[4] = 17;
    expect(entryHead(bytes, 0)).toMatchObject({ field: 'entry.kind' });
    const long = new Uint8Array(ENTRY_HEAD_BYTES);
    new DataView(long.buffer).setUint32(0, ENTRY_BYTES_MAX + 1);
    expect(entryHead(long, 0)).toMatchObject({ code: 'frame-too-large' });
  });

  test('a body with anything but publishes, or with a bad event, is refused', () => {
    expect(decodeEvents(encode([[6, 1, 1]]))).toMatchObject({ code: expect.any(String) });
    expect(decodeEvents(new Uint8Array([0xff]))).toMatchObject({ code: expect.any(String) });
    const bytes = entry([{ ...trade('AA'), quantity: -5 } as SourceEvent]);
    expect(decodeEvents(bytes.subarray(ENTRY_HEAD_BYTES))).toMatchObject({
      code: expect.any(String),
    });
  });
});

test('whatever bytes come, reading them ends with a value or a fault', () => {
  const random = new Prng(readSeed());
  const good = [
    encodePublish(head, entry([trade('AA'), trade('BB')])),
    encodeAlive('a1'),
    ...ANSWERS.map((answer) => encodePublishAnswer(answer)),
  ];
  const body = entry([trade('AA'), trade('BB')]).subarray(ENTRY_HEAD_BYTES);
  const spoilt = (of: Uint8Array): Uint8Array => {
    const bytes = Uint8Array.from(of);
    for (let n = random.int(1, 3); n > 0; n--) {
      bytes[random.int(0, bytes.length - 1)] = random.int(0, 255);
    }
    return random.chance(0.2) ? bytes.subarray(0, random.int(0, bytes.length)) : bytes;
  };
  let read = 0;
  const runs = deep(200_000, 6_000);
  for (let i = 0; i < runs; i++) {
    const bytes = spoilt(good[random.int(0, good.length - 1)]!);
    if (!('code' in decodePublishRequest(bytes))) read += 1;
    if (!('code' in decodePublishAnswer(bytes))) read += 1;
    if (!('code' in decodeEvents(spoilt(body)))) read += 1;
  }
  expect(read).toBeGreaterThan(0);
});
