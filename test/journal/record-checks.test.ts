/** How records must relate to each other: late trades, volumes of sessions, and extra columns. */

import { afterAll, describe, expect, test } from 'bun:test';
import { Database } from 'bun:sqlite';
import { join } from 'node:path';

import type { Tick, Trade } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import type { Sum } from '../../protocol/sums';
import { StartFault } from '../../src/base/start-fault';
import { openReading } from '../../src/journal/recover/reading';
import { RecordChecks } from '../../src/journal/verify/record-checks';
import { at, instrument, SYMBOL, trade } from '../support/market-events';
import { ScratchDirectory } from '../support/scratch-directory';
import { openedJournal } from '../support/test-journal';
import { verify } from './verified';

const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

/** Trades and ticks after a definition, in chains. */
class Story {
  readonly events: BatchEvent[] = [instrument(SYMBOL, { seq: 1 })];
  private readonly heads = { trade: 0, tick: 0 };

  trade(seconds: number, quantity: number, timing: Trade['timing'] = null): this {
    const time = at(seconds * 1e6);
    const eventTime = timing === 'ahead' ? time.plus(1e12) : time;
    this.events.push(
      trade({ ...this.nextSeq('trade'), eventTime, receiveTime: time, quantity, timing }),
    );
    return this;
  }

  /** @param volume of the tick */
  tick(volume: Sum): this {
    const { eventTime, receiveTime, price, quantity } = this.events.at(-1) as Trade;
    const tick: Tick = {
      type: 'tick',
      symbol: SYMBOL,
      ...this.nextSeq('tick'),
      eventTime,
      receiveTime,
      last: price,
      bid: null,
      ask: null,
      quantity,
      volume,
      count: 1,
    };
    this.events.push(tick);
    return this;
  }

  private nextSeq(topic: 'trade' | 'tick'): { seq: number; prevSeq: number } {
    const seq = this.events.length + 1;
    const prevSeq = this.heads[topic];
    this.heads[topic] = seq;
    return { seq, prevSeq };
  }

  write(): string {
    const directory = scratch.fresh();
    const { journal, recovered } = openedJournal(directory);
    const { events } = this;
    journal.append(
      { epoch: recovered.epoch, firstSeq: 1, lastSeq: events.length, events },
      () => {},
    );
    journal.close();
    return directory;
  }

  /** The first fault. */
  fault(): string | undefined {
    const reading = openReading(this.write());
    if (reading instanceof StartFault) throw new Error(reading.message);
    const checks = new RecordChecks(reading.instruments);
    const fault = [...reading.pages()]
      .flat()
      .map((row) => checks.take(row))
      .find((found) => typeof found === 'string');
    reading.close();
    return fault ?? checks.finish();
  }
}

describe('a late trade', () => {
  test('has no tick after it, and does not change the volume', () => {
    const story = new Story().trade(10, 5).tick(5).trade(1, 7, 'late').trade(11, 5).tick(10);
    expect(story.fault()).toBeUndefined();
  });

  test('with a tick is a fault; so is one on time without', () => {
    expect(new Story().trade(10, 5).tick(5).trade(1, 7, 'late').tick(12).fault()).toMatch(
      /record 5 .*no trade stands before it/,
    );
    expect(new Story().trade(10, 5).trade(11, 5).tick(10).fault()).toMatch(
      /record 3 .*expected the tick of the trade at 2/,
    );
  });
});

describe('the volume of a tick', () => {
  test('continues, or restarts at a later time', () => {
    const story = new Story().trade(10, 5).tick(5).trade(11, 6).tick(11).trade(90_000, 7).tick(7);
    expect(story.trade(89_999, 1).tick(8).fault()).toBeUndefined();
  });

  test('does not restart at an earlier time, and skips nothing', () => {
    expect(new Story().trade(10, 5).tick(5).trade(9, 6).tick(6).fault()).toMatch(
      /volume is 6; expected 11/,
    );
    expect(new Story().trade(10, 5).tick(5).trade(11, 6).tick(12).fault()).toMatch(
      /volume is 12; expected 11/,
    );
  });

  test('is exact beyond 2^53', () => {
    const large = Number.MAX_SAFE_INTEGER;
    const sum = BigInt(large) * 2n;
    expect(
      new Story().trade(10, large).tick(large).trade(11, large).tick(sum).fault(),
    ).toBeUndefined();
    expect(
      new Story()
        .trade(10, large)
        .tick(large)
        .trade(11, large)
        .tick(sum + 1n)
        .fault(),
    ).toMatch(/volume/);
  });
});

describe('an extra column', () => {
  const damages = {
    'a timing that is gone': 'UPDATE record SET flags = NULL WHERE flags IS NOT NULL',
    'another order time': 'UPDATE record SET as_of = as_of + 1 WHERE as_of IS NOT NULL',
    'one of a record that had none': 'UPDATE record SET flags = 1 WHERE kind = 3 AND flags IS NULL',
    'another high half': 'UPDATE record SET volume_high = 2 WHERE volume_high IS NOT NULL',
    'one that records of its kind do not have': 'UPDATE record SET flags = 1 WHERE kind = 2',
  };

  test.each(Object.entries(damages))('is under the checksum: %s', async (_, sql) => {
    const large = Number.MAX_SAFE_INTEGER;
    const story = new Story()
      .trade(10, large)
      .tick(large)
      .trade(11, large)
      .tick(BigInt(large) * 2n);
    const directory = story
      .trade(1, 7, 'late')
      .trade(12, 1, 'ahead')
      .tick(BigInt(large) * 2n + 1n)
      .write();
    const db = new Database(join(directory, 'journal.sqlite'));
    expect(db.run(sql).changes).toBeGreaterThan(0);
    db.close();
    expect(await verify(directory)).toMatch(/record|checksum/);
  });
});
