/**
 * The shape of version 1, pinned. When one of these tests fails, the protocol has changed for every
 * reader in use: only additions at the end are allowed.
 */

import { describe, expect, test } from 'bun:test';

import { Value } from '@sinclair/typebox/value';
import fc from 'fast-check';

import { CLOSES, ERRORS } from '../../protocol/codes';
import type { FieldSpec } from '../../protocol/fields';
import { toJson } from '../../protocol/json';
import { messageByCode, messageByType, MESSAGES } from '../../protocol/messages';
import { anyMessage, scalesOfSymbol } from '../support/arbitraries';

const SHAPES: Record<string, [code: number, fields: string]> = {
  hello: [1, 'version client key'],
  subscribe: [2, 'id topics intervalMs'],
  unsubscribe: [3, 'id topics'],
  resume: [4, 'id epoch seq topics newest positions'],
  replay: [5, 'id action topics from to fromSeq toSeq speed shard'],
  ping: [6, 'id time'],
  publish: [7, 'id events continues'],
  order: [8, 'id clientOrderId symbol side kind timeInForce postOnly price quantity'],
  cancel: [9, 'id symbol orderId clientOrderId'],
  amend: [10, 'id symbol orderId clientOrderId price quantity'],
  received: [11, 'seq'],
  welcome: [32, 'version server session epoch seq time limits shards'],
  ack: [33, 'id seq repeated waiting shards'],
  error: [34, 'id code message field hint'],
  pong: [35, 'id time serverTime'],
  gap: [36, 'topic from to count reason shard'],
  reset: [37, 'topics epoch seq reason shard'],
  heartbeat: [38, 'time seq heads shard'],
  closing: [39, 'code reason reconnect retryMs url'],
  queued: [40, 'id ahead'],
  epoch: [41, 'epoch seq shard'],
  instrument: [
    48,
    'symbol seq market priceScale quantityScale priceIncrement quantityIncrement previousClose rules shard',
  ],
  tick: [49, 'symbol seq prevSeq eventTime receiveTime last bid ask quantity volume count'],
  trade: [50, 'symbol seq prevSeq eventTime receiveTime price quantity aggressor tradeId timing'],
  bbo: [51, 'symbol seq prevSeq eventTime receiveTime bid bidQuantity ask askQuantity count mark'],
  book: [52, 'symbol seq prevSeq eventTime receiveTime form bids asks crc count mark'],
  bar: [
    53,
    'symbol seq prevSeq eventTime receiveTime interval openTime open high low close volume trades final count',
  ],
  stats: [
    54,
    'symbol seq prevSeq eventTime receiveTime open high low last previousClose volume turnover vwap trades count change',
  ],
  status: [55, 'symbol seq prevSeq eventTime receiveTime state reason missed events'],
  execution: [
    56,
    'symbol seq prevSeq eventTime receiveTime id orderId clientOrderId event side price open tradePrice tradeQuantity code',
  ],
  renumber: [57, 'symbol seq prevSeq eventTime receiveTime numbers'],
  mark: [
    58,
    'symbol seq prevSeq eventTime receiveTime price index fundingRate fundingTime openInterest count',
  ],
};

/** Words of each enum and members of each struct, in the order of the wire. */
const ORDERS: Record<string, string> = {
  'replay.action': 'start pause continue seek stop',
  'order.side': 'buy sell',
  'order.kind': 'limit market',
  'order.timeInForce': 'gtc ioc fok',
  'welcome.limits':
    'frameBytesMax topicsMax heartbeatMs frameMessagesMax messagesPerSecond bytesPerSecond publishBytesPerSecond ordersPerSecond errorsMax helloMs sessionsPerAddressMax sessionsPerKeyMax pongMs lagMs staleMs tradeAgeMs outboxBytesMax controlMs controlMessagesMax memoryEventsMax resumeEventsMax heldRequestsMax playbacksMax playbacksPerClientMax latenessMs timeAheadMs sessionBoundarySeconds',
  'welcome.shards': 'shard epoch seq',
  'resume.positions': 'shard epoch seq newest',
  'ack.shards': 'shard seq',
  'gap.reason': 'slow-reader not-journaled damaged retention',
  'reset.reason': 'other-epoch too-old from-the-future not-kept too-slow',
  'heartbeat.heads': 'topic seq',
  'instrument.market': 'feed venue',
  'instrument.rules':
    'quantityMin quantityMax priceMin priceMax ordersPerOwnerMax ordersMax selfTrade referencePrice initialState',
  'instrument.rules.selfTrade': 'cancel-newest cancel-oldest cancel-both',
  'instrument.rules.initialState': 'pre-open open halted closed',
  'trade.aggressor': 'buy sell none',
  'trade.timing': 'late ahead late-and-ahead',
  'bbo.mark': 'stale recovered',
  'book.form': 'snapshot delta incomplete',
  'book.mark': 'stale recovered',
  'bar.interval': '1s 1m 5m 1h 1d',
  'status.state': 'live incomplete stale recovered pre-open halted closed',
  'execution.event': 'accepted rejected traded amended cancelled expired',
  'execution.side': 'buy sell',
  'renumber.numbers': 'all trades book',
};

const CLOSE_CODES: Record<string, number> = {
  'going-away': 1001,
  'frame-too-large': 1009,
  'protocol-error': 4000,
  'unauthorized': 4001,
  'key-revoked': 4002,
  'too-many-errors': 4003,
  'closed-by-operator': 4004,
  'key-expired': 4005,
  'too-slow': 4010,
  'unresponsive': 4011,
  'limit-reached': 4020,
};

function ordersIn(path: string, spec: FieldSpec, found: Map<string, readonly string[]>): void {
  if (spec.type === 'enum') found.set(path, spec.values);
  if (spec.type === 'nullable') ordersIn(path, spec.inner.spec, found);
  if (spec.type === 'list') ordersIn(path, spec.item.spec, found);
  if (spec.type === 'struct') {
    found.set(path, Object.keys(spec.fields));
    for (const [name, f] of Object.entries(spec.fields)) ordersIn(`${path}.${name}`, f.spec, found);
  }
}

describe('the message table', () => {
  test('[W13] codes are unique and one byte, and identify their message', () => {
    const defs = Object.values(MESSAGES);
    expect(new Set(defs.map((d) => d.code)).size).toBe(defs.length);
    for (const def of defs) {
      expect(def.code).toBeGreaterThan(0);
      expect(def.code).toBeLessThan(128);
      expect(messageByCode(def.code)?.type).toBe(def.type);
      expect(messageByType(def.type)?.code).toBe(def.code);
    }
    for (const code of [-1, 0, 1.5, 127, 128, Number.NaN])
      expect(messageByCode(code)).toBeUndefined();
    for (const type of ['', 'Tick', 'toString', '__proto__']) {
      expect(messageByType(type)).toBeUndefined();
    }
  });

  test('[W13] every message is pinned, with its code', () => {
    const codes = Object.values(MESSAGES).map((d) => [d.type, d.code]);
    expect(Object.fromEntries(codes)).toEqual(
      Object.fromEntries(Object.entries(SHAPES).map(([type, [code]]) => [type, code])),
    );
  });

  for (const [type, [, fields]] of Object.entries(SHAPES)) {
    test(`[W13] ${type}: fields keep their order; new ones go to the end`, () => {
      const pinned = fields.split(' ');
      expect(messageByType(type)?.names.slice(0, pinned.length)).toEqual(pinned);
    });
  }

  test('[W13] words of an enum and members of a struct keep their order, and all are pinned', () => {
    const found = new Map<string, readonly string[]>();
    for (const def of Object.values(MESSAGES)) {
      for (const [name, f] of Object.entries(def.fields))
        ordersIn(`${def.type}.${name}`, f.spec, found);
    }
    expect([...found.keys()].sort()).toEqual(Object.keys(ORDERS).sort());
    for (const [path, order] of Object.entries(ORDERS)) {
      const pinned = order.split(' ');
      expect(found.get(path)?.slice(0, pinned.length)).toEqual(pinned);
    }
  });

  test('[W9] the schema of each message accepts its JSON form', () => {
    fc.assert(
      fc.property(anyMessage(), (message) => {
        const json = JSON.parse(JSON.stringify(toJson(message, scalesOfSymbol))) as unknown;
        expect(Value.Check(MESSAGES[message.type].schema, json)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});

describe('the tables of codes', () => {
  test('[E1] error codes fit error.code, and hints error.hint', () => {
    for (const [code, { status, hint }] of Object.entries(ERRORS)) {
      expect(code).toMatch(/^[a-z]+(-[a-z]+)*$/);
      expect(code.length).toBeLessThanOrEqual(40);
      expect(hint.length).toBeLessThanOrEqual(300);
      expect(status).toBeGreaterThanOrEqual(400);
    }
  });

  test('[E6] close codes are pinned, unique and in the private range', () => {
    const codes = Object.entries(CLOSES).map(([reason, { code }]) => [reason, code]);
    expect(Object.fromEntries(codes)).toMatchObject(CLOSE_CODES);
    expect(new Set(codes.map(([, code]) => code)).size).toBe(codes.length);
  });
});
