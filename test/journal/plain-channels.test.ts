/** Channels without code of their own in the journal: recovery from any point, and what verify finds. */

import { Database } from 'bun:sqlite';
import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { join } from 'node:path';

import { plainText } from '../../protocol/plain';
import { Prng } from '../../src/base/prng';
import { book, at, instrument, mark, trade } from '../support/market-events';
import { ScratchDirectory } from '../support/scratch-directory';
import { readSeed } from '../support/seed';
import { eventsOf, record, stateOf, type Recording } from '../support/test-recorder';
import { until } from '../support/until';
import { verify, verifyBoth } from './verified';

setDefaultTimeout(60_000);
const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

const SYMBOLS = ['ACME', 'OTHER'];

function submit({ recorder }: Recording, ...events: Parameters<typeof recorder.market.check>[1]) {
  recorder.sequencer.submit(1, events, (r) => expect(r).not.toHaveProperty('fault'), {
    receiveTime: at(1_000_000_000),
  });
  recorder.sequencer.drain();
}

/** Random messages of both instruments, of which some also trade and have a book. */
function send(recording: Recording, random: Prng, from: number, count: number): void {
  for (let i = from; i < from + count; i++) {
    const symbol = SYMBOLS[random.int(0, 1)]!;
    const eventTime = at(i);
    const price = random.chance(0.2) ? null : random.int(-1_000, 1_000_000);
    const more = { symbol, eventTime, price, openInterest: random.int(0, 1_000) };
    // Far ahead of its receipt: ordered by another time.
    const isAhead = random.chance(0.1);
    submit(recording, mark({ ...more, ...(isAhead && { eventTime: at(9_000_000_000 + i) }) }));
    if (random.chance(0.3)) submit(recording, trade({ symbol, eventTime }));
    if (random.chance(0.1)) {
      submit(recording, book('snapshot', 0, 0, [99, i], [101, 1], { symbol, eventTime }));
    }
  }
}

function checkpointsOf(directory: string): number {
  const db = new Database(join(directory, 'journal.sqlite'), { readonly: true });
  const { n } = db.query('SELECT count(*) AS n FROM checkpoints').get() as { n: number };
  db.close();
  return n;
}

describe('a start', () => {
  test.each([
    ['without a checkpoint', { checkpointEveryEvents: 1_000_000 }],
    ['from a checkpoint and the records after it', { checkpointEveryEvents: 20 }],
  ])('%s has the newest message of each instrument, as it was', async (_, options) => {
    const random = new Prng(readSeed());
    const directory = scratch.fresh();
    let before = record(directory, options);
    submit(before, ...SYMBOLS.map((symbol) => instrument(symbol)));
    for (let run = 0; run < 4; run++) {
      send(before, random, run * 100, 80);
      if (options.checkpointEveryEvents === 20) {
        await until(() => before.recorder.journal.checkpoints.figures().cycles > 0);
        send(before, random, run * 100 + 80, random.int(0, 10));
      }
      const state = stateOf(before.recorder.market);
      before.recorder.journal.abandon();
      if (run === 0 && options.checkpointEveryEvents === 20) {
        expect(checkpointsOf(directory)).toBeGreaterThan(0);
      }
      expect(await verifyBoth(directory)).toBeObject();
      const after = record(directory, options);
      expect(stateOf(after.recorder.market)).toBe(state);
      const symbols = [...after.recorder.market.all()].flatMap((i) =>
        Array.from(i.newest(), ({ type, symbol }) => (type === 'mark' ? symbol : [])).flat(),
      );
      expect(symbols.toSorted()).toEqual(SYMBOLS);
      before = after;
    }
    before.recorder.close();
    await before.recorder.journal.closed;
    // The mark of a cycle, written at the end: nothing behind it.
    const last = record(directory, options);
    expect(stateOf(last.recorder.market)).toBe(stateOf(before.recorder.market));
    last.recorder.close();
    await last.recorder.journal.closed;
  });

  test('drops what the source sends again, and continues the chain', async () => {
    const directory = scratch.fresh();
    const before = record(directory);
    submit(before, instrument(), mark({ seq: 9, eventTime: at(5) }));
    before.recorder.journal.abandon();
    const after = record(directory);
    const first = eventsOf(before.batches).at(-1)!.seq;
    submit(after, mark({ seq: 9, eventTime: at(5) }));
    expect(eventsOf(after.batches)).not.toContainEqual(expect.objectContaining({ type: 'mark' }));
    submit(after, mark({ seq: 10, eventTime: at(6) }));
    expect(eventsOf(after.batches).at(-1)).toMatchObject({ type: 'mark', prevSeq: first });
    after.recorder.close();
    await after.recorder.journal.closed;
  });
});

describe('a file', () => {
  async function written(): Promise<{ directory: string; seq: number }> {
    const directory = scratch.fresh();
    const recording = record(directory);
    submit(recording, instrument(), mark(), mark({ eventTime: at(1), fundingTime: null }));
    const { seq } = eventsOf(recording.batches).at(-1)!;
    recording.recorder.close();
    await recording.recorder.journal.closed;
    return { directory, seq };
  }

  function change(directory: string, sql: string): void {
    const db = new Database(join(directory, 'journal.sqlite'));
    expect(db.run(sql).changes).toBe(1);
    db.close();
  }

  test('shows the messages in a view, with decimals and null', async () => {
    const { directory } = await written();
    const db = new Database(join(directory, 'journal.sqlite'), { readonly: true });
    const rows = db
      .query('SELECT symbol, price, "index", funding_rate, funding_time, open_interest FROM marks')
      .all();
    const row = {
      symbol: 'ACME',
      price: '100.00',
      index: '99.98',
      funding_rate: '-0.0001',
      funding_time: at(3_600_000_000).toString(),
      open_interest: '81.234',
    };
    expect(rows).toEqual([row, { ...row, funding_time: null }]);
    db.close();
  });

  test.each([
    ['a value', `text = replace(text, '"9998"', '"9999"')`],
    ['a field', `text = replace(text, 'index', 'indez')`],
    ['a number in a column that it does not use', 'price = 1'],
    ['its predecessor in the chain', 'prev_seq = 1'],
    ['no fields', 'text = NULL'],
  ])('with a changed record (%s) is not sound', async (_, set) => {
    const { directory, seq } = await written();
    expect(await verify(directory)).toBeObject();
    change(directory, `UPDATE record SET ${set} WHERE id = ${seq * 8}`);
    expect(await verify(directory)).toBeString();
    expect(await verify(directory, true)).toBeString();
  });
});

test('the text of a row has names, scaled integers, and null for what is not known', () => {
  expect(plainText(mark({ index: null }))).toBe(
    `{"price":"10000","index":null,"fundingRate":"-0.0001","fundingTime":"${at(3_600_000_000).toString()}","openInterest":"81234"}`,
  );
});
