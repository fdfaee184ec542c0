/** Every kind of record is read as it was written, to the last digit. */

import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { Database } from 'bun:sqlite';
import fc from 'fast-check';
import { join } from 'node:path';

import type { MarketEvent } from '../../protocol/messages';
import { orderTime, type BatchEvent, type Command, type Snapshot } from '../../protocol/records';
import { connectToRead } from '../../src/journal/read-connection';
import type { InstrumentRow } from '../../src/journal/recover/reading';
import { idOf, ORDER_TIME, SLOT, SLOTS } from '../../src/journal/schema';
import { StretchCheck } from '../../src/journal/verify/stretch';
import { messageOf, nanos, safeInteger } from '../support/arbitraries';
import { instrument, trade } from '../support/market-events';
import { ScratchDirectory } from '../support/scratch-directory';
import { openedJournal as opened } from '../support/test-journal';

setDefaultTimeout(60_000);
const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

const SYMBOLS = ['BTCUSDT', 'A', 'X.Y-Z_9'] as const;

/** A message of the market; journaled messages were never conflated. */
function marketEvent(type: MarketEvent['type']): fc.Arbitrary<MarketEvent> {
  return messageOf(type).map((m) => {
    if ('count' in m) m.count = 1;
    if (m.type === 'status' && m.missed % 2 === 0)
      m.reason = `${Array.from(m.reason).slice(0, 10).join('')} and more`;
    return m as MarketEvent;
  });
}

/** With the fields that the journal has and readers do not get. */
const recorded: fc.Arbitrary<BatchEvent> = fc
  .tuple(
    fc.constantFrom('tick', 'trade', 'bbo', 'book', 'status', 'instrument').chain(marketEvent),
    fc.option(nanos(), { nil: undefined }),
    fc.option(safeInteger(0), { nil: undefined }),
  )
  .map(([e, asOf, sourceSeq]) => {
    if (e.type === 'trade' && sourceSeq !== undefined) return Object.assign(e, { sourceSeq });
    const isOrdered = e.type === 'tick' || e.type === 'bbo' || e.type === 'book';
    return isOrdered && asOf !== undefined ? Object.assign(e, { asOf }) : e;
  });

const levels = fc
  .array(fc.tuple(safeInteger(), safeInteger(0)), { maxLength: 10 })
  .map((pairs) => pairs.flat());

const snapshot = fc.record<Snapshot>(
  {
    type: fc.constant('snapshot'),
    symbol: fc.constant(''),
    seq: fc.constant(0),
    eventTime: nanos(),
    receiveTime: nanos(),
    asOf: nanos(),
    bids: levels,
    asks: levels,
    crc: fc.nat(),
  },
  { requiredKeys: ['type', 'symbol', 'seq', 'eventTime', 'receiveTime', 'bids', 'asks', 'crc'] },
);

const event: fc.Arbitrary<BatchEvent> = fc.oneof(
  recorded,
  snapshot,
  fc.record<Command>({
    type: fc.constant('command'),
    symbol: fc.constant(''),
    seq: fc.constant(0),
    eventTime: nanos(),
    receiveTime: nanos(),
    action: fc.constantFrom('submit', 'cancel', 'amend', 'state'),
    owner: fc.string({ maxLength: 40 }),
    clientOrderId: fc.string({ unit: 'grapheme', maxLength: 36 }),
    orderId: safeInteger(0),
    side: fc.constantFrom('buy', 'sell'),
    kind: fc.constantFrom('limit', 'market'),
    timeInForce: fc.constantFrom('gtc', 'ioc', 'fok'),
    postOnly: fc.boolean(),
    price: safeInteger(),
    quantity: safeInteger(0),
    state: fc.constantFrom(null, 'pre-open', 'open', 'halted', 'closed'),
  }),
);

/** Events with consecutive sequence numbers, of symbols that are defined before. */
const stream = fc
  .array(fc.tuple(event, fc.constantFrom(...SYMBOLS)), { maxLength: 40 })
  .map((list) => {
    const events: BatchEvent[] = SYMBOLS.map((symbol, i) => instrument(symbol, { seq: i + 1 }));
    for (const [e, symbol] of list) events.push({ ...e, symbol, seq: events.length + 1 });
    return events;
  });

function instrumentsOf(db: Database): InstrumentRow[] {
  return db.query<InstrumentRow, []>('SELECT id, symbol, definition FROM instrument').all();
}

/** The time by which SQL orders each event. */
function orderTimes(db: Database): bigint[] {
  const rows = db
    .query<{ t: string }, []>(
      `SELECT cast(${ORDER_TIME} AS TEXT) AS t FROM record WHERE id % ${SLOTS} = ${SLOT.event} ORDER BY id`,
    )
    .all();
  return rows.map(({ t }) => BigInt(t));
}

describe('records', () => {
  test('whatever is written is read back in order and once', () => {
    fc.assert(
      fc.property(stream, fc.integer({ min: 1, max: 9 }), (events, batchSize) => {
        const directory = scratch.fresh();
        const { journal, recovered } = opened(directory);
        expect([...recovered.tail]).toEqual([]);
        let durable = 0;
        for (let from = 0; from < events.length; from += batchSize) {
          const part = events.slice(from, from + batchSize);
          const [firstSeq, lastSeq] = [part[0]!.seq, part.at(-1)!.seq];
          journal.append({ epoch: recovered.epoch, firstSeq, lastSeq, events: part }, () => {
            durable += part.length;
          });
        }
        expect(durable).toBe(events.length);
        journal.close();
        const again = opened(directory);
        expect(again.recovered.lastSeq).toBe(events.length);
        expect([...again.recovered.tail].flat()).toEqual(events);
        again.journal.close();
        const db = connectToRead(join(directory, 'journal.sqlite'));
        const check = new StretchCheck(db, instrumentsOf(db));
        expect(
          check.run({ afterId: -1, lastId: idOf(events.length, 7), isSealed: true }).fault,
        ).toBeUndefined();
        expect(orderTimes(db)).toEqual(
          events.map((e) => (e.type === 'instrument' ? 0n : orderTime(e).toBigInt())),
        );
        db.close();
      }),
      { numRuns: 100 },
    );
  });

  test('the tail is read in pages', () => {
    const directory = scratch.fresh();
    const { journal, recovered } = opened(directory);
    const events: BatchEvent[] = [instrument('A', { seq: 1 })];
    while (events.length < 12_001) {
      events.push(trade({ symbol: 'A', seq: events.length + 1, prevSeq: events.length }));
    }
    const batch = { epoch: recovered.epoch, firstSeq: 1, lastSeq: events.length, events };
    journal.append(batch, () => {});
    journal.close();
    const again = opened(directory);
    let seq = 0;
    for (const e of [...again.recovered.tail].flat()) expect(e).toMatchObject({ seq: ++seq });
    expect(seq).toBe(events.length);
    again.journal.close();
  });

  test('columns are readable for people: they hold scaled integers and nanoseconds', () => {
    const directory = scratch.fresh();
    const { journal, recovered } = opened(directory);
    const events = [
      instrument('A', { seq: 1 }),
      trade({ symbol: 'A', seq: 2, price: -5, quantity: 7, tradeId: 9, aggressor: 'none' }),
    ];
    journal.append({ epoch: recovered.epoch, firstSeq: 1, lastSeq: 2, events }, () => {});
    journal.close();
    const db = new Database(join(directory, 'journal.sqlite'), {
      readonly: true,
      safeIntegers: true,
    });
    const row = db.query(
      'SELECT record.*, symbol FROM record JOIN instrument i ON i.id = instrument WHERE kind = 3',
    );
    expect(row.get()).toMatchObject({
      id: 16n,
      symbol: 'A',
      event_time: 1_700_000_000_123_456_789n,
      receive_time: 0n,
      price: -5n,
      quantity: 7n,
      side: 2n,
      ref: 9n,
    });
    db.close();
  });
});

describe('trades of the journal', () => {
  test('are the newest below a seq, newest first', () => {
    const one = fc.constantFrom('A', 'X.Y-Z_9');
    const asked = fc.tuple(one, fc.nat({ max: 60 }), fc.integer({ min: 1, max: 20 }));
    fc.assert(
      fc.property(
        fc.array(one, { maxLength: 50 }),
        fc.array(asked, { minLength: 1, maxLength: 10 }),
        fc.constantFrom('async', 'commit'),
        (symbols, questions, durability) => {
          const { journal, recovered } = opened(scratch.fresh(), { durability });
          const events: BatchEvent[] = SYMBOLS.map((s, i) => instrument(s, { seq: i + 1 }));
          for (const symbol of symbols) {
            const prevSeq =
              events.findLast((e) => e.type === 'trade' && e.symbol === symbol)?.seq ?? 0;
            events.push(trade({ symbol, seq: events.length + 1, prevSeq }));
          }
          const batch = { epoch: recovered.epoch, firstSeq: 1, lastSeq: events.length, events };
          journal.append(batch, () => {});
          void journal.flush();
          for (const [symbol, before, limit] of questions) {
            const expected = events
              .filter((e) => e.type === 'trade' && e.symbol === symbol && e.seq < before)
              .reverse()
              .slice(0, limit);
            expect(journal.trades(symbol, before, limit) as BatchEvent[]).toEqual(expected);
          }
          expect(journal.trades("A' OR 1 = 1 --", 100, 5)).toEqual([]);
          journal.close();
        },
      ),
      { numRuns: 30 },
    );
  });
});
