/**
 * An abrupt end at any time: what was acknowledged is recorded exactly once, and the market has the state of an
 * uninterrupted one at that seq. Then the sources continue, and no book is wrong.
 */

import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { Database } from 'bun:sqlite';
import fc from 'fast-check';
import { join } from 'node:path';

import type { SourceEvent } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import { ManualClock } from '../../src/base/clock';
import { Prng } from '../../src/base/prng';
import { StartFault } from '../../src/base/start-fault';
import type { Durability } from '../../src/journal/journal';
import { openJournal } from '../../src/journal/recover/opening';
import { FakeSource, flatLevels } from '../support/fake-source';
import { at, feedOf, instrument, trade } from '../support/market-events';
import { ScratchDirectory } from '../support/scratch-directory';
import { eventsOf, record, stateOf, testConfig, type Recording } from '../support/test-recorder';
import { deep } from '../support/tier';

setDefaultTimeout(60_000);
const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

const NUMBERED = 'NUM';
const PLAIN = 'PLAIN';

/** Two sources that send random events, one with its own numbers and one without. */
class Sources {
  readonly numbered: FakeSource;
  readonly plain: FakeSource;
  readonly prng: Prng;
  private readonly sent = { numbered: 0, plain: 0 };

  constructor(seed: number) {
    this.prng = new Prng(seed);
    this.numbered = new FakeSource(new Prng(seed + 1), NUMBERED);
    this.plain = new FakeSource(new Prng(seed + 2), PLAIN, false);
  }

  define(recording: Recording): void {
    this.submit(recording, 1, [instrument(NUMBERED, { previousClose: 3 })]);
    this.submit(recording, 2, [instrument(PLAIN)]);
  }

  /** One submission of either source, and sometimes a turn of the loop. */
  say(recording: Recording): void {
    const which = this.prng.chance(0.5) ? 'numbered' : 'plain';
    const source = this[which];
    const events: SourceEvent[] = [];
    for (let n = this.prng.int(1, 3); n > 0; n--) {
      const from = this.sent[which];
      const lot = this.prng.unit();
      if (from === 0 || lot < 0.08) {
        events.push(source.snapshot(source.seq));
      } else if (lot < 0.12) {
        events.push(source.incomplete());
      } else if (lot < 0.2 && which === 'numbered') {
        source.advance(2);
        this.sent[which] = source.seq; // it is lost on the way
        continue;
      } else if (lot < 0.6) {
        source.advance(this.prng.int(1, 4));
        events.push(source.delta(from, source.seq));
      } else if (lot < 0.7 && which === 'numbered') {
        events.push(source.quote(source.seq));
      } else {
        events.push(source.trade(this.prng.chance(0.1) ? 2 : 0));
      }
      this.sent[which] = source.seq;
    }
    this.submit(recording, which === 'numbered' ? 1 : 2, events);
  }

  submit(recording: Recording, owner: number, events: SourceEvent[]): void {
    const { sequencer } = recording.recorder;
    sequencer.submit(owner, events, (result) => expect('seq' in result).toBe(true));
    if (this.prng.chance(0.6)) sequencer.drain();
  }
}

/** Everything that a journal holds, and the market that follows from it without any checkpoint. */
function replayed(directory: string): { events: BatchEvent[]; state: string } {
  const copy = scratch.copyOf(directory);
  const db = new Database(join(copy, 'journal.sqlite'));
  db.run('DELETE FROM record WHERE kind = 10');
  db.run('DELETE FROM note WHERE kind = 10');
  db.close();
  const opened = openJournal(testConfig(copy).journal, new ManualClock(at(0)));
  if (opened instanceof StartFault) throw new Error(opened.message);
  const events = [...opened.recovered.tail].flat().filter((item) => item.type !== 'gap');
  opened.journal.abandon();
  const { recorder } = record(copy);
  const state = stateOf(recorder.market);
  recorder.close();
  return { events, state };
}

function epochsOf(
  directory: string,
): { epoch: number; first_seq: number; last_seq: number | null }[] {
  return read(directory, 'SELECT epoch, first_seq, last_seq FROM epochs ORDER BY first_seq');
}

function read<T>(directory: string, sql: string): T[] {
  const db = new Database(join(directory, 'journal.sqlite'), { readonly: true });
  const rows = db.query(sql).all();
  db.close();
  return rows as T[];
}

function newestSeq(directory: string): number {
  return read<{ seq: number }>(
    directory,
    'SELECT ifnull(max(id), 0) / 8 AS seq FROM record WHERE id % 8 = 0',
  )[0]!.seq;
}

function gapsOf(directory: string): unknown[] {
  return read(directory, 'SELECT from_seq, to_seq, reason FROM gaps');
}

/** What the sources may do after a crash, and what must then be true of each book. */
function expectBooksGoOn(after: Recording, sources: Sources): void {
  const { market } = after.recorder;
  const { numbered, plain } = sources;
  for (let step = 0; step < 4; step++) {
    const from = numbered.seq;
    numbered.advance(2);
    sources.submit(after, 3, [numbered.delta(from, numbered.seq)]);
    after.recorder.sequencer.drain();
    const { book } = feedOf(market, NUMBERED);
    if (book.state === 'live') {
      const truth = flatLevels(numbered.truth(book.sourceSeq));
      expect({ bids: book.bids.top(1e6), asks: book.asks.top(1e6) }).toEqual(truth);
      expect(book.sourceSeq).toBe(numbered.seq);
    }
    if (step === 1) sources.submit(after, 3, [numbered.snapshot(numbered.seq)]);
    if (step > 1) expect(book.state).toBe('live');
  }
  const from = plain.seq;
  plain.advance(1);
  sources.submit(after, 4, [plain.trade(), plain.delta(from, plain.seq)]);
  after.recorder.sequencer.drain();
  expect(feedOf(market, PLAIN).bookView()).toBeNull();
  sources.submit(after, 4, [plain.snapshot(plain.seq)]);
  after.recorder.sequencer.drain();
  expect(feedOf(market, PLAIN).levels(1e6)).toEqual(flatLevels(plain.truth(plain.seq)));
}

describe('an abrupt end', () => {
  test.each(['commit', 'fsync', 'async'] as const)(
    '%s: what was accepted is recorded once, and the market has its state at that seq',
    (durability: Durability) => {
      fc.assert(
        fc.property(
          fc.nat(),
          fc.integer({ min: 0, max: 80 }),
          fc.integer({ min: 1, max: 200 }),
          (seed, steps, checkpointEveryEvents) => {
            const directory = scratch.fresh();
            const options = { durability, checkpointEveryEvents, commitEveryMs: 10_000 };
            const before = record(directory, options, { states: true });
            const sources = new Sources(seed);
            sources.define(before);
            for (let i = 0; i < steps; i++) sources.say(before);
            if (durability === 'async' && seed % 2 === 0) {
              void before.recorder.journal.flush();
              for (let i = 0; i < 5; i++) sources.say(before);
            }
            const crashed = scratch.copyOf(directory);
            const accepted = [...before.batches];
            before.recorder.close();
            expectSame(crashed, before, accepted, durability, sources);
          },
        ),
        { numRuns: durability === 'commit' ? deep(30, 12) : deep(15, 6) },
      );
    },
  );

  function expectSame(
    crashed: string,
    before: Recording,
    accepted: Recording['batches'],
    durability: Durability,
    sources: Sources,
  ): void {
    const whole = replayed(crashed);
    const found = newestSeq(crashed);
    const after = record(crashed);
    const { lastSeq } = after.recorder.sequencer;
    const newest = accepted.at(-1)?.lastSeq ?? 0;
    // No number is used twice, and what was published and lost is declared.
    expect(lastSeq).toBe(newest);
    expect(gapsOf(crashed)).toEqual(
      found < newest ? [{ from_seq: found + 1, to_seq: newest, reason: 'crash' }] : [],
    );
    if (durability !== 'async') expect(found).toBe(newest);
    // The end of a batch: no batch is there in part.
    expect([...before.states.keys()]).toContain(found);
    expect(stateOf(after.recorder.market)).toBe(before.states.get(found)!);
    expect(whole.state).toBe(before.states.get(found)!);
    expect(whole.events).toEqual(eventsOf(accepted).filter((e) => e.seq <= found));

    // Numbers continue in another epoch, so none has two meanings.
    const epochs = epochsOf(crashed);
    const [first, second] = [epochs[0]!, epochs.at(-1)!];
    // An epoch that numbered nothing is replaced by the next.
    expect(epochs.length).toBe(lastSeq > 0 ? 2 : 1);
    if (lastSeq > 0) expect(first).toMatchObject({ first_seq: 1, last_seq: lastSeq });
    expect(second).toMatchObject({ first_seq: lastSeq + 1, last_seq: null });
    if (lastSeq > 0) expect(second.epoch).not.toBe(first.epoch);
    expect(after.recorder.sequencer.epoch).toBe(second.epoch);
    after.recorder.sequencer.act((out) => after.recorder.market.announceRecovered(out));
    if (found > 1) expectBooksGoOn(after, sources);
    expect(eventsOf(after.batches).map((e) => e.seq)).toEqual(
      eventsOf(after.batches).map((_, i) => lastSeq + 1 + i),
    );
    for (const batch of after.batches) expect(batch.epoch).toBe(second.epoch);
    after.recorder.close();
  }
});

test('a trade that is sent again after a crash is recognised, and not counted twice', () => {
  const directory = scratch.fresh();
  const first = record(directory, { durability: 'commit' });
  const say = (recording: Recording, seq: number): void => {
    recording.recorder.sequencer.submit(
      1,
      [trade({ seq, prevSeq: seq - 1, quantity: 5 })],
      () => {},
    );
    recording.recorder.sequencer.drain();
  };
  first.recorder.sequencer.submit(1, [instrument()], () => {});
  for (const seq of [7, 8, 9]) say(first, seq);
  const crashed = scratch.copyOf(directory);
  first.recorder.close();

  const second = record(crashed);
  for (const seq of [8, 9, 10]) say(second, seq);
  const words = eventsOf(second.batches).map((e) => (e.type === 'status' ? e.reason : e.type));
  expect(words).toEqual(['source-connected', 'trade', 'tick']);
  expect(feedOf(second.recorder.market).currentTick()!.volume).toBe(20);
  second.recorder.close();
});
