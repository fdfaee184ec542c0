/**
 * Checkpoint cycles: the state that a start finds, wherever in a cycle the process ended and
 * whatever the queue gave up, and how much a cycle may hold.
 */

import { afterAll, describe, expect, test } from 'bun:test';
import { Database } from 'bun:sqlite';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { ManualClock } from '../../src/base/clock';
import { Prng } from '../../src/base/prng';
import { StartFault } from '../../src/base/start-fault';
import type { Config } from '../../src/config/config';
import type { RowFrame } from '../../src/journal/write/row-frame';
import { openRecorder, type Recorder, type RecorderHooks } from '../../src/app/recorder';
import { FakeSource } from '../support/fake-source';
import { at, instrument } from '../support/market-events';
import { ScratchDirectory } from '../support/scratch-directory';
import { readSeed } from '../support/seed';
import { SteeredWriter } from '../support/steered-writer';
import { openedJournal, textState } from '../support/test-journal';
import { stateOf, testConfig } from '../support/test-recorder';
import { verifyBoth } from './verified';

const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

const SYMBOLS = ['A', 'B', 'C', 'D', 'E', 'F'];

/** Feed instruments whose checkpoints are taken piece by piece, when the test says so. */
class Feeds {
  readonly recorder: Recorder;
  readonly damage: string[] = [];
  /** Pause before the newest requested slice. */
  pauseMs = -1;
  private readonly pending: (() => void)[] = [];
  private readonly sources: readonly FakeSource[];
  private readonly sent = new Map<FakeSource, number>();
  private readonly random: Prng;
  private step = 0;

  constructor(directory: string, random: Prng, more: Partial<Config['journal']> = {}) {
    this.random = random;
    this.sources = SYMBOLS.map((symbol) => new FakeSource(random, symbol));
    const hooks: RecorderHooks = {
      slices: {
        ms: 0,
        schedule: (run, pauseMs) => {
          this.pauseMs = pauseMs;
          this.pending.push(run);
        },
      },
      onDamage: (message) => void this.damage.push(message),
    };
    const config = testConfig(directory, { checkpointEveryEvents: 50, ...more });
    const recorder = openRecorder(config, new ManualClock(at(0)), hooks);
    if (recorder instanceof StartFault) throw new Error(recorder.message);
    this.recorder = recorder;
  }

  get state(): string {
    return stateOf(this.recorder.market);
  }

  get checkpoints(): number {
    return this.recorder.journal.checkpoints.figures().cycles;
  }

  /** Runs a number of turns, each with events of some instruments. */
  say(turns: number): void {
    const { sequencer } = this.recorder;
    for (let i = 0; i < turns; i++) {
      const source = this.sources[this.random.int(0, SYMBOLS.length - 1)]!;
      const known = this.sent.get(source);
      source.advance(this.random.int(1, 4));
      const message =
        known === undefined ? source.snapshot(source.seq) : source.delta(known, source.seq);
      this.sent.set(source, source.seq);
      const events = [message, source.trade()];
      const symbol = SYMBOLS[this.sources.indexOf(source)]!;
      sequencer.submit(1, known === undefined ? [instrument(symbol), ...events] : events, taken, {
        receiveTime: at(++this.step * 1_000),
      });
      sequencer.drain();
    }
  }

  /** @returns the number of slices */
  capture(most: number): number {
    for (let i = 0; i < most; i++) {
      const slice = this.pending.shift();
      if (slice === undefined) return i;
      slice();
    }
    return most;
  }
}

function taken(result: object): void {
  expect(result).not.toHaveProperty('fault');
}

describe('a process that ends anywhere in a cycle', () => {
  test('leaves the state of the last record', async () => {
    const seed = readSeed();
    let ended = 0;
    for (let run = 0; run < 6; run++) {
      const random = new Prng(seed + run);
      const directory = scratch.fresh();
      const feeds = new Feeds(directory, random);
      feeds.say(40);
      for (let run = 0; run < 4; run++) {
        for (let i = 0; i < 30; i++) {
          feeds.say(random.int(1, 6));
          feeds.capture(random.int(0, 5));
        }
        ended += feeds.checkpoints;
        const copy = scratch.copyOf(directory);
        const again = new Feeds(copy, random);
        expect([seed + run, again.state]).toEqual([seed + run, feeds.state]);
        again.recorder.journal.abandon();
        expect(await verifyBoth(copy)).toBeObject();
      }
      feeds.recorder.journal.abandon();
    }
    expect(ended).toBeGreaterThan(10);
  }, 120_000);

  test('after an orderly end a start reads nothing again, though books changed without an event', async () => {
    const directory = scratch.fresh();
    const feeds = new Feeds(directory, new Prng(3));
    feeds.say(200);
    feeds.capture(2); // a cycle is in progress
    const { journal, market } = feeds.recorder;
    const books = [...market.feeds()].map((feed) => feed.levels(1_000));
    feeds.recorder.close();
    while (feeds.capture(1) > 0);
    expect(await journal.closed).toBeUndefined();
    const again = new Feeds(directory, new Prng(3));
    expect(again.recorder.recovery.records).toBe(0);
    expect([...again.recorder.market.feeds()].map((feed) => feed.levels(1_000))).toEqual(books);
    again.recorder.journal.abandon();
  });

  test('a cycle writes only what has changed', () => {
    const directory = scratch.fresh();
    const feeds = new Feeds(directory, new Prng(4), { checkpointEveryEvents: 1_000_000 });
    feeds.say(100);
    feeds.recorder.journal.checkpoints.begin();
    feeds.capture(100);
    const first = feeds.recorder.journal.checkpoints.figures();
    expect(first).toMatchObject({ cycles: 1, pieces: SYMBOLS.length });
    feeds.say(1);
    feeds.recorder.journal.checkpoints.begin();
    feeds.capture(100);
    expect(feeds.recorder.journal.checkpoints.figures()).toMatchObject({
      cycles: 2,
      pieces: SYMBOLS.length + 1,
    });
    const copy = scratch.copyOf(directory);
    const again = new Feeds(copy, new Prng(4));
    expect(again.state).toBe(feeds.state);
    feeds.recorder.journal.abandon();
    again.recorder.journal.abandon();
  });
});

describe('records that were given up', () => {
  /** The instruments of a journal that has just given up some records and noted the gap. */
  function withHole(directory: string): { feeds: Feeds; before: string; from: number } {
    const feeds = new Feeds(directory, new Prng(5), {
      durability: 'async',
      commitEveryMs: 60_000,
      queueBytesMax: 20_000,
      checkpointEveryEvents: 1_000_000,
    });
    const { journal } = feeds.recorder;
    feeds.say(20);
    void journal.flush();
    journal.checkpoints.begin();
    expect(feeds.pauseMs).toBeGreaterThan(0);
    feeds.capture(100);
    let before = feeds.state;
    while (journal.status().state === 'ok') {
      before = feeds.state;
      feeds.say(1);
    }
    const from = journal.missing()!.from;
    feeds.say(30);
    void journal.flush(); // there is room again: the gap is noted, and a cycle begins
    expect(journal.status()).toMatchObject({ state: 'ok', holes: 1 });
    feeds.say(20);
    void journal.flush();
    return { feeds, before, from };
  }

  test('are declared by a gap, and the pieces after it have the state', async () => {
    const directory = scratch.fresh();
    const { feeds, from } = withHole(directory);
    expect(feeds.pauseMs).toBe(0); // the cycle is urgent
    feeds.capture(100);
    expect(feeds.checkpoints).toBe(2);
    feeds.say(5);
    void feeds.recorder.journal.flush();
    const copy = scratch.copyOf(directory);
    const again = new Feeds(copy, new Prng(5));
    expect(again.damage).toEqual([]);
    expect(again.state).toBe(feeds.state);
    again.recorder.journal.abandon();
    expect(await verifyBoth(copy)).toMatchObject({ gaps: [{ from, reason: 'disk' }] });
    feeds.recorder.journal.abandon();
  });

  test('if the process ends before that, the market continues from before the gap', async () => {
    const directory = scratch.fresh();
    const { feeds, before, from } = withHole(directory);
    feeds.capture(3); // not everything
    const { lastSeq } = feeds.recorder.sequencer;
    const copy = scratch.copyOf(directory);
    expect(await verifyBoth(copy)).toMatchObject({ unknownFrom: from });
    const again = new Feeds(copy, new Prng(5));
    expect(again.state).toBe(before);
    expect(again.recorder.sequencer.lastSeq).toBe(lastSeq);
    expect(again.damage).toHaveLength(1);
    const aside = readdirSync(copy).find((name) => name.startsWith('journal-damaged-'));
    const db = new Database(join(copy, aside!), { readonly: true });
    const { first, last } = db
      .query('SELECT min(id) / 8 AS first, max(id) / 8 AS last FROM record WHERE id % 8 = 0')
      .get() as { first: number; last: number };
    db.close();
    expect(first).toBeGreaterThan(from);
    expect(last).toBe(lastSeq);
    again.recorder.close();
    while (again.capture(1) > 0);
    expect(await again.recorder.journal.closed).toBeUndefined();
    expect(await verifyBoth(copy)).toMatchObject({
      gaps: [{ from, to: lastSeq, reason: 'crash' }],
    });
    feeds.recorder.journal.abandon();
  });
});

test('the bytes of pieces that wait for the writer are bounded separately, and no record waits for them', () => {
  const writer = new SteeredWriter();
  const slices: (() => void)[] = [];
  const more = { durability: 'async', queueBytesMax: 1_000_000 } as const;
  const opened = openedJournal(scratch.fresh(), more, undefined, {
    createWriter: writer.create,
    slices: { ms: 0, schedule: (run) => void slices.push(run) },
  });
  const { journal } = opened;
  const text = 'x'.repeat(50_000);
  journal.checkpoints.source = textState(() => text, 200);
  journal.checkpoints.begin();
  const bytesOf = (frame: RowFrame): number =>
    (frame.pieces ?? []).reduce((sum, piece) => sum + piece.text.length * 2, 0);
  let most = 0;
  for (let round = 0; journal.checkpoints.figures().cycles === 0; round++) {
    while (slices.length > 0) slices.shift()!();
    most = Math.max(
      most,
      writer.waiting.reduce((sum, frame) => sum + bytesOf(frame), 0),
    );
    expect(journal.status().waitingBytes).toBeLessThan(1_000);
    expect(round).toBeLessThan(200);
    writer.commit(1);
  }
  // At most two frames are being written, each with half a megabyte and one piece more.
  expect(most).toBeGreaterThan(0);
  expect(most).toBeLessThanOrEqual(2 * (512 * 1_024 + text.length * 2));
  writer.commit();
  expect(writer.committed.flatMap((frame) => frame.pieces ?? [])).toHaveLength(200);
  journal.abandon();
});
