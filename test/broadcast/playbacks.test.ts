/** Playbacks, replays and the job queue: bounded, correct under every order of answers, and nothing left behind. */

import { describe, expect, setDefaultTimeout, test } from 'bun:test';
import fc from 'fast-check';

import { decodeFrame, FrameEncoder, isFault, SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import type { Message } from '../../protocol/messages';
import { ManualClock } from '../../src/base/clock';
import { Prng } from '../../src/base/prng';
import { SystemClock } from '../../src/base/clock';
import { JobQueue } from '../../src/broadcast/subscriptions/job-queue';
import { Playbacks, type QueuedEvents } from '../../src/broadcast/playback/playbacks';
import { type PlaybackRequest } from '../../src/broadcast/playback/playback';
import { Numberings } from '../../src/broadcast/numbering';
import { ReplayRequests } from '../../src/broadcast/replay/replay-requests';
import type { ReplayMessage } from '../../src/broadcast/replay/replay';
import { Session } from '../../src/broadcast/sessions/session';
import { SentCounter } from '../../src/broadcast/topics/counters';
import { SharedFrames } from '../../src/broadcast/sessions/encoders';
import { SYMBOL } from '../support/market-events';
import { LIMITS, socketWith } from '../support/sockets';
import { FAILED, playbackLimits, SteeredPlaybacks, tradeAt } from './steered-playbacks';

setDefaultTimeout(60_000);

const LAST = 100;
const REQUEST: PlaybackRequest = {
  topics: [`trade:${SYMBOL}`],
  isText: false,
  fromSeq: 1,
  toSeq: LAST,
  from: null,
  to: null,
  hasOpening: true,
  shard: null,
  speed: 0,
};

function watched(): QueuedEvents & { readonly received: string[] } {
  const received: string[] = [];
  return {
    received,
    opened: () => void received.push('opened'),
    ready: () => void received.push('ready'),
    failed: ({ code }) => void received.push(code),
    waits: (ahead) => void received.push(`waits ${ahead}`),
    idle: () => void received.push('idle'),
  };
}

describe('playbacks', () => {
  test('a bounded number is open; others wait in order, or leave the queue', async () => {
    const source = new SteeredPlaybacks(10);
    const playbacks = new Playbacks(source, playbackLimits(2));
    const open = (): { playback: ReturnType<Playbacks['open']>; received: string[] } => {
      const events = watched();
      return { playback: playbacks.openQueued('me', REQUEST, events), received: events.received };
    };
    const [a, b, c, d, e] = [open(), open(), open(), open(), open()];
    expect(playbacks.counts).toEqual({ open: 2, waiting: 3 });
    c.playback.close();
    expect(playbacks.counts).toEqual({ open: 2, waiting: 2 });
    // The source is still opening it: its slot becomes free when the source has answered.
    a.playback.close();
    expect(playbacks.counts).toEqual({ open: 2, waiting: 2 });
    expect(source.asked.map(({ playback }) => playback)).toEqual([1, 2]);
    await source.answer();
    expect(playbacks.counts).toEqual({ open: 2, waiting: 1 });
    expect(source.asked.map(({ playback }) => playback)).toEqual([2, 4]);
    await source.answerAll();
    expect([a.received, c.received]).toEqual([[], ['waits 0']]);
    expect(d.received).toContain('ready');
    for (const { playback } of [b, d, e, e]) playback.close();
    await source.answerAll();
    expect(playbacks.counts).toEqual({ open: 0, waiting: 0 });
    expect(source.held.size).toBe(0);
  });

  test('waiting playbacks begin when a reload raises the limit', async () => {
    const source = new SteeredPlaybacks(10);
    const limits = { ...playbackLimits(3), playbacksPerClientMax: 1 };
    const playbacks = new Playbacks(source, limits);
    for (const client of ['a', 'a', 'a', 'b', 'a'])
      playbacks.openQueued(client, REQUEST, watched());
    expect(playbacks.counts).toEqual({ open: 2, waiting: 3 });
    limits.playbacksPerClientMax = 2;
    playbacks.beginWaiting();
    expect(playbacks.counts).toEqual({ open: 3, waiting: 2 });
    await source.answerAll();
  });

  test('a client at its own limit waits without blocking other clients', async () => {
    const source = new SteeredPlaybacks(10);
    const playbacks = new Playbacks(source, playbackLimits(3, 2));
    const open = (client: string) => playbacks.openQueued(client, REQUEST, watched());
    const [first, , third] = [open('a'), open('a'), open('a'), open('a')];
    expect(playbacks.counts).toEqual({ open: 2, waiting: 2 });
    const other = open('b');
    open('b');
    expect(playbacks.counts).toEqual({ open: 3, waiting: 3 });
    await source.answerAll();
    // The freed slot goes to the next playback that may begin: not to one of client a.
    other.close();
    await source.answerAll();
    expect(source.requests.length).toBe(4);
    expect(playbacks.counts).toEqual({ open: 3, waiting: 2 });
    first.close();
    third.close();
    await source.answerAll();
    expect(playbacks.counts).toEqual({ open: 3, waiting: 0 });
  });

  test('replays are refused when the limit of replays is reached; resumes do not wait for them', async () => {
    const source = new SteeredPlaybacks(10);
    const playbacks = new Playbacks(source, playbackLimits(3, 2));
    const replay = (client: string) => playbacks.open(client, REQUEST, watched());
    const [first] = [replay('a'), replay('a')];
    expect([playbacks.refusal('a')?.code, playbacks.refusal('b')]).toEqual([
      'limit-reached',
      undefined,
    ]);
    replay('b');
    expect([playbacks.refusal('a')?.code, playbacks.refusal('c')?.code]).toEqual([
      'limit-reached',
      'overloaded',
    ]);
    const events = watched();
    playbacks.openQueued('a', REQUEST, events);
    await source.answerAll();
    expect(events.received).toContain('ready');
    first.close();
    expect(playbacks.refusal('c')).toBeUndefined();
  });

  test('two chunks are read ahead, and one more for each chunk that is taken', async () => {
    const source = new SteeredPlaybacks(10);
    const playback = new Playbacks(source, playbackLimits(1)).open('me', REQUEST, watched());
    await source.answerAll();
    expect(source.chunks).toBe(2);
    const seqs: number[] = [];
    while (playback.hasFrame) {
      seqs.push(playback.take().seq);
      await source.answerAll();
      expect(source.chunks).toBe(Math.min(10, 2 + Math.floor(seqs.length / 10)));
    }
    expect(seqs).toEqual(Array.from({ length: LAST }, (_, i) => i + 1));
    expect(playback.isOver).toBe(true);
  });

  test('whenever a playback is closed or fails, its slot is freed and the source has released it', async () => {
    for (let stage = 0; stage <= 14; stage++) {
      for (const how of ['close', 'fail'] as const) {
        const source = new SteeredPlaybacks(10);
        const playbacks = new Playbacks(source, playbackLimits(1));
        const events = watched();
        const playback = playbacks.openQueued('me', REQUEST, events);
        for (let i = 0; i < stage; i++) {
          await source.answer();
          if (i > 3) while (playback.hasFrame) playback.take();
        }
        const isFailing = how === 'fail' && source.asked.length > 0;
        if (isFailing) await source.answer(true);
        else playback.close();
        expect(events.received.includes(FAILED.code)).toBe(isFailing);
        await source.answerAll();
        expect(playbacks.counts).toEqual({ open: 0, waiting: 0 });
        expect([stage, source.held.size]).toEqual([stage, 0]);
      }
    }
  });
});

test('the job queue runs a bounded number of jobs a turn, in order', async () => {
  const queue = new JobQueue(8, new SystemClock().turns);
  const done: number[] = [];
  for (let i = 0; i < 1_000; i++) queue.run(() => void done.push(i));
  expect(done).toHaveLength(8);
  let most = 0;
  while (done.length < 1_000) {
    const before = done.length;
    await new Promise((resolve) => setImmediate(resolve));
    most = Math.max(most, done.length - before);
    if (done.length === 504) queue.run(() => void done.push(1_000)); // it runs after those that wait
  }
  await new Promise((resolve) => setImmediate(resolve));
  expect(most).toBe(8);
  expect(done).toEqual(Array.from({ length: 1_001 }, (_, i) => i));
  const more: number[] = [];
  await Bun.sleep(1);
  for (let i = 0; i < 8; i++) queue.run(() => void more.push(i));
  expect(more).toHaveLength(8);
});

/** A session over a virtual socket, whose reader answers pings when the test says so. */
function enter(playbacks: Playbacks, clock: ManualClock, last = LAST) {
  const received: Message[] = [];
  let pings = 0;
  const socket = socketWith({
    send: (data) => {
      for (const m of decodeFrame(data as Uint8Array)) if (!isFault(m)) received.push(m);
      return 1;
    },
    ping: () => (pings += 1),
  });
  const encoders = {
    binary: new FrameEncoder(),
    scalesOf: () => undefined,
    own: new SentCounter(),
    shared: new SharedFrames(),
  };
  const session = new Session('s1', SUBPROTOCOL_MSGPACK, socket, encoders, LIMITS);
  const numberings = new Numberings();
  numberings.at(0).lastSeq = last;
  const replays = new ReplayRequests({
    playbacks,
    clock,
    numberings,
    numberingOf: () => numberings.at(0),
  });
  let lastId = 0;
  let ponged = 0;
  return {
    session,
    received,
    replays,
    ask: (action: ReplayMessage['action'], more: Partial<ReplayMessage> = {}): number => {
      const id = ++lastId;
      const topics = action === 'start' ? REQUEST.topics : [];
      const m: ReplayMessage = {
        type: 'replay',
        id,
        action,
        topics: [...topics],
        from: null,
        to: null,
        fromSeq: null,
        toSeq: null,
        speed: null,
        ...more,
        shard: null,
      };
      const refused = replays.handle(session, m);
      if (refused !== undefined)
        received.push({
          type: 'error',
          id,
          code: refused.code,
          message: '',
          field: null,
          hint: '',
        });
      return id;
    },
    pong: (): boolean => {
      if (ponged === pings) return false;
      ponged = pings;
      session.pong(clock.monotonicMs(), pings); // the pong also answers all earlier pings
      return true;
    },
  };
}

describe('a replay of a session', () => {
  test('sends one window, then nothing until the pong', async () => {
    const last = 4_000;
    const source = new SteeredPlaybacks(50);
    const clock = new ManualClock();
    const { received, ask, pong } = enter(new Playbacks(source, playbackLimits(1)), clock, last);
    ask('start', { toSeq: last });
    await source.answerAll();
    const first = received.length;
    expect(new FrameEncoder().encode(received).length).toBeWithin(30_000, 70_000);
    await source.answerAll();
    expect(received).toHaveLength(first);
    while (pong()) await source.answerAll();
    expect(received.at(-1)).toEqual({
      type: 'ack',
      id: 1,
      seq: last,
      repeated: null,
      waiting: null,
      shards: null,
    });
    expect(received.slice(0, -1)).toEqual(Array.from({ length: last }, (_, i) => tradeAt(i + 1)));
  });

  test('sends messages when they are due by the clock, not earlier; a pause does not count', async () => {
    const source = new SteeredPlaybacks(1_000);
    const clock = new ManualClock();
    const { received, ask, pong, session } = enter(new Playbacks(source, playbackLimits(1)), clock);
    const tradeSeqs = (): number => received.filter(({ type }) => type === 'trade').length;
    const pass = (ms: number): void => {
      clock.advance(ms * 1e6);
      session.pull(clock.monotonicMs());
      while (pong());
    };
    ask('start', { speed: 10 }); // 10 ms between two messages
    await source.answerAll();
    while (pong());
    expect(tradeSeqs()).toBe(1);
    pass(95);
    expect(tradeSeqs()).toBe(10);
    ask('pause');
    pass(60_000);
    expect(tradeSeqs()).toBe(10);
    ask('continue');
    pass(4);
    expect(tradeSeqs()).toBe(10);
    pass(1);
    expect(tradeSeqs()).toBe(11);
    // After a seek the first message is due at once.
    ask('seek', { fromSeq: 51 });
    await source.answerAll();
    while (pong());
    expect(received.at(-1)).toEqual(tradeAt(51));
    pass(49_000);
    expect(received.at(-1)).toEqual({
      type: 'ack',
      id: 1,
      seq: LAST,
      repeated: null,
      waiting: null,
      shards: null,
    });
    expect(session.hasSource).toBe(false);
  });

  test('is refused when the server is full, whatever its range', async () => {
    const source = new SteeredPlaybacks(1);
    const playbacks = new Playbacks(source, playbackLimits(1));
    const clock = new ManualClock();
    const [one, two] = [enter(playbacks, clock), enter(playbacks, clock)];
    one.ask('start');
    two.ask('start');
    expect(two.received).toMatchObject([{ type: 'error', id: 1, code: 'overloaded' }]);
    expect(two.session.hasSource).toBe(false);
    one.session.gone();
    await source.answerAll();
    two.ask('start');
    expect(two.session.hasSource).toBe(true);
  });

  test('opens only two playbacks for many seeks: the present one and the newest', async () => {
    const source = new SteeredPlaybacks(10);
    const { received, ask, pong } = enter(
      new Playbacks(source, playbackLimits(8)),
      new ManualClock(),
    );
    ask('start');
    for (let i = 0; i < 1_000; i++) ask('seek', { fromSeq: 1 + (i % 90) });
    ask('seek', { fromSeq: 95 });
    for (let i = 0; i < 20; i++) {
      await source.answerAll();
      while (pong());
    }
    expect(source.requests.map(({ fromSeq }) => fromSeq)).toEqual([1, 95]);
    const tradeSeqs = received.filter((m) => m.type === 'trade').map(({ seq }) => seq);
    expect(tradeSeqs).toEqual([95, 96, 97, 98, 99, 100]);
    expect(received.filter(({ type }) => type === 'ack')).toHaveLength(1_002);
  });

  test('answers each request once, in ascending seq, and leaves nothing behind, under random requests', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 1e6 }), async (seed) => {
        const prng = new Prng(seed);
        const source = new SteeredPlaybacks(prng.int(1, 40));
        const playbacks = new Playbacks(source, playbackLimits(prng.int(1, 2)));
        const clock = new ManualClock();
        const reader = enter(playbacks, clock);
        const { session, received, ask } = reader;
        const ids: number[] = [];
        const seeks = new Map<number, number>();
        const steps: (() => void | Promise<void>)[] = [
          () => void ids.push(ask('start', { speed: prng.chance(0.5) ? 0 : 100 })),
          () => void ids.push(ask('pause')),
          () => void ids.push(ask('continue')),
          () => {
            const fromSeq = prng.int(1, LAST);
            ids.push(ask('seek', { fromSeq }));
            seeks.set(ids.at(-1)!, fromSeq);
          },
          () => void (prng.chance(0.3) && ids.push(ask('stop'))),
          () => source.answerSome(prng, prng.chance(0.05)),
          () => source.answerSome(prng, false),
          () => source.answerSome(prng, false),
          () => void reader.pong(),
          () => clock.advance(prng.int(0, 50) * 1e6),
          () => session.pull(clock.monotonicMs()),
        ];
        for (let i = 0; i < 120; i++) {
          await steps[prng.int(0, steps.length - 1)]!();
          const waiting = [...source.held.values()].length;
          expect(waiting).toBeLessThanOrEqual(3);
        }
        const isGone = prng.chance(0.3);
        if (isGone) session.gone();
        else {
          ids.push(ask('continue'), ask('stop'));
          for (let i = 0; i < 20; i++) {
            while (reader.pong());
            await source.answerAll();
          }
          for (const id of ids) {
            const answers = received.filter(
              (m) => (m.type === 'ack' || m.type === 'error') && m.id === id,
            );
            expect({ id, answers: answers.length }).toEqual({ id, answers: 1 });
          }
        }
        await source.answerAll();
        expect(playbacks.counts).toEqual({ open: 0, waiting: 0 });
        expect([source.held.size, session.hasSource]).toEqual([0, false]);
        let next: number | null = null;
        for (const m of received) {
          if (m.type === 'ack' && seeks.has(m.id)) {
            next = seeks.get(m.id)!;
            expect(m.seq).toBe(next);
          } else if ((m.type === 'ack' || m.type === 'error') && m.id !== null && m.id !== 0) {
            continue;
          } else if (m.type === 'trade') {
            expect(m.seq === 1 || m.seq === next).toBe(true);
            next = m.seq + 1;
          }
        }
      }),
      { numRuns: 150 },
    );
  });
});
