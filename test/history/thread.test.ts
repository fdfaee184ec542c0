/** The history thread: it is bounded, may die, and never delays the event loop. */

import { afterAll, describe, expect, test } from 'bun:test';

import { Nanos } from '../../protocol/time';
import { Prng } from '../../src/base/prng';
import { History, type HistoryThread } from '../../src/journal/history/history';
import type { FromThread, PastQuestion, ToThread } from '../../src/journal/history/messages';
import { generateMarket } from '../bench/generated-market';
import { FakeSource } from '../support/fake-source';
import { at, instrument } from '../support/market-events';
import { ScratchDirectory } from '../support/scratch-directory';
import { recordPast, type Past } from './past';

const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

const QUESTION = { kind: 'book', symbol: 'ACME', at: at(1_000_000) } as const;

function start(questionsMax = 64): Past {
  const past = recordPast(scratch.fresh(), {}, questionsMax);
  const source = new FakeSource(new Prng(1));
  past.recorder.sequencer.submit(1, [instrument('ACME'), source.snapshot(source.seq)], () => {});
  past.recorder.sequencer.drain();
  return past;
}

/** Answers nothing, and closes at once. */
function fakeThread(sent: (message: ToThread) => void): HistoryThread {
  const thread: HistoryThread = {
    postMessage: (message) => {
      sent(message);
      if (message === 'close') {
        queueMicrotask(() => thread.onmessage?.({ data: 'closed' } as MessageEvent<FromThread>));
      }
    },
    terminate: () => {},
    onmessage: null,
    addEventListener: () => {},
  };
  return thread;
}

describe('the history thread', () => {
  test('more queries than allowed are refused, and those in progress are answered', async () => {
    const past = start(3);
    const answers = await Promise.all(Array.from({ length: 5 }, () => past.history.ask(QUESTION)));
    const codes = answers.map((answer) => ('code' in answer ? answer.code : 'good'));
    expect(codes).toEqual(['good', 'good', 'good', 'overloaded', 'overloaded']);
    expect(await past.history.ask(QUESTION)).toHaveProperty('seq');
    await past.close();
  });

  test('a long query does not delay a short one after it, and says where its page ends', async () => {
    const past = recordPast(scratch.fresh());
    const { sequencer } = past.recorder;
    const events = generateMarket({
      symbols: ['LONG'],
      events: 150_000,
      seed: 3,
      start: at(1_000),
    });
    for (let i = 0; i < events.length; i += 1_000) {
      const some = events.slice(i, i + 1_000);
      const last = some.at(-1)!;
      sequencer.submit(1, some, () => {}, {
        receiveTime: last.type === 'instrument' ? at(0) : last.eventTime,
      });
      sequencer.drain();
    }
    await past.recorder.journal.flush();
    const bars = {
      kind: 'bars',
      symbol: 'LONG',
      interval: '1d',
      from: Nanos.ZERO,
      to: null,
      limit: 1_000,
      tradesMax: 5_000_000,
      now: at(0),
    } as const;
    const order: string[] = [];
    const ask = async (name: string, question: PastQuestion): Promise<unknown> => {
      const answer = await past.history.ask(question);
      order.push(name);
      return answer;
    };
    await past.history.ask({ ...QUESTION, symbol: 'LONG' }); // the thread runs
    const short = { kind: 'trades', symbol: 'LONG', before: 1_000, limit: 10 } as const;
    const [page] = await Promise.all([ask('bars', bars), ask('trades', short)]);
    expect(order).toEqual(['trades', 'bars']);
    expect(page).toMatchObject({ next: null });
    // Bounded by trades: a page ends with a bar, and a single bar that is too long is refused.
    const minutes = await past.history.ask({ ...bars, interval: '1m', tradesMax: 10_000 });
    expect(minutes).toMatchObject({ next: expect.stringMatching(/^[0-9]+$/) });
    const day = await past.history.ask({ ...bars, tradesMax: 10_000 });
    expect(day).toMatchObject({ code: 'invalid-field', field: 'interval' });
    await past.close();
  });

  test('when it dies its queries fail with a code, and the next one starts another', async () => {
    const past = start();
    expect(await past.history.ask(QUESTION)).toHaveProperty('seq');
    const under = past.history.ask(QUESTION);
    past.threads[0]!.terminate();
    const answer = await under;
    // It may have answered before it ended.
    if ('code' in answer) expect(answer.code).toBe('history-failed');
    await Bun.sleep(20);
    expect(await past.history.ask(QUESTION)).toHaveProperty('seq');
    expect(past.threads.length).toBe(2);
    await past.close();
  });

  test('one that dies at each query fails each with a code, and so does one that never starts', async () => {
    for (const script of [
      'onmessage = () => { throw new Error("dead") }',
      'onmessage = () => process.exit(3)',
      'throw new Error("unborn")',
    ]) {
      let started = 0;
      const history = new History({
        questionsMax: 4,
        flush: () => {},
        start: () => {
          started += 1;
          const url = URL.createObjectURL(new Blob([script], { type: 'application/javascript' }));
          return new Worker(url);
        },
      });
      const answers = await Promise.all([history.ask(QUESTION), history.ask(QUESTION)]);
      for (const answer of answers) expect(answer).toMatchObject({ code: 'history-failed' });
      expect(await history.ask(QUESTION)).toMatchObject({ code: 'history-failed' });
      expect(started).toBe(2);
      await history.close();
    }
  });

  test('while none can be started queries are refused', async () => {
    let started = 0;
    const script = 'onmessage = ({ data }) => postMessage({ id: data.id, answer: { seq: 7 } })';
    const url = URL.createObjectURL(new Blob([script], { type: 'application/javascript' }));
    const history = new History({
      questionsMax: 4,
      flush: () => {},
      start: () => (++started <= 2 ? undefined : new Worker(url)),
    });
    history.prepare();
    expect(await history.ask(QUESTION)).toMatchObject({ code: 'overloaded' });
    expect(await history.ask(QUESTION)).toEqual({ seq: 7 } as never);
    expect(await history.ask(QUESTION)).toEqual({ seq: 7 } as never);
    expect(started).toBe(3);
  });

  test('after the close a query gets a code; the journal is left in order', async () => {
    const past = start();
    const last = past.history.ask(QUESTION);
    await past.close();
    expect(await last).toHaveProperty('seq');
    expect(await past.history.ask(QUESTION)).toMatchObject({ code: 'shutting-down' });
  });

  test('a query waits for the commit; what the disk did not write is declared with it', async () => {
    const sent: ToThread[] = [];
    const flushes: PromiseWithResolvers<void>[] = [];
    const open = { from: 7, to: 9, reason: 'disk' };
    const history = new History({
      questionsMax: 4,
      flush: () => {
        flushes.push(Promise.withResolvers<void>());
        return flushes.at(-1)!.promise;
      },
      open: () => (flushes.length === 2 ? open : null),
      start: () => fakeThread((message) => sent.push(message)),
    });
    const first = history.ask(QUESTION);
    await Bun.sleep(1);
    expect(sent).toEqual([]);
    flushes[0]!.resolve();
    await Bun.sleep(1);
    expect(sent).toEqual([{ id: 1, question: QUESTION, open: null }]);
    const second = history.ask(QUESTION);
    flushes[1]!.reject(new Error('which no journal does'));
    await Bun.sleep(1);
    expect(sent[1]).toEqual({ id: 2, question: QUESTION, open });
    // The close waits for what is on its way to the thread.
    const third = history.ask(QUESTION);
    const closed = history.close();
    await Bun.sleep(1);
    expect(sent.length).toBe(2);
    flushes[2]!.resolve();
    await closed;
    expect(sent.slice(2)).toEqual([{ id: 3, question: QUESTION, open: null }, 'close']);
    for (const answer of await Promise.all([first, second, third])) {
      expect(answer).toMatchObject({ code: 'shutting-down' });
    }
  });

  test('while a commit does not end, the limit of queries holds, and the close does not wait', async () => {
    const history = new History({
      questionsMax: 2,
      flush: () => new Promise(() => {}),
      start: () => fakeThread(() => {}),
    });
    const answers = [1, 2, 3].map(() => history.ask(QUESTION));
    expect(await answers[2]).toMatchObject({ code: 'overloaded' });
    await history.close();
    expect(await answers[0]).toMatchObject({ code: 'shutting-down' });
    expect(await answers[1]).toMatchObject({ code: 'shutting-down' });
  });

  test('a missing journal gives a code', async () => {
    const { startHistoryThread } = await import('../../src/journal/history/history');
    const history = new History({
      questionsMax: 4,
      flush: () => {},
      start: () => startHistoryThread('/nonexistent/journal.sqlite'),
    });
    expect(await history.ask(QUESTION)).toMatchObject({ code: 'history-failed' });
    await history.close();
  });
});
