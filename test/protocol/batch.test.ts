/** The wire form of a batch: encoding and decoding are inverse, and no other bytes are accepted. */

import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';

import { encode } from '@msgpack/msgpack';
import fc, { type Arbitrary } from 'fast-check';

import { BATCH_VERSION, BatchEncoder, decodeBatch, type WireBatch } from '../../protocol/batch';
import { CHANNELS, channelDef } from '../../protocol/channels';
import { crc32 } from '../../protocol/checksum';
import type { Fault } from '../../protocol/codes';
import type { Execution, MessageType } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import { Nanos } from '../../protocol/time';
import { messageOf, nanos, safeInteger, symbol } from '../support/arbitraries';
import { fromHex, toHex } from '../support/bytes';

const encoder = new BatchEncoder();
const fixture = (name: string): string =>
  readFileSync(`${import.meta.dir}/../../fixtures/batches/${name}.hex`, 'utf8').trim();
const GOLDEN = fixture('batch');
const EARLIER = fixture('earlier');

const NUMBERED = CHANNELS.filter((channel) => channelDef(channel).isNumbered);
const levels = fc
  .array(fc.tuple(safeInteger(), safeInteger(0)), { maxLength: 10 })
  .map((pairs) => pairs.flat());
const owner = fc.string({ unit: 'grapheme', maxLength: 20 });

const command = fc.record(
  {
    type: fc.constant('command'),
    symbol: symbol(),
    seq: fc.constant(0),
    eventTime: nanos(),
    receiveTime: nanos(),
    action: fc.constantFrom('submit', 'cancel', 'amend', 'state'),
    owner,
    clientOrderId: fc.string({ maxLength: 36 }),
    orderId: safeInteger(0),
    side: fc.constantFrom('buy', 'sell'),
    kind: fc.constantFrom('limit', 'market'),
    timeInForce: fc.constantFrom('gtc', 'ioc', 'fok'),
    postOnly: fc.boolean(),
    price: safeInteger(),
    quantity: safeInteger(0),
    state: fc.constantFrom(null, 'pre-open', 'open', 'halted', 'closed'),
    fillsMax: safeInteger(1),
  },
  {
    noNullPrototype: true,
    requiredKeys: [
      'type',
      'symbol',
      'seq',
      'eventTime',
      'receiveTime',
      'action',
      'owner',
      'clientOrderId',
      'orderId',
      'side',
      'kind',
      'timeInForce',
      'postOnly',
      'price',
      'quantity',
      'state',
    ],
  },
);
const snapshot = fc.record(
  {
    type: fc.constant('snapshot'),
    symbol: symbol(),
    seq: fc.constant(0),
    eventTime: nanos(),
    receiveTime: nanos(),
    bids: levels,
    asks: levels,
    crc: fc.nat(),
    asOf: nanos(),
  },
  {
    noNullPrototype: true,
    requiredKeys: ['type', 'symbol', 'seq', 'eventTime', 'receiveTime', 'bids', 'asks', 'crc'],
  },
);

/** A message with the fields that readers do not get, where its type has any. */
function recorded(type: MessageType): Arbitrary<unknown> {
  const message = messageOf(type);
  const having = (extra: Arbitrary<object>): Arbitrary<unknown> =>
    fc.tuple(message, fc.option(extra, { nil: {} })).map(([m, e]) => Object.assign(m, e));
  if (type === 'instrument') return having(owner.map((definedBy) => ({ definedBy })));
  if (type === 'trade') return having(safeInteger(0).map((sourceSeq) => ({ sourceSeq })));
  if (type === 'status') return message;
  return having(nanos().map((asOf) => ({ asOf })));
}

const event = fc.oneof(command, snapshot, ...(['instrument', ...NUMBERED] as const).map(recorded));
const batches: Arbitrary<WireBatch> = fc
  .record({
    epoch: safeInteger(0),
    firstSeq: fc.integer({ min: 1, max: 2 ** 31 }),
    time: nanos(),
    events: fc.array(event, { maxLength: 12 }),
    executions: fc.array(fc.record({ owner, message: messageOf('execution') }), { maxLength: 4 }),
  })
  .map(({ events, ...batch }) =>
    Object.assign(batch, {
      lastSeq: batch.firstSeq + events.length - 1,
      events: events.map((e, i) => ({ ...(e as BatchEvent), seq: batch.firstSeq + i })),
      executions: batch.executions as { owner: string; message: Execution }[],
    }),
  );

function faultOf(bytes: Uint8Array): Fault {
  const read = decodeBatch(bytes);
  if (!('code' in read)) throw new Error('it was taken for a batch');
  return read;
}

/** A frame around any body. */
function framed(body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(body.length + 9);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, BATCH_VERSION);
  view.setUint32(1, body.length);
  bytes.set(body, 5);
  view.setUint32(body.length + 5, crc32(bytes.subarray(0, body.length + 5)));
  return bytes;
}

describe('batches', () => {
  test('[X1] [X3] decoding returns what was encoded', () => {
    fc.assert(
      fc.property(batches, (batch) => {
        expect(decodeBatch(encoder.encode(batch))).toEqual(batch);
      }),
    );
  });

  test('[X1] [X3] bytes of an independent encoder decode to the batch, and the batch encodes to those bytes', () => {
    const batch = decodeBatch(fromHex(GOLDEN)) as WireBatch;
    expect(batch).toMatchObject({ epoch: 1723161255342, firstSeq: 1042, lastSeq: 1046 });
    expect(batch.events.map(({ type }) => type)).toEqual([
      'instrument',
      'command',
      'trade',
      'bbo',
      'snapshot',
    ]);
    expect(batch.events[0]).toMatchObject({ definedBy: 'alice' });
    expect(batch.events[1]).toMatchObject({ action: 'submit', owner: 'alice', price: 6190000 });
    expect(batch.events[2]).toMatchObject({ sourceSeq: 99, timing: 'late' });
    expect(batch.events[3]).toMatchObject({ asOf: Nanos.fromBigInt(1723161255343234567n) });
    expect(batch.executions[0]).toMatchObject({ owner: 'alice', message: { event: 'traded' } });
    expect(toHex(encoder.encode(batch))).toBe(GOLDEN);
  });

  test('[X4] bytes from before a field was added decode to the same batch', () => {
    expect(decodeBatch(fromHex(EARLIER))).toEqual(decodeBatch(fromHex(GOLDEN)));
  });

  test('[X2] a batch that is cut anywhere is refused', () => {
    const bytes = fromHex(GOLDEN);
    for (let length = 0; length < bytes.length; length++) {
      expect(faultOf(bytes.subarray(0, length)).code).toBe('malformed-msgpack');
    }
  });

  test('[X2] every flipped bit is detected', () => {
    const bytes = fromHex(GOLDEN);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = bytes.slice();
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      const { code, field } = faultOf(flipped);
      expect(code).toBe(bit < 8 ? 'invalid-field' : 'malformed-msgpack');
      if (bit < 8) expect(field).toBe('batch.version');
    }
  });

  test('[X3] a hostile body with a valid checksum is refused, and never throws', () => {
    const body = fromHex(GOLDEN).subarray(5, -4);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(body.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        (changes) => {
          const changed = body.slice();
          for (const [at, value] of changes) changed[at] = value;
          const read = decodeBatch(framed(changed));
          if ('code' in read) expect(read.message).not.toBe('');
          else expect(decodeBatch(encoder.encode(read))).toEqual(read);
        },
      ),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        decodeBatch(framed(bytes));
        decodeBatch(bytes);
      }),
    );
  });

  const trade = [50, 'A', 7, 0, 1, 1, 1, 1, 0, 0, null];
  const cases: readonly [name: string, body: unknown[], field: string | undefined][] = [
    ['fewer events than numbers', [1, 7, 8, 0, [trade], [], []], 'batch.events.length'],
    ['a last number before the first', [1, 7, 3, 0, [trade], [], []], 'batch.events.length'],
    ['a number out of order', [1, 8, 8, 0, [trade], [], []], 'batch.events[0].seq'],
    ['an event that is not numbered', [1, 7, 7, 0, [[6, 1, 1]], [], []], 'batch.events[0].type'],
    [
      'a field out of range',
      [1, 7, 7, 0, [trade.with(7, -1)], [], []],
      'batch.events[0].trade.quantity',
    ],
    ['an extra of no event', [1, 7, 7, 0, [trade], [[1, null, 3]], []], 'batch.extras[0].index'],
    [
      'an execution that is none',
      [1, 7, 7, 0, [trade], [], [['a', trade]]],
      'batch.executions[0].message.type',
    ],
    ['an epoch that is negative', [-1, 7, 7, 0, [trade], [], []], 'batch.epoch'],
    ['too few items', [1, 7, 7, 0, [trade], []], undefined],
    ['receipts that are no list', [1, 7, 7, 0, [trade], [], [], 'a'], 'batch.receipts'],
    [
      'a receipt without a number',
      [1, 7, 7, 0, [trade], [], [], [['a', 1, [[null, 7, 7, true, 0, 0]]]]],
      'batch.receipts[0].receipts[0].publish',
    ],
  ];
  for (const [name, body, field] of cases) {
    test(`[X3] refused with its field: ${name}`, () => {
      expect(faultOf(framed(encode(body))).field).toBe(field);
    });
  }

  test('[X3] receipts come back as they were, also none and those that are not known', () => {
    const receipt = {
      publish: 2 ** 40,
      firstSeq: 7,
      lastSeq: 6,
      isWhole: false,
      repeated: 3,
      waiting: 1,
    };
    const some = [
      { member: 'a1', stream: 2 ** 33, receipts: [receipt, { ...receipt, publish: 9 }] },
    ];
    const base = {
      epoch: 1,
      firstSeq: 7,
      lastSeq: 6,
      time: Nanos.ZERO,
      events: [],
      executions: [],
    };
    for (const receipts of [some, [], null]) {
      const batch = { ...base, receipts };
      expect(decodeBatch(new BatchEncoder().encode(batch))).toEqual(batch);
    }
    const without = new BatchEncoder().encode({ ...base, receipts: undefined });
    expect(decodeBatch(without)).toEqual(base);
  });

  test('[X4] unknown items of a later version after the known ones are ignored', () => {
    const read = decodeBatch(framed(encode([1, 7, 7, 0, [trade], [], [], [], 'later', [1]])));
    expect(read).toMatchObject({ firstSeq: 7, lastSeq: 7 });
  });
});
