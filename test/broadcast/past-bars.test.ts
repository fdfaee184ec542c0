/** Requests of resumes for past bars: clients take turns, waiting costs nothing, and bars arrive in order. */

import { expect, test } from 'bun:test';

import { decodeFrame, SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import { fault } from '../../protocol/codes';
import type { Bar, Message } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { barsBehind } from '../../src/app/bars-behind';
import { ManualClock } from '../../src/base/clock';
import { BarResume } from '../../src/broadcast/resume/bar-resume';
import { Broadcaster } from '../../src/broadcast/broadcaster';
import { LateBars } from '../../src/broadcast/topics/late-bars';
import { MirroredInstrument, TopicState } from '../../src/broadcast/topics/mirror';
import type { BarsBehind } from '../../src/base/contracts/past';
import { PastBarQueries } from '../../src/broadcast/resume/past-bars';
import { Session } from '../../src/broadcast/sessions/session';
import { WaitingResume } from '../../src/broadcast/resume/waiting-resume';
import type { History } from '../../src/journal/history/history';
import { instrument, trade } from '../support/market-events';
import { LIMITS, socketWith } from '../support/sockets';

const OPTIONS = { topicsMax: 100_000, sessionBoundary: 0 };
const REQUEST = { instruments: [], after: 0, lookFrom: 0, upTo: 0 };
const START = 1_700_000_000;
const EMPTY: BarsBehind = { instruments: [] };

test('many resumes of one client do not keep another client waiting', async () => {
  const under: (() => void)[] = [];
  const begun: string[] = [];
  const questions = new PastBarQueries(
    () => new Promise<BarsBehind>((resolve) => under.push(() => resolve(EMPTY))),
  );
  const ask = (client: string): void => {
    void questions.ask(client, 1, () => {
      begun.push(client);
      return REQUEST;
    });
  };
  for (let i = 0; i < 1_000; i++) ask('crowd');
  ask('other');
  for (let ended = 0; ended < 3; ended++) {
    await new Promise((resolve) => setImmediate(resolve));
    under.shift()!();
  }
  await new Promise((resolve) => setImmediate(resolve));
  expect(begun).toContain('other');
  expect(begun.length).toBeLessThan(10);
});

test('[W19] the first part of an answer is sent in small pieces, so that the window limits it', () => {
  let ended: unknown = null;
  const stage = {
    client: 'a',
    lastSeq: () => 5,
    recent: () => [],
    isReady: () => true,
    pull: () => {},
    finish: (outcome: unknown) => (ended = outcome),
  };
  const opening = Array.from({ length: 10_000 }, (_, i) => instrument(`S${i}`));
  const feed = new WaitingResume(stage, 5, opening);
  const taken: Message[] = [];
  for (let frame = feed.take(); frame !== undefined; frame = feed.take()) {
    expect(frame.length).toBeLessThanOrEqual(100);
    taken.push(...(frame as readonly Message[]));
  }
  expect(taken).toEqual(opening);
  expect(feed.isOver).toBe(true);
  feed.finished();
  expect(ended).toEqual([]);
});

test('while others use all requests it tries again, and nothing is lost', async () => {
  let asked = 0;
  const ask = (): Promise<unknown> =>
    Promise.resolve(++asked < 3 ? fault('overloaded', 'too many') : EMPTY);
  const questions = barsBehind({ ask } as unknown as History);
  expect(await questions.ask('a', 1, () => REQUEST)).toEqual(EMPTY);
  expect(asked).toBe(3);
});

test('a resume that waits for an answer scans no topic meanwhile', async () => {
  const own = new MirroredInstrument(instrument('A'), 0);
  own.statistics.bars[0]!.add(trade({ symbol: 'A', seq: 1 }));
  const answers = Promise.withResolvers<BarsBehind>();
  const stage = {
    questions: new PastBarQueries(() => answers.promise),
    client: 'a',
    late: new LateBars(),
    lastSeq: () => 100,
    since: () => undefined,
    ready: () => {},
    isGone: () => false,
  };
  const resume = new BarResume(stage, 1, 1);
  let looked = 0;
  const topics = function* (): Generator<[TopicState, MirroredInstrument]> {
    looked += 1;
    yield [own.topics['bar:1s'], own];
  };
  for (let i = 0; i < 10; i++) expect(resume.isReady(topics)).toBe(false);
  // Once when it may begin, and once more when the answer is asked for.
  expect(looked).toBe(1);
  answers.resolve({ instruments: [[{ touched: [], fronts: [], newest: 0, bars: [] }]] });
  await new Promise((resolve) => setImmediate(resolve));
});

test('[D9] a bar that is dropped in the same batch that changed it is sent in the order of seq', () => {
  const received: Bar[] = [];
  const publish = (_: string, data: string | Uint8Array): number => {
    const messages = typeof data === 'string' ? [] : (decodeFrame(data) as Message[]);
    for (const m of messages)
      if (m.type === 'bar' && m.openTime.seconds === START + 1) received.push(m);
    return 1;
  };
  const broadcaster = new Broadcaster(OPTIONS, { publish }, new ManualClock());
  const late: number[] = [];
  broadcaster.onPastBar = (_, interval, { seconds }) => {
    if (interval === '1s') late.push(seconds);
  };
  let seq = 1;
  broadcaster.accept({ lastSeq: 1, events: [{ ...instrument('A'), seq }], executions: [] });
  const push = (seconds: readonly number[]): void => {
    const events = seconds.map((s) => {
      const eventTime = Nanos.fromSeconds(START + s, 0);
      return trade({ symbol: 'A', seq: ++seq, eventTime, receiveTime: eventTime });
    });
    broadcaster.accept({ lastSeq: seq, events, executions: [] });
  };
  const { encoders, subscriptions } = broadcaster;
  const session = new Session('s', SUBPROTOCOL_MSGPACK, socketWith({}), encoders, LIMITS);
  broadcaster.enter(session);
  subscriptions.subscribe(session, 1, ['bar:A:1s'], 0);
  for (const s of [1, 2, 3]) push([s]);
  push([1, 4, 1, 4, 5]); // to a bar that is kept, one that drops it, to the dropped bar again, and then an end
  expect(late).toEqual([START + 1]);
  broadcaster.revise([{ ...received[0]!, seq: seq - 2, trades: 3, final: true }]);
  expect(received.at(-1)!.trades).toBe(3);
  const seqs = received.map((bar) => bar.seq);
  expect(seqs).toEqual([...seqs].sort((a, b) => a - b));
});
