/** Views: what a SQL tool that knows nothing of Tapedeck reads, also while the journal is written. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';

import { ManualClock } from '../../src/base/clock';
import { at, book, instrument, trade } from '../support/market-events';
import { venue } from '../orders/market-run';
import { ScratchDirectory } from '../support/scratch-directory';
import { record, type Recording } from '../support/test-recorder';

const shell = Bun.which('sqlite3');
const scratch = new ScratchDirectory();
const directory = scratch.fresh();
let written: Recording;

beforeAll(() => {
  written = record(directory, { snapshotEveryMs: 1 }, { clock: new ManualClock(at(0)) });
  say([instrument('ACME'), book('snapshot', 1, 0, [9_990, 5_000, 9_980, 7], [10_010, 12_345], { eventTime: at(1) })]); // prettier-ignore
  say([trade({ price: 10_010, quantity: 1, tradeId: 41, eventTime: at(2) })]);
  say([book('delta', 2, 1, [9_990, 0], [], { eventTime: at(3) })]);
  say([instrument('WHOLE', { priceScale: 0, quantityScale: 0 })]);
  say([trade({ symbol: 'WHOLE', price: 9_007_199_254_740, quantity: 3, aggressor: 'sell', eventTime: at(4) })]); // prettier-ignore
});
afterAll(() => {
  written.recorder.close();
  scratch.remove();
});

function say(events: Parameters<typeof written.recorder.sequencer.submit>[1]): void {
  written.recorder.sequencer.submit(1, events, (r) => expect(r).toHaveProperty('seq'), {
    receiveTime: at(5),
  });
  written.recorder.sequencer.drain();
}

/** Rows as the shell prints them. */
function ask(sql: string): string[] {
  const path = join(directory, 'journal.sqlite');
  const { stdout, stderr } = Bun.spawnSync([shell!, '-readonly', '-batch', path, sql]);
  expect(stderr.toString()).toBe('');
  return stdout.toString().split('\n').slice(0, -1);
}

const T = '2023-11-14 22:13:20.1234';

describe.skipIf(shell === null)('the shell of SQLite beside a writer', () => {
  test('decimals and times', () => {
    expect(ask('SELECT symbol, time, price, quantity, aggressor, trade_id FROM trades')).toEqual([
      `ACME|${T}58789|100.10|0.001|buy|41`,
      `WHOLE|${T}60789|9007199254740|3|sell|0`,
    ]);
    expect(ask('SELECT last, bid, ask, quantity, volume FROM ticks')).toEqual([
      '100.10|99.90|100.10|0.001|0.001',
      '9007199254740|||3|3',
    ]);
    expect(ask('SELECT time, form FROM deltas')).toEqual([`${T}57789|snapshot`, `${T}59789|delta`]);
  });

  test('levels', () => {
    const of = 'SELECT side, rank, price, quantity FROM levels WHERE id =';
    expect(ask(`${of} (SELECT min(id) FROM deltas) ORDER BY side DESC, rank`)).toEqual([
      'bid|0|99.90|5.000',
      'bid|1|99.80|0.007',
      'ask|0|100.10|12.345',
    ]);
    expect(ask(`${of} (SELECT max(id) FROM snapshots) ORDER BY side DESC, rank`)).toEqual([
      'bid|0|99.80|0.007',
      'ask|0|100.10|12.345',
    ]);
  });

  test('what it notes of itself, and that it goes on', () => {
    const { epoch, committedSeq } = { epoch: written.recorder.journal.epoch, ...written.recorder.journal.status() }; // prettier-ignore
    expect(ask('SELECT epoch, first_seq, ifnull(last_seq, "open"), clean, time FROM epochs')).toEqual([`${epoch}|1|open|0|${T}56789`]); // prettier-ignore
    expect(ask('SELECT * FROM gaps')).toEqual([]);
    expect(ask('SELECT * FROM checkpoints')).toEqual([]);
    expect(ask('SELECT max(id) / 8 FROM record')).toEqual([`${committedSeq}`]);
    say([trade({ price: 10_000, quantity: 2_000, eventTime: at(6) })]);
    expect(ask('SELECT quantity FROM trades ORDER BY id DESC LIMIT 1')).toEqual(['2.000']);
  });

  test('of a command, what it says and nothing that it does not', () => {
    const { market, sequencer } = written.recorder;
    const order = { symbol: 'VEN', side: 'sell', kind: 'limit', timeInForce: 'gtc', postOnly: false } as const; // prettier-ignore
    const one = { ...order, clientOrderId: 'one', price: 10_050, quantity: 2_000 };
    const target = { symbol: 'VEN', orderId: null, clientOrderId: 'one' };
    const { router } = market;
    sequencer.act((out) => market.define(venue('VEN'), out));
    sequencer.act((out) => expect(router.submit('ann', one, out)).not.toHaveProperty('code'));
    sequencer.act((out) => expect(router.amend('ann', { ...target, price: 10_060, quantity: null }, out)).not.toHaveProperty('code')); // prettier-ignore
    sequencer.act((out) => expect(router.cancel('ann', target, out)).not.toHaveProperty('code'));
    sequencer.act((out) => expect(router.setState('', 'VEN', 'halted', out)).not.toHaveProperty('code')); // prettier-ignore
    sequencer.drain();
    expect(
      ask(
        'SELECT action, owner, side, kind, time_in_force, price, quantity, state FROM orders ORDER BY id',
      ),
    ).toEqual([
      // prettier-ignore
      'submit|ann|sell|limit|gtc|100.50|2.000|',
      'amend|ann||||100.60|2.000|',
      'cancel|ann||||||',
      'state|||||||halted',
    ]);
  });

  test('a place and the newest are found without reading all', () => {
    for (const query of [
      'SELECT * FROM trades WHERE id = 40',
      'SELECT * FROM ticks WHERE id BETWEEN 8 AND 80',
      'SELECT * FROM levels WHERE id = 16',
      'SELECT * FROM gaps',
      'SELECT * FROM checkpoints',
      'SELECT * FROM epochs',
    ]) {
      const plan = ask(`EXPLAIN QUERY PLAN ${query}`).join('\n');
      expect([query, plan]).not.toEqual([query, expect.stringMatching(/SCAN (r|record)\b/)]);
    }
  });
});
