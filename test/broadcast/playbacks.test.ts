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
import { ReplayRequests } from '../../src/broadcast/replay/replay-requests';
import type { ReplayMessage } from '../../src/broadcast/replay/replay';
import { Session } from '../../src/broadcast/sessions/session';
import { SentCounter } from '../../src/broadcast/topics/counters';
import { SharedFrames } from '../../src/broadcast/sessions/encoders';
import { SYMBOL } from '../support/market-events';
import { LIMITS, socketWith } from '../support/sockets';
import { FAILED, playLimits, SteeredPlays, tradeAt } from './steered-playbacks';

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
  speed: 0,
};

function watched(): QueuedEvents & { readonly told: string[] } {
  const told: string[] = [];
  return {
    told,
    opened: () => void told.push('opened'),
    ready: () => void told.push('ready'),
    failed: ({ code }) => void told.push(code),
    waits: (ahead) => void told.push(`waits ${ahead}`),
    idle: () => void told.push('idle'),
  };
}

describe('playbacks', () => {
  test('a bounded number is open; others wait in order, or leave the queue', async () => {
    const source = new SteeredPlays(10);
    const plays = new Playbacks(source, playLimits(2));
    const open = (): { play: ReturnType<Playbacks['open']>; told: string[] } => {
      const events = watched();
      return { play: plays.openQueued('me', REQUEST, events), told: events.told };
    };
    const [a, b, c, d, e] = [open(), open(), open(), open(), open()];
    expect(plays.counts).toEqual({ open: 2, waiting: 3 });
    c.play.close();
    expect(plays.counts).toEqual({ open: 2, waiting: 2 });
    // The source is still opening it: its slot becomes free when the source has answered.
    a.play.close();
    expect(plays.counts).toEqual({ open: 2, waiting: 2 });
    expect(source.asked.map(({ play }) => play)).toEqual([1, 2]);
    await source.answer();
    expect(plays.counts).toEqual({ open: 2, waiting: 1 });
    expect(source.asked.map(({ play }) => play)).toEqual([2, 4]);
    await source.answerAll();
    expect([a.told, c.told]).toEqual([[], ['waits 0']]);
    expect(d.told).toContain('ready');
    for (const { play } of [b, d, e, e]) play.close();
    await source.answerAll();
    expect(plays.counts).toEqual({ open: 0, waiting: 0 });
    expect(source.held.size).toBe(0);
  });

  test('waiting playbacks begin when a reload raises the limit', async () => {
    const source = new SteeredPlays(10);
    const limits = { ...playLimits(3), playbacksPerClientMax: 1 };
    const plays = new Playbacks(source, limits);
    for (const client of ['a', 'a', 'a', 'b', 'a']) plays.openQueued(client, REQUEST, watched());
    expect(plays.counts).toEqual({ open: 2, waiting: 3 });
    limits.playbacksPerClientMax = 2;
    plays.beginWaiting();
    expect(plays.counts).toEqual({ open: 3, waiting: 2 });
    await source.answerAll();
  });

  test('a client at its own limit waits without blocking other clients', async () => {
    const source = new SteeredPlays(10);
    const plays = new Playbacks(source, playLimits(3, 2));
    const open = (client: string) => plays.openQueued(client, REQUEST, watched());
    const [first, , third] = [open('a'), open('a'), open('a'), open('a')];
    expect(plays.counts).toEqual({ open: 2, waiting: 2 });
    const other = open('b');
    open('b');
    expect(plays.counts).toEqual({ open: 3, waiting: 3 });
    await source.answerAll();
    // The freed slot goes to the next playback that may begin: not to one of client a.
    other.close();
    await source.answerAll();
    expect(source.requests.length).toBe(4);
    expect(plays.counts).toEqual({ open: 3, waiting: 2 });
    first.close();
    third.close();
    await source.answerAll();
    expect(plays.counts).toEqual({ open: 3, waiting: 0 });
  });

  test('replays are refused when the limit of replays is reached; resumes do not wait for them', async () => {
    const source = new SteeredPlays(10);
    const plays = new Playbacks(source, playLimits(3, 2));
    const replay = (client: string) => plays.open(client, REQUEST, watched());
    const [first] = [replay('a'), replay('a')];
    expect([plays.refusal('a')?.code, plays.refusal('b')]).toEqual(['limit-reached', undefined]);
    replay('b');
    expect([plays.refusal('a')?.code, plays.refusal('c')?.code]).toEqual([
      'limit-reached',
      'overloaded',
    ]);
    const events = watched();
    plays.openQueued('a', REQUEST, events);
    await source.answerAll();
    expect(events.told).toContain('ready');
    first.close();
    expect(plays.refusal('c')).toBeUndefined();
  });

  test('two chunks are read ahead, and one more for each chunk that is taken', async () => {
    const source = new SteeredPlays(10);
    const play = new Playbacks(source, playLimits(1)).open('me', REQUEST, watched());
    await source.answerAll();
    expect(source.chunks).toBe(2);
    const seqs: number[] = [];
    while (play.hasFrame) {
      seqs.push(play.take().seq);
      await source.answerAll();
      expect(source.chunks).toBe(Math.min(10, 2 + Math.floor(seqs.length / 10)));
    }
    expect(seqs).toEqual(Array.from({ length: LAST }, (_, i) => i + 1));
    expect(play.isOver).toBe(true);
  });

  test('whenever a playback is closed or fails, its slot is freed and the source has released it', async () => {
    for (let stage = 0; stage <= 14; stage++) {
      for (const how of ['close', 'fail'] as const) {
        const source = new SteeredPlays(10);
        const plays = new Playbacks(source, playLimits(1));
        const events = watched();
        const play = plays.openQueued('me', REQUEST, events);
        for (let i = 0; i < stage; i++) {
          await source.answer();
          if (i > 3) while (play.hasFrame) play.take();
        }
        const isFailing = how === 'fail' && source.asked.length > 0;
        if (isFailing) await source.answer(true);
        else play.close();
        expect(events.told.includes(FAILED.code)).toBe(isFailing);
        await source.answerAll();
        expect(plays.counts).toEqual({ open: 0, waiting: 0 });
        expect([stage, source.held.size]).toEqual([stage, 0]);
      }
    }
  });
});

test('the job queue runs a bounded number of jobs a turn, in order', async () => {
  const desk = new JobQueue(8, new SystemClock().turns);
  const done: number[] = [];
  for (let i = 0; i < 1_000; i++) desk.run(() => void done.push(i));
  expect(done).toHaveLength(8);
  let most = 0;
  while (done.length < 1_000) {
    const before = done.length;
    await new Promise((resolve) => setImmediate(resolve));
    most = Math.max(most, done.length - before);
    if (done.length === 504) desk.run(() => void done.push(1_000)); // it runs after those that wait
  }
  await new Promise((resolve) => setImmediate(resolve));
  expect(most).toBe(8);
  expect(done).toEqual(Array.from({ length: 1_001 }, (_, i) => i));
  const more: number[] = [];
  await Bun.sleep(1);
  for (let i = 0; i < 8; i++) desk.run(() => void more.push(i));
  expect(more).toHaveLength(8);
});

/** A session over a virtual socket, whose reader answers pings when the test says so. */
function enter(plays: Playbacks, clock: ManualClock, last = LAST) {
  const told: Message[] = [];
  let pings = 0;
  const socket = socketWith({
    send: (data) => {
      for (const m of decodeFrame(data as Uint8Array)) if (!isFault(m)) told.push(m);
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
  const replays = new ReplayRequests({
    playbacks: plays,
    clock,
    lastSeq: () => last,
    isDefined: () => true,
  });
  let lastId = 0;
  let ponged = 0;
  return {
    session,
    told,
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
      };
      const refused = replays.handle(session, m);
      if (refused !== undefined)
        told.push({ type: 'error', id, code: refused.code, message: '', field: null, hint: '' });
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
    const source = new SteeredPlays(50);
    const clock = new ManualClock();
    const { told, ask, pong } = enter(new Playbacks(source, playLimits(1)), clock, last);
    ask('start', { toSeq: last });
    await source.answerAll();
    const first = told.length;
    expect(new FrameEncoder().encode(told).length).toBeWithin(30_000, 70_000);
    await source.answerAll();
    expect(told).toHaveLength(first);
    while (pong()) await source.answerAll();
    expect(told.at(-1)).toEqual({ type: 'ack', id: 1, seq: last, repeated: null, waiting: null });
    expect(told.slice(0, -1)).toEqual(Array.from({ length: last }, (_, i) => tradeAt(i + 1)));
  });

  test('sends messages when they are due by the clock, not earlier; a pause does not count', async () => {
    const source = new SteeredPlays(1_000);
    const clock = new ManualClock();
    const { told, ask, pong, session } = enter(new Playbacks(source, playLimits(1)), clock);
    const places = (): number => told.filter(({ type }) => type === 'trade').length;
    const pass = (ms: number): void => {
      clock.advance(ms * 1e6);
      session.pull(clock.monotonicMs());
      while (pong());
    };
    ask('start', { speed: 10 }); // 10 ms between two messages
    await source.answerAll();
    while (pong());
    expect(places()).toBe(1);
    pass(95);
    expect(places()).toBe(10);
    ask('pause');
    pass(60_000);
    expect(places()).toBe(10);
    ask('continue');
    pass(4);
    expect(places()).toBe(10);
    pass(1);
    expect(places()).toBe(11);
    // After a seek the first message is due at once.
    ask('seek', { fromSeq: 51 });
    await source.answerAll();
    while (pong());
    expect(told.at(-1)).toEqual(tradeAt(51));
    pass(49_000);
    expect(told.at(-1)).toEqual({ type: 'ack', id: 1, seq: LAST, repeated: null, waiting: null });
    expect(session.hasSource).toBe(false);
  });

  test('is refused when the server is full, whatever its range', async () => {
    const source = new SteeredPlays(1);
    const plays = new Playbacks(source, playLimits(1));
    const clock = new ManualClock();
    const [one, two] = [enter(plays, clock), enter(plays, clock)];
    one.ask('start');
    two.ask('start');
    expect(two.told).toMatchObject([{ type: 'error', id: 1, code: 'overloaded' }]);
    expect(two.session.hasSource).toBe(false);
    one.session.gone();
    await source.answerAll();
    two.ask('start');
    expect(two.session.hasSource).toBe(true);
  });

  test('opens only two playbacks for many seeks: the present one and the newest', async () => {
    const source = new SteeredPlays(10);
    const { told, ask, pong } = enter(new Playbacks(source, playLimits(8)), new ManualClock());
    ask('start');
    for (let i = 0; i < 1_000; i++) ask('seek', { fromSeq: 1 + (i % 90) });
    ask('seek', { fromSeq: 95 });
    for (let i = 0; i < 20; i++) {
      await source.answerAll();
      while (pong());
    }
    expect(source.requests.map(({ fromSeq }) => fromSeq)).toEqual([1, 95]);
    const places = told.filter((m) => m.type === 'trade').map(({ seq }) => seq);
    expect(places).toEqual([95, 96, 97, 98, 99, 100]);
    expect(told.filter(({ type }) => type === 'ack')).toHaveLength(1_002);
  });

  test('answers each request once, in ascending seq, and leaves nothing behind, under random requests', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 1e6 }), async (seed) => {
        const prng = new Prng(seed);
        const source = new SteeredPlays(prng.int(1, 40));
        const plays = new Playbacks(source, playLimits(prng.int(1, 2)));
        const clock = new ManualClock();
        const reader = enter(plays, clock);
        const { session, told, ask } = reader;
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
            const answers = told.filter(
              (m) => (m.type === 'ack' || m.type === 'error') && m.id === id,
            );
            expect({ id, answers: answers.length }).toEqual({ id, answers: 1 });
          }
        }
        await source.answerAll();
        expect(plays.counts).toEqual({ open: 0, waiting: 0 });
        expect([source.held.size, session.hasSource]).toEqual([0, false]);
        let next: number | null = null;
        for (const m of told) {
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
