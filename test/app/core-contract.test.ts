/** The contract of Core, tested with each core: the recorder, and a replica whose leader is a recorder. */

import { afterAll, describe, expect, test } from 'bun:test';

import { openRecorder, type Recorder } from '../../src/app/recorder';
import { Replica } from '../../src/app/replica';
import { ManualClock } from '../../src/base/clock';
import type { Batch } from '../../src/base/contracts/batch';
import type { Core } from '../../src/base/contracts/core';
import type { SubmitResult } from '../../src/base/contracts/submission';
import { at, instrument, SYMBOL, trade } from '../support/market-events';
import { ReplicaPair } from '../support/replica-pair';
import { ScratchDirectory } from '../support/scratch-directory';
import { testConfig } from '../support/test-recorder';

interface Subject {
  readonly core: Core;
  /** Lets everything that was submitted be processed. */
  readonly settle: () => void;
}

const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

function recorder(directory = scratch.fresh()): Subject {
  const core = openRecorder(testConfig(directory), new ManualClock(at(0))) as Recorder;
  return { core, settle: () => core.sequencer.drain() };
}

function replica(directory = scratch.fresh()): Subject {
  const both = new ReplicaPair(directory, new ManualClock(at(0)));
  both.deliver();
  const { replica: core, leader } = both;
  const ended = core.closed;
  const close = (): void => {
    leader.close();
    Replica.prototype.close.call(core);
  };
  const closed = Promise.all([leader.closed, ended]).then((errors) => errors.find(Boolean));
  Object.defineProperties(core, { close: { value: close }, closed: { value: closed } });
  const settle = (): void => {
    leader.sequencer.drain();
    both.deliver();
  };
  return { core, settle };
}

const CORES = [
  ['recorder', recorder],
  ['replica', replica],
] as const;

/** Submits for source 1. @returns the answer, once the core has settled */
function submit({ core, settle }: Subject, events: Parameters<Core['entry']['submit']>[1]) {
  let answer: SubmitResult | undefined;
  core.entry.submit(1, events, (result) => (answer = result));
  settle();
  return answer!;
}

for (const [name, open] of CORES) {
  describe(`core ${name}`, () => {
    test('hands out batches in order, without holes, before it answers their submissions', async () => {
      const subject = open();
      const { core, settle } = subject;
      const order: string[] = [];
      const batches: Batch[] = [];
      core.follow((batch) => {
        batches.push(batch);
        order.push(`batch ${batch.lastSeq}`);
      });
      core.entry.submit(1, [instrument(SYMBOL)], () => order.push('answer'));
      settle();
      expect(order).toEqual([`batch ${batches[0]!.lastSeq}`, 'answer']);
      for (let i = 0; i < 20; i++) submit(subject, [trade({ seq: 0, prevSeq: 0 })]);
      const seqs = batches.flatMap(({ events }) => events.map(({ seq }) => seq));
      expect(seqs).toEqual(Array.from({ length: core.lastSeq }, (_, i) => i + 1));
      for (const { epoch, firstSeq, lastSeq, events } of batches) {
        expect([epoch, firstSeq, lastSeq]).toEqual([
          core.epoch,
          events[0]!.seq,
          events.at(-1)!.seq,
        ]);
      }
      core.close();
      expect(await core.closed).toBeUndefined();
    });

    test('has the definitions, the newest state and the statistics of what it accepted', async () => {
      const subject = open();
      const { core } = subject;
      expect([core.instruments.size, core.instruments.get(SYMBOL)]).toEqual([0, undefined]);
      submit(subject, [instrument(SYMBOL), trade({ seq: 0, prevSeq: 0, price: 123 })]);
      const found = core.instruments.get(SYMBOL)!;
      expect(found.currentTick()).toMatchObject({ symbol: SYMBOL, last: 123 });
      const newest = [...found.newest()];
      expect(newest[0]).toMatchObject({ type: 'instrument', symbol: SYMBOL });
      expect(newest.map(({ type }) => type)).toContain('tick');
      expect([...core.instruments.all()].map(({ definition }) => definition.symbol)).toEqual([
        SYMBOL,
      ]);
      expect(Object.keys(core.statistics.state())).toEqual([SYMBOL]);
      expect(core.entry.holderOf(SYMBOL)).toBe(1);
      core.close();
      await core.closed;
    });

    test('refuses a bad submission as a whole and names the event; nothing of it has an effect', async () => {
      const subject = open();
      const { core } = subject;
      submit(subject, [instrument(SYMBOL)]);
      const before = core.lastSeq;
      const answer = submit(subject, [trade({ seq: 0 }), trade({ seq: 0, symbol: 'NONE' })]);
      expect(answer).toMatchObject({ index: 1, fault: { code: 'unknown-symbol' } });
      expect(core.lastSeq).toBe(before);
      core.close();
      await core.closed;
    });

    test('a source that disconnects is announced after what it submitted; another may then feed', async () => {
      const subject = open();
      const { core, settle } = subject;
      submit(subject, [instrument(SYMBOL), trade({ seq: 0, prevSeq: 0 })]);
      core.entry.release(1, '');
      const behind = core.entry.behind(1);
      settle();
      await behind;
      expect(core.entry.holderOf(SYMBOL)).toBe(0);
      core.close();
      await core.closed;
    });

    test('keeps the past and its epochs over a restart, and refuses everything once it stops', async () => {
      const directory = scratch.fresh();
      const first = open(directory);
      submit(first, [instrument(SYMBOL), trade({ seq: 0, prevSeq: 0, price: 77 })]);
      const { epoch, lastSeq } = first.core;
      await first.core.past.flush();
      expect(first.core.past.trades(SYMBOL, lastSeq + 1, 10)).toMatchObject([{ price: 77 }]);
      expect(first.core.past.missing()).toBeNull();
      await first.core.refuse();
      expect(submit(first, [trade({ seq: 0 })])).toMatchObject({
        fault: { code: 'shutting-down' },
      });
      first.core.close();
      expect(await first.core.closed).toBeUndefined();

      const { core } = open(directory);
      expect(core.epoch).not.toBe(epoch);
      expect(core.pastEpochs.get(epoch)).toEqual({ kept: lastSeq, pushed: lastSeq });
      expect(core.lastSeq).toBeGreaterThanOrEqual(lastSeq);
      expect(core.past.trades(SYMBOL, lastSeq + 1, 10)).toMatchObject([{ price: 77 }]);
      core.close();
      await core.closed;
    });

    test('administration defines, renumbers and deletes; a wrong symbol is a fault', async () => {
      const { core, settle } = open();
      const run = async <T>(done: Promise<T>): Promise<T> => {
        settle();
        return await done;
      };
      const { administration } = core;
      const fields = { symbol: 'NEW', market: 'feed', priceScale: 2, quantityScale: 3 };
      expect(await run(administration.define(fields))).toBe('NEW');
      expect(core.instruments.get('NEW')?.definition).toMatchObject({ priceScale: 2 });
      expect(await run(administration.renumber('NONE'))).toMatchObject({ code: 'unknown-symbol' });
      expect(await run(administration.delete('NEW'))).toBe(core.lastSeq);
      expect([
        core.instruments.get('NEW'),
        core.instruments.known('NEW')?.definition.symbol,
      ]).toEqual([undefined, 'NEW']);
      core.close();
      await core.closed;
    });
  });
}
