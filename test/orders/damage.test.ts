/**
 * A changed journal: a start executes the commands again and compares, so what does not follow from them is found
 * at once and reported; what precedes it is kept. Data without consequence (the price of an order that never came
 * near the ten best levels) cannot be found in this way.
 */

import { Database } from 'bun:sqlite';
import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';

import type { BatchEvent, Command } from '../../protocol/records';
import { StartFault } from '../../src/base/start-fault';
import { Prng } from '../../src/base/prng';
import { readSeed } from '../support/seed';
import { Scratch } from '../support/tapedeck-process';
import { Journaled } from './journaled';
import { pick, randomScript, VENUES } from './script';

setDefaultTimeout(60_000);
const scratch = new Scratch();
let whole: Journaled;
let events: BatchEvent[];

beforeAll(() => {
  whole = Journaled.create(scratch.fresh());
  whole.execute(randomScript(5, 400, true), 5, 0);
  events = whole.batches.flatMap((batch) => batch.events);
});
afterAll(() => {
  whole.abandon();
  scratch.remove();
});

/** The result of a start on a copy in which this was done. */
function startAfter(sql: string, ...values: (string | number)[]): Journaled | StartFault {
  const directory = whole.crash(scratch.fresh());
  const db = new Database(`${directory}/journal.sqlite`);
  const { changes } = db.run(sql, values);
  db.close();
  if (changes === 0) throw new Error(`nothing was changed by ${sql}`);
  return Journaled.open(directory);
}

/** The damage is reported, the damaged file is set aside, and what is missing now is declared; the rest continues. */
function expectDamage(what: unknown, opened: Journaled | StartFault): void {
  if (opened instanceof StartFault) throw new Error(`${JSON.stringify(what)}: ${opened.message}`);
  if (opened.damage.length === 0) throw new Error(`accepted silently: ${JSON.stringify(what)}`);
  expect(opened.damage[0]).toMatch(
    /^\S+ is damaged: the records from \d+ on do not match their checksum; /,
  );
  const { directory } = opened;
  const aside = readdirSync(directory).filter((name) => name.startsWith('journal-damaged-'));
  expect(aside.length).toBeGreaterThan(0);
  const db = new Database(`${directory}/journal.sqlite`);
  const { from, to, good } = db
    .query(
      `SELECT min(from_seq) AS "from", max(to_seq) AS "to",
         (SELECT max(id) / 8 FROM record WHERE id % 8 = 0) AS good FROM gaps`,
    )
    .get() as { from: number; to: number; good: number };
  db.close();
  expect([what, from]).toEqual([what, good + 1]);
  expect(to).toBeGreaterThanOrEqual(events.at(-1)!.seq); // a record may have been added
  // What precedes it is the market of that time.
  const { recorder } = opened;
  expect(recorder.sequencer.lastSeq).toBe(to);
  opened.abandon();
}

/** Records of venues by type. */
function ofVenues(type: BatchEvent['type']): BatchEvent[] {
  return events.filter((e) => e.type === type && VENUES.some((symbol) => symbol === e.symbol));
}

function command(fits: (c: Command) => boolean): Command {
  return events.find((e): e is Command => e.type === 'command' && fits(e))!;
}

const COLUMNS: [BatchEvent['type'], string[]][] = [
  ['trade', ['price', 'quantity', 'side', 'ref']],
  ['tick', ['price', 'quantity', 'volume']],
  ['bbo', ['bid_quantity', 'ask_quantity']],
  ['book', ['side']],
  ['status', ['ref']],
];

describe('an altered result of commands is damage', () => {
  test.each(COLUMNS)('%s: %p and the common fields', (type, own) => {
    const random = new Prng(readSeed());
    for (const column of [...own, 'kind', 'instrument', 'prev_seq', 'event_time', 'receive_time']) {
      const { seq } = pick(random, ofVenues(type));
      const sql = `UPDATE record SET ${column} = ${column} + 1 WHERE id / 8 = ?`;
      expectDamage([type, column, seq], startAfter(sql, seq));
    }
  });

  test('levels and texts', () => {
    const book = ofVenues('book').find((e) => e.type === 'book' && e.bids.length > 0)!;
    const zero = 'UPDATE record SET levels = zeroblob(length(levels)) WHERE id / 8 = ?';
    expectDamage('levels', startAfter(zero, book.seq));
    const short = 'UPDATE record SET levels = zeroblob(3) WHERE id / 8 = ?';
    expectDamage('short levels', startAfter(short, book.seq));
    const { seq } = ofVenues('status')[0]!;
    for (const text of ['stale state-changed', 'live', 'nonsense at all', '']) {
      expectDamage(text, startAfter('UPDATE record SET text = ? WHERE id / 8 = ?', text, seq));
    }
  });

  test('any missing record', () => {
    const random = new Prng(readSeed());
    const inside = events.slice(DEFINED, -1);
    for (let i = 0; i < 12; i++) {
      const { seq, type } = pick(random, inside);
      expectDamage([type, seq], startAfter('DELETE FROM record WHERE id / 8 = ?', seq));
    }
    const last = ofVenues('trade').at(-1)!.seq;
    expectDamage('the end of a command', startAfter('DELETE FROM record WHERE id / 8 > ?', last));
  });

  test('a repeated record, or one inserted by another program', () => {
    const seq = events.at(-1)!.seq;
    const copy = (kind: string): string => `INSERT INTO record
      SELECT ${(seq + 1) * 8}, ${kind}, instrument, prev_seq, event_time, receive_time, price, quantity,
        bid, bid_quantity, ask, ask_quantity, volume, side, ref, source_seq, levels, text, as_of, flags, volume_high FROM record WHERE id / 8 = ?`;
    expectDamage('twice', startAfter(copy('kind'), ofVenues('trade')[0]!.seq));
    expectDamage('no kind', startAfter(copy('99'), ofVenues('trade')[0]!.seq));
  });
});

/** The number of definitions in the script. */
const DEFINED = 3;

describe('an altered command is damage', () => {
  const set = 'UPDATE record SET text = json_set(text, ?, ?) WHERE id / 8 = ?';
  /** A plain order to buy that traded at once. */
  const traded = (): Command =>
    command((c) => {
      const plain = c.action === 'submit' && c.side === 'buy' && c.timeInForce === 'gtc';
      return plain && events[events.indexOf(c) + 1]?.type === 'trade';
    });

  test('its side, price, quantity, instrument or order', () => {
    const { seq } = traded();
    for (const change of [
      'side = 1 - side',
      'price = 1',
      'quantity = quantity + 1',
      'ref = ref + 65536',
    ]) {
      expectDamage(change, startAfter(`UPDATE record SET ${change} WHERE id / 8 = ?`, seq));
    }
    for (const instrument of [1, 2, 3, 4]) {
      const own = VENUES.indexOf(traded().symbol as 'ACME') + 1;
      if (instrument === own) continue;
      const sql = 'UPDATE record SET instrument = ? WHERE id / 8 = ?';
      expectDamage(['instrument', instrument], startAfter(sql, instrument, seq));
    }
  });

  test.each([
    ['$.action', 'cancel'],
    ['$.action', 'steal'],
    ['$.kind', 'iceberg'],
    ['$.timeInForce', 'gtd'],
    ['$.state', 'ajar'],
    ['$.owner', 7],
    ['$.clientOrderId', 7],
    ['$.postOnly', 'yes'],
  ])('%s becomes %p', (path, value) => {
    expectDamage([path, value], startAfter(set, path, value, traded().seq));
  });

  test('its text is cut, or was never a valid one', () => {
    const { seq } = traded();
    for (const text of ['', '{', '[]', 'null', '{}', '7']) {
      expectDamage(text, startAfter('UPDATE record SET text = ? WHERE id / 8 = ?', text, seq));
    }
    const side = 'UPDATE record SET side = 7 WHERE id / 8 = ?';
    expectDamage('side', startAfter(side, command((c) => c.side === 'sell').seq));
  });

  test('a refusal changed into an order, and an order changed into a refusal', () => {
    const refused = command((c) => c.action === 'submit' && c.orderId === 0);
    const entered = command((c) => c.action === 'submit' && c.orderId > 0);
    const refuse = 'UPDATE record SET quantity = 0 WHERE id / 8 = ?';
    expectDamage('entered', startAfter(refuse, entered.seq));
    const enter = 'UPDATE record SET ref = 65536 WHERE id / 8 = ?';
    expectDamage('refused', startAfter(enter, refused.seq));
  });
});

test('a damaged checkpoint is skipped: the state is taken from the one before, or from the records', () => {
  const run = Journaled.create(scratch.fresh(), 150);
  run.execute(randomScript(9, 400, false), 5, 0);
  const view = run.view();
  for (const damage of [
    `UPDATE record SET text = replace(text, '"open"', '"over"') WHERE id = (SELECT max(id) FROM note WHERE kind = 10)`,
    `UPDATE record SET text = '' WHERE kind = 10`,
    'UPDATE record SET ref = ref + 1 WHERE kind = 10',
  ]) {
    const directory = run.crash(scratch.fresh());
    const db = new Database(`${directory}/journal.sqlite`);
    db.run(damage);
    db.close();
    const opened = Journaled.must(directory, 150);
    expect([damage, opened.view()]).toEqual([damage, view]);
    opened.abandon();
  }
  run.abandon();
});
