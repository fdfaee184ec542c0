/** Definitions: who owns them, how many one key may make, and what deleting an instrument means. */

import { afterAll, describe, expect, test } from 'bun:test';
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import type { SourceEvent } from '../../protocol/messages';
import { writeCheckpoint } from '../../src/market/checkpoint';
import { DELETED_MAX } from '../../src/market/deletions';
import { Market } from '../../src/market/market';
import { stateHash } from '../../src/market/state-hash';
import { venue } from '../orders/market-run';
import { verifyBoth } from '../journal/verified';
import {
  book,
  bbo,
  Collected,
  instrument,
  newMarket,
  SYMBOL,
  trade,
} from '../support/market-events';
import { ScratchDirectory } from '../support/scratch-directory';
import { record, type Recording } from '../support/test-recorder';
import { readCheckpoint } from '../../src/market/checkpoint-reading';

/** @returns the code of the refusal, or undefined if the events were accepted */
function submit(
  market: Market,
  out: Collected,
  source: number,
  owner: string,
  events: readonly SourceEvent[],
): string | undefined {
  const found = market.check(source, events, false, owner);
  if (found !== undefined) return found.fault.code;
  for (const event of events) market.apply(source, event, out, false, owner);
  market.seal();
  return undefined;
}

const FEEDER = 1;
const OTHER = 2;
const SNAPSHOT = book('snapshot', 1, 0, [90, 10], [110, 10]);
const FED = [instrument(), SNAPSHOT, bbo(1, [90, 10], [110, 10]), trade({ seq: 1 })];

describe('a definition of a symbol with a source', () => {
  test('[P5] belongs to its source: another may repeat it, but not change it', () => {
    const market = newMarket();
    const out = new Collected();
    expect(submit(market, out, FEEDER, 'ada', FED)).toBeUndefined();
    out.take();
    for (const changed of [
      instrument(SYMBOL, { priceIncrement: 7 }),
      instrument(SYMBOL, { quantityIncrement: 7 }),
      instrument(SYMBOL, { previousClose: 7 }),
    ]) {
      expect(submit(market, out, OTHER, 'eve', [changed])).toBe('symbol-in-use');
      expect(submit(market, out, OTHER, 'eve', [instrument('MINE'), changed])).toBe(
        'symbol-in-use',
      );
    }
    expect(submit(market, out, OTHER, 'eve', [instrument()])).toBeUndefined();
    expect(out.take()).toEqual([]);
    // Its own source and the operator may change it.
    const finer = instrument(SYMBOL, { previousClose: 8 });
    expect(submit(market, out, FEEDER, 'ada', [finer])).toBeUndefined();
    expect(market.checkOwn([instrument(SYMBOL, { previousClose: 9 })])).toBeUndefined();
    // When the source has disconnected, another may feed the symbol and define it.
    market.release(FEEDER, out);
    const theirs = instrument(SYMBOL, { previousClose: 10 });
    expect(submit(market, out, OTHER, 'eve', [theirs, trade({ seq: 2 })])).toBeUndefined();
  });

  test('[P4] with other scales makes later events of its sender unreadable, also while another feeds the symbol', () => {
    const market = newMarket();
    const out = new Collected();
    submit(market, out, FEEDER, 'ada', FED);
    const other = instrument(SYMBOL, { priceScale: 5, priceIncrement: 3 });
    expect(submit(market, out, OTHER, 'eve', [other])).toBe('definition-conflict');
    market.yield(FEEDER);
    expect(submit(market, out, OTHER, 'eve', [trade({ seq: 2 })])).toBe('definition-conflict');
  });
});

describe('instruments of one key', () => {
  const options = { instrumentsMax: 10, instrumentsPerKeyMax: 3, endedOrdersMax: 100 };
  const named = (...symbols: string[]): SourceEvent[] =>
    symbols.map((symbol) => instrument(symbol));

  test('are counted with those of its submissions in progress', () => {
    const market = new Market(options);
    const admit = (owner: string, symbol: string) =>
      market.admit({ source: 1, owner, isDecimal: false }, named(symbol), true);
    for (const symbol of ['A', 'B', 'C']) expect(admit('eve', symbol).check(1)).toBeUndefined();
    expect(admit('eve', 'D').check(1)).toMatchObject({ fault: { code: 'too-many-instruments' } });
    expect(admit('ada', 'D').check(1)).toBeUndefined();
  });

  test('are bounded, over its sources and a restart; those of others and of the operator do not count', () => {
    let market = new Market(options);
    const out = new Collected();
    expect(submit(market, out, 1, 'eve', named('A', 'B', 'C', 'D'))).toBe('too-many-instruments');
    expect(market.size).toBe(0);
    expect(submit(market, out, 1, 'eve', named('A', 'B'))).toBeUndefined();
    expect(submit(market, out, 2, 'eve', named('C'))).toBeUndefined();
    expect(submit(market, out, 3, 'eve', named('A', 'D'))).toBe('too-many-instruments');
    expect(submit(market, out, 4, 'ada', named('A', 'D'))).toBeUndefined();
    market.define(instrument('OWN'), out);

    const restored = new Market(options);
    restored.restore(readCheckpoint(writeCheckpoint(market.checkpoint())), []);
    const replayed = new Market(options);
    replayed.restore(null, out.take());
    for (market of [restored, replayed]) {
      expect(submit(market, out, 1, 'eve', named('E'))).toBe('too-many-instruments');
      expect(submit(market, out, 1, 'ada', named('E', 'F'))).toBeUndefined();
      expect(submit(market, out, 1, 'ada', named('G'))).toBe('too-many-instruments');
      // Changing an instrument does not make one its definer.
      const changed = [instrument('A', { previousClose: 5 })];
      expect(submit(market, out, 1, 'ada', changed)).toBeUndefined();
      expect(submit(market, out, 1, 'eve', named('G'))).toBe('too-many-instruments');
      expect(market.delete('A', out)).toBeUndefined();
      expect(submit(market, out, 1, 'eve', named('G'))).toBeUndefined();
    }
  });
});

describe('a deleted instrument', () => {
  test('does not exist: no slot, no events, and it may be defined again', () => {
    const market = newMarket(1);
    const out = new Collected();
    submit(market, out, FEEDER, 'ada', FED);
    expect(submit(market, out, OTHER, 'eve', [instrument('NEXT')])).toBe('too-many-instruments');
    const heads = out.take();
    expect(market.delete(SYMBOL, out)).toBeUndefined();
    market.seal();
    const gone = out.take();
    expect(gone).toContainEqual(expect.objectContaining({ type: 'book', form: 'incomplete' }));
    expect(gone.at(-1)).toMatchObject({ type: 'status', state: 'closed', reason: 'deleted' });
    expect([market.size, market.get(SYMBOL), [...market.all()]]).toEqual([0, undefined, []]);
    expect(market.known(SYMBOL)).toBeDefined();
    expect(market.delete(SYMBOL, out)).toMatchObject({ code: 'unknown-symbol' });
    expect(market.renumber(SYMBOL, out)).toMatchObject({ code: 'unknown-symbol' });
    expect(submit(market, out, FEEDER, 'ada', [trade({ seq: 2 })])).toBe('unknown-symbol');
    expect(submit(market, out, OTHER, 'eve', [instrument('NEXT')])).toBeUndefined();
    expect(submit(market, out, FEEDER, 'ada', FED)).toBe('too-many-instruments');
    expect(market.delete('NEXT', out)).toBeUndefined();
    out.take();

    const other = instrument(SYMBOL, { priceScale: 5 });
    expect(submit(market, out, FEEDER, 'ada', [other])).toBe('definition-conflict');
    // Its past is that of a feed.
    const asVenue = market.checkOwn([venue(SYMBOL)]);
    expect(asVenue).toMatchObject({ fault: { code: 'definition-conflict' } });
    expect(
      submit(market, out, FEEDER, 'ada', [instrument(), SNAPSHOT, trade({ seq: 1 })]),
    ).toBeUndefined();
    const again = out.take();
    expect(again[0]).toMatchObject({ type: 'instrument', symbol: SYMBOL });
    expect(again).toContainEqual(expect.objectContaining({ type: 'status', state: 'live' }));
    // Its topics continue where they were.
    const lastTrade = heads.findLast((e) => e.type === 'trade')!;
    expect(again.find((e) => e.type === 'trade')).toMatchObject({ prevSeq: lastTrade.seq });
    const lastBook = gone.findLast((e) => e.type === 'book')!;
    expect(again.find((e) => e.type === 'book')).toMatchObject({
      form: 'snapshot',
      prevSeq: lastBook.seq,
    });
  });

  test('is not deleted while a checked submission is being applied', () => {
    const market = newMarket();
    const out = new Collected();
    submit(market, out, FEEDER, 'ada', FED);
    const from = { source: FEEDER, owner: 'ada', isDecimal: false };
    const admission = market.admit(from, [trade({ seq: 2 })], true);
    expect(admission.check(1)).toBeUndefined();
    expect(market.delete(SYMBOL, out)).toMatchObject({ code: 'symbol-in-use' });
    market.apply(FEEDER, trade({ seq: 2 }), out, false, 'ada');
    admission.close();
    expect(market.delete(SYMBOL, out)).toBeUndefined();
  });

  test('no more are deleted between two starts than the local publishers have room for', () => {
    const market = newMarket();
    const out = new Collected();
    for (let i = 0; i < DELETED_MAX; i++) {
      submit(market, out, FEEDER, 'ada', [instrument('X')]);
      expect(market.delete('X', out)).toBeUndefined();
    }
    submit(market, out, FEEDER, 'ada', [instrument('X')]);
    expect(market.delete('X', out)).toMatchObject({ code: 'limit-reached' });
    const restored = new Market({ instrumentsMax: 10, endedOrdersMax: 100 });
    restored.restore(readCheckpoint(writeCheckpoint(market.checkpoint())), []);
    expect(restored.delete('X', out)).toBeUndefined();
  });
});

describe('in a journal', () => {
  const scratch = new ScratchDirectory();
  afterAll(() => scratch.remove());

  function crashed(directory: string): string {
    const copy = scratch.fresh();
    cpSync(directory, copy, { recursive: true });
    rmSync(join(copy, 'lock.sqlite'), { force: true });
    return copy;
  }

  async function close({ recorder }: Recording): Promise<void> {
    recorder.close();
    await recorder.journal.closed;
  }

  test('a deletion survives a crash and an orderly end, and the journal verifies', async () => {
    const directory = scratch.fresh();
    const first = record(directory);
    const { market, sequencer } = first.recorder;
    const enter = (events: readonly SourceEvent[]): void => {
      sequencer.submit(FEEDER, events, (r) => expect(r).not.toHaveProperty('fault'), {
        owner: 'ada',
      });
      sequencer.drain();
    };
    enter(FED);
    enter([instrument('KEPT')]);
    sequencer.act((out) => void market.delete(SYMBOL, out));
    sequencer.drain();
    const hash = stateHash(market);

    for (const copy of [crashed(directory), directory]) {
      if (copy === directory) await close(first);
      expect(await verifyBoth(copy)).toBeObject();
      const again = record(copy);
      expect(stateHash(again.recorder.market)).toBe(hash);
      expect(again.recorder.market.size).toBe(1);
      expect(again.recorder.market.get(SYMBOL)).toBeUndefined();
      const { sequencer: next } = again.recorder;
      next.submit(FEEDER, FED, (r) => expect(r).not.toHaveProperty('fault'), { owner: 'ada' });
      next.drain();
      expect(again.recorder.market.size).toBe(2);
      const defined = stateHash(again.recorder.market);
      await close(again);
      expect(await verifyBoth(copy)).toBeObject();
      const third = record(copy);
      expect(stateHash(third.recorder.market)).toBe(defined);
      await close(third);
    }
  });
});
