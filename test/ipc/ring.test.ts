/**
 * The ring within one process: records arrive unchanged, lapped readers detect it, and the latest values
 * are complete.
 */

import { afterAll, describe, expect, test } from 'bun:test';
import fc from 'fast-check';

import { bookChecksum } from '../../protocol/checksum';
import { TenLevels } from '../../protocol/levels';
import type { Book, Instrument, Tick } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import { Nanos } from '../../protocol/time';
import { ManualClock } from '../../src/base/clock';
import { Prng } from '../../src/base/prng';
import { StartFault } from '../../src/base/start-fault';
import { ringItems, type RingItem, type RingMessage } from '../../src/ipc/ring-follow';
import { DOUBLE, ENTRY_BYTES, HEADER_BYTES } from '../../src/ipc/ring-layout';
import { RingPublisher } from '../../src/ipc/ring-publisher';
import type { RingReader } from '../../src/ipc/ring-reader';
import { generateMarket, runMarket } from '../bench/generated-market';
import { messageOf } from '../support/arbitraries';
import {
  batchOf,
  definition,
  makeRing,
  openRing,
  RingDirectory,
  checkableTick,
  wrongTick,
} from './made-ring';

const rings = new RingDirectory();
afterAll(() => rings.remove());

/** All items of a ring whose writer has ended. */
async function readAll(reader: RingReader): Promise<RingItem[]> {
  return Array.fromAsync(ringItems(reader));
}

const market = (seed: number): BatchEvent[] => {
  const start = Nanos.fromSeconds(1_723_161_253, 937_085_768);
  const events = generateMarket({ symbols: ['AAA', 'BBB', 'CCC'], events: 1_500, seed, start });
  return runMarket(events, new ManualClock(start)).made;
};

/** Splits events into batches of random length. */
function batches(events: readonly BatchEvent[], random: Prng): BatchEvent[][] {
  const out: BatchEvent[][] = [];
  for (let i = 0; i < events.length;) {
    const length = random.int(1, 40);
    out.push(events.slice(i, i + length));
    i += length;
  }
  return out;
}

describe('records', () => {
  test('a reader gets every message as it was written', async () => {
    const kinds = ['tick', 'trade', 'bbo', 'book', 'status'] as const;
    const event = fc
      .constantFrom(...kinds)
      .chain((type) => messageOf(type)) as fc.Arbitrary<Sequenced>;
    await fc.assert(
      fc.asyncProperty(fc.array(event, { minLength: 1, maxLength: 20 }), async (given) => {
        const { writer, file, path } = makeRing(rings.fresh(), 4_096);
        writer.accept(batchOf([definition('ACME', 1)]));
        const items = ringItems(openRing(path));
        expect((await items.next()).value).toEqual(definition('ACME', 1)); // the state
        const sent = given.map((e, i) => plain(e, i + 2));
        writer.accept(batchOf(sent));
        writer.end();
        expect(await Array.fromAsync(items)).toEqual(sent);
        file.remove();
      }),
      { numRuns: 100 },
    );
  });

  test('[G16] another leader continues in the same ring: its epoch is there before its first record', () => {
    const path = rings.fresh();
    const settings = { path, slots: 64, entries: 8 };
    const ring = RingPublisher.open(settings, 1, new ManualClock());
    if (ring instanceof StartFault) throw new Error(ring.message);
    const start = { epoch: 1, lastSeq: 1, newest: [definition('ACME', 1)], deleted: [] };
    ring.open({ ...start, statistics: {} });
    const reader = openRing(path);
    ring.accept({ ...batchOf([checkableTick('ACME', 2)]), epoch: 1 });
    expect([reader.poll(), reader.epoch]).toEqual(['record', 1]);
    ring.accept({ ...batchOf([checkableTick('ACME', 3)]), epoch: 9 });
    expect([reader.poll(), reader.epoch, reader.lastSeq]).toEqual(['record', 9, 3]);
    ring.close();
  });

  test('a reader gets all events of a market in order, with the ends of batches', async () => {
    const random = new Prng(3);
    const made = market(1);
    const { writer, file, path } = makeRing(rings.fresh(), 32_768);
    const reader = openRing(path);
    const cut = batches(made, random);
    const ends = new Set(cut.map((batch) => batch.at(-1)!.seq));
    const follower = ringItems(reader);
    const got: RingItem[] = [];
    const first = follower.next(); // starts the follower before any instrument is defined
    for (const batch of cut) writer.accept(batchOf(batch));
    writer.end();
    for (let next = await first; next.done !== true; next = await follower.next()) {
      got.push(next.value);
    }
    expect(got).toEqual(pushed(made));
    const flat = openRing(path, { from: 'oldest' });
    for (let sign = flat.poll(); sign === 'record'; sign = flat.poll()) {
      const { record } = flat;
      if (record.endsBatch) expect(ends.has(record.seq)).toBe(true);
      else expect(ends.has(record.seq) && !record.continues).toBe(false);
    }
    expect(flat.missedTotal).toBe(0);
    file.remove();
  });

  test('record numbers continue past 2^32, where `check` wraps around', () => {
    const first = 4_294_967_296 - 100;
    const { writer, file, path } = makeRing(rings.fresh(), 64, 8, first);
    writer.accept(batchOf([definition('ACME', 1)]));
    const reader = openRing(path);
    for (let seq = 2; seq < 500; seq++) {
      writer.accept(batchOf([checkableTick('ACME', seq)]));
      expect(reader.poll()).toBe('record');
      expect(wrongTick(reader.record, seq)).toBeUndefined();
    }
    expect([reader.poll(), reader.position]).toEqual(['empty', first + 499]);
    file.remove();
  });
});

type Sequenced = Exclude<RingMessage, Instrument>;

/** The event as a server makes it: symbol ACME, not conflated, the reason in ASCII. */
function plain(e: Sequenced, seq: number): Sequenced {
  const own = { symbol: 'ACME', seq };
  if (e.type === 'status') return { ...e, ...own, reason: e.reason.replaceAll(/[^ -~]/g, '_') };
  return e.type === 'book' ? { ...e, ...own, count: 1 } : { ...e, ...own };
}

/** The events as readers get them: without the fields that only the journal has. */
function pushed(events: readonly BatchEvent[]): RingItem[] {
  return events.map(({ ...e }) => {
    if (e.type === 'trade') delete (e as { sourceSeq?: number }).sourceSeq;
    if ('asOf' in e) delete (e as { asOf?: Nanos }).asOf;
    return e as RingItem;
  });
}

describe('a lapped reader', () => {
  test('counts the missed records exactly, and gets the others in order', () => {
    fc.assert(
      fc.property(fc.integer(), fc.constantFrom(64, 128), (seed, slots) => {
        const random = new Prng(seed);
        const { writer, file, path } = makeRing(rings.fresh(), slots);
        writer.accept(batchOf([definition('ACME', 1)]));
        const reader = openRing(path);
        const begin = reader.position;
        let seq = 1;
        let returned = 0;
        for (let step = 0; step < 60; step++) {
          const batch: Tick[] = [];
          for (let n = random.int(1, slots); n > 0; n--) batch.push(checkableTick('ACME', ++seq));
          writer.accept(batchOf(batch));
          for (let polls = random.int(0, slots); polls > 0; polls--) {
            const at = reader.position;
            const sign = reader.poll();
            if (sign === 'lapped') {
              expect(reader.missed).toBe(reader.position - at);
              expect(reader.missed).toBeGreaterThan(0);
            }
            if (sign !== 'record') continue;
            returned += 1;
            expect(wrongTick(reader.record, at + 1)).toBeUndefined(); // record 0 is the definition
          }
        }
        expect(begin + returned + reader.missedTotal).toBe(reader.position);
        file.remove();
      }),
      { numRuns: 40 },
    );
  });

  test('never gets a record from a slot that the writer has claimed', () => {
    const { writer, file, path } = makeRing(rings.fresh(), 64);
    const reader = openRing(path);
    writer.accept(batchOf([definition('ACME', 1)]));
    for (let seq = 2; seq < 30; seq++) writer.accept(batchOf([checkableTick('ACME', seq)]));
    expect(reader.poll()).toBe('record');
    // The state of a writer that was stopped just before it writes the first byte of record 65.
    file.words.doubles[DOUBLE.claimed] = 66;
    expect(reader.poll()).toBe('lapped');
    expect([reader.missed, reader.position]).toEqual([28, 29]);
    file.remove();
  });

  test('gets the state, then the records that follow it', async () => {
    const made = market(2);
    const { writer, file, path } = makeRing(rings.fresh(), 256);
    writer.accept(batchOf(made.slice(0, 10)));
    const reader = openRing(path);
    const items = ringItems(reader);
    const seen: RingItem[] = [];
    const random = new Prng(5);
    let taking = items.next();
    for (const batch of batches(made.slice(10), random)) {
      writer.accept(batchOf(batch));
      if (!random.chance(0.1)) continue;
      for (let n = random.int(1, 200); n > 0; n--) {
        const next = await Promise.race([taking, Bun.sleep(5).then(() => null)]);
        if (next === null) break;
        seen.push(next.value);
        taking = items.next();
      }
    }
    writer.end();
    for (let next = await taking; next.done !== true; next = await items.next()) {
      seen.push(next.value);
    }
    const lost = seen.filter((item) => item.type === 'lapped');
    expect(lost.length).toBeGreaterThan(0);
    expect(lost.reduce((sum, { missed }) => sum + missed, 0)).toBe(reader.missedTotal);
    expect(stateOf(seen)).toEqual(stateOf(pushed(made)));
    file.remove();
  });
});

/** The state of a reader that applies every item. Fails if a book does not match its checksum. */
function stateOf(items: readonly RingItem[]) {
  const newest = new Map<string, RingItem>();
  const books = new Map<string, TenLevels>();
  const heads = new Map<string, number>();
  for (const item of items) {
    if (!('symbol' in item) || item.type === 'trade') continue;
    if (item.type !== 'book') {
      newest.set(`${item.type} ${item.symbol}`, item);
      continue;
    }
    applyBook(item, books, heads);
  }
  return { newest, books };
}

function applyBook(e: Book, books: Map<string, TenLevels>, heads: Map<string, number>): void {
  const levels = books.get(e.symbol) ?? new TenLevels();
  books.set(e.symbol, levels);
  if (e.form === 'delta') {
    expect(e.prevSeq).toBe(heads.get(e.symbol)!);
    levels.apply(e.bids, e.asks);
  } else {
    levels.replace(e.bids, e.asks);
  }
  heads.set(e.symbol, e.seq);
  if (e.crc !== null) expect(bookChecksum(levels.bids, levels.asks)).toBe(e.crc);
}

describe('latest values', () => {
  test('equal the newest messages, with marks of bbo and book and volumes of any size', async () => {
    const marked = ['tick', 'bbo', 'book'] as const;
    const event = fc
      .constantFrom(...marked)
      .chain((type) => messageOf(type)) as fc.Arbitrary<Sequenced>;
    await fc.assert(
      fc.asyncProperty(fc.array(event, { minLength: 1, maxLength: 12 }), async (given) => {
        const { writer, file, path } = makeRing(rings.fresh(), 4_096);
        const sent = given.map((e, i) => plain(e, i + 2));
        writer.accept(batchOf([definition('ACME', 1), ...sent]));
        writer.end();
        const state = await readAll(openRing(path));
        for (const type of marked) {
          const newest = sent.findLast((e) => e.type === type);
          const found = state.find((e) => e.type === type);
          if (newest === undefined) expect(found).toBeUndefined();
          else if (newest.type === 'book')
            expect(found).toMatchObject({ seq: newest.seq, mark: newest.mark });
          else expect(found).toEqual(newest);
        }
        file.remove();
      }),
      { numRuns: 100 },
    );
  });

  test('equal the state after each batch', async () => {
    const made = market(4);
    const { writer, file, path } = makeRing(rings.fresh(), 1_024);
    const past: BatchEvent[] = [];
    for (const batch of batches(made, new Prng(6))) {
      writer.accept(batchOf(batch));
      past.push(...batch);
      if (past.length % 5 !== 0) continue;
      const reader = openRing(path);
      const state = stateOf(past as RingItem[]);
      for (const [symbol, levels] of state.books) {
        const latest = reader.state();
        expect(latest.load(reader.instrument(symbol)!)).toBe(true);
        expect(latest.book()).toMatchObject({ bids: levels.bids, asks: levels.asks });
        const tick = (state.newest.get(`tick ${symbol}`) ?? null) as Tick | null;
        expect([latest.tick?.seq, latest.tick?.last]).toEqual([tick?.seq, tick?.last]);
      }
    }
    file.remove();
  });

  test('of the journal are available before the first record', async () => {
    const made = market(7).slice(0, 600);
    const first = makeRing(rings.fresh(), 1_024);
    first.writer.accept(batchOf(made));
    first.writer.end();
    const before = await readAll(openRing(first.path));
    const second = makeRing(rings.fresh(), 1_024);
    second.writer.hydrate(before as BatchEvent[], made.at(-1)!.seq);
    second.writer.end();
    const reader = openRing(second.path, { from: 'oldest' });
    expect([reader.position, reader.published, reader.lastSeq]).toEqual([0, 0, made.at(-1)!.seq]);
    expect(await readAll(reader)).toEqual(before);
    first.file.remove();
    second.file.remove();
  });

  test('are not returned when a stopped writer has written only a part', () => {
    const { writer, file, path } = makeRing(rings.fresh(), 64);
    writer.accept(batchOf([definition('ACME', 1), checkableTick('ACME', 2)]));
    const state = openRing(path).state();
    expect([state.load(0), state.tick?.last]).toEqual([true, 6]);
    const version = HEADER_BYTES / 4;
    file.words.ints[version]! += 1;
    expect([state.load(0), state.tick]).toEqual([false, null]);
    file.words.ints[version]! += 1;
    expect([state.load(0), state.tick?.last]).toEqual([true, 6]);
    expect(ENTRY_BYTES).toBe(1_024);
    file.remove();
  });
});
