/** Idle replays block nobody: paused, unread or early, they release their slot. Waits for a slot are bounded. */

import { describe, expect, setDefaultTimeout, test } from 'bun:test';

import { decodeFrame, FrameEncoder, isFault, SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import type { Message } from '../../protocol/messages';
import { ByteAccount } from '../../src/base/byte-account';
import { ManualClock } from '../../src/base/clock';
import { Playbacks, type QueuedEvents } from '../../src/broadcast/playback/playbacks';
import { Numberings } from '../../src/broadcast/numbering';
import { ReplayRequests } from '../../src/broadcast/replay/replay-requests';
import type { ReplayMessage } from '../../src/broadcast/replay/replay';
import { Session } from '../../src/broadcast/sessions/session';
import { SentCounter } from '../../src/broadcast/topics/counters';
import { SharedFrames } from '../../src/broadcast/sessions/encoders';
import { SYMBOL } from '../support/market-events';
import { LIMITS, socketWith } from '../support/sockets';
import { playbackLimits, SteeredPlaybacks } from './steered-playbacks';

setDefaultTimeout(60_000);

const TOPICS = [`trade:${SYMBOL}`];
const IDLE_MS = 1_000;
const WAIT_MS = 5_000;
const limits = { ...playbackLimits(1), playbackIdleMs: IDLE_MS, playbackWaitMs: WAIT_MS };

class World {
  readonly clock = new ManualClock();
  readonly source = new SteeredPlaybacks(10);
  readonly playbacks: Playbacks;
  private readonly pongs: (() => boolean)[] = [];
  /** The callbacks that the timers of replays would call. */
  private readonly pulls: (() => void)[] = [];
  private readonly account = new ByteAccount({
    clientBytesMax: Infinity,
    clientBytesPerClientMax: Infinity,
  });

  constructor(own = limits) {
    this.playbacks = new Playbacks(this.source, own);
  }

  enter(last: number, client = '') {
    const { clock, playbacks } = this;
    const received: Message[] = [];
    let pings = 0;
    let ponged = 0;
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
    const session = new Session(
      's',
      SUBPROTOCOL_MSGPACK,
      socket,
      encoders,
      LIMITS,
      this.account.open(client),
    );
    const timers = { later: () => () => {} };
    const numberings = new Numberings();
    numberings.at(0).lastSeq = last;
    const replays = new ReplayRequests({
      playbacks,
      clock,
      numberings,
      numberingOf: () => numberings.at(0),
      ...timers,
    });
    const pong = (): boolean => {
      if (ponged === pings) return false;
      ponged = pings;
      session.pong(clock.monotonicMs(), pings);
      return true;
    };
    let reads = true;
    this.pongs.push(() => reads && pong());
    this.pulls.push(() => session.pull(clock.monotonicMs()));
    let lastId = 0;
    const ask = (action: ReplayMessage['action'], more: Partial<ReplayMessage> = {}): void => {
      const id = ++lastId;
      const m: ReplayMessage = {
        type: 'replay',
        id,
        action,
        topics: action === 'start' ? TOPICS : [],
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
    };
    return {
      received,
      ask,
      read: (does: boolean) => void (reads = does),
      seqs: () => received.flatMap((m) => (m.type === 'trade' ? m.seq : [])),
      pull: () => session.pull(clock.monotonicMs()),
    };
  }

  async settle(): Promise<void> {
    for (let isMoving = true; isMoving;) {
      isMoving = this.source.asked.length > 0;
      await this.source.answerAll();
      for (const pong of this.pongs) while (pong()) isMoving = true;
    }
  }

  /** Advances the time, and lets the server look at its sessions. */
  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 100) {
      this.clock.advance(100e6);
      this.playbacks.look(this.clock.monotonicMs());
      for (const pull of this.pulls) pull();
      await this.settle();
    }
  }
}

const upTo = (last: number): number[] => Array.from({ length: last }, (_, i) => i + 1);

describe('[R6] a replay releases its slot', () => {
  test('when it is paused for long; another gets the slot, and later it continues where it was', async () => {
    const world = new World();
    const last = 6_000;
    const [one, two] = [world.enter(last), world.enter(last)];
    one.ask('start', { toSeq: last });
    await world.source.answerAll();
    one.ask('pause');
    await world.settle();
    const before = one.seqs().length;
    expect(before).toBeWithin(1, last - 1);
    await world.pass(IDLE_MS - 100);
    two.ask('start', { toSeq: 50 });
    expect(two.received).toMatchObject([{ code: 'overloaded' }]); // it is not idle yet
    await world.pass(400);
    expect(world.playbacks.counts.open).toBe(0);
    expect(world.source.held.size).toBe(0); // and the thread holds nothing for it
    two.ask('start', { toSeq: 50 });
    await world.settle();
    expect(two.seqs()).toEqual(upTo(50));
    expect(one.seqs()).toHaveLength(before);
    one.ask('continue');
    await world.settle();
    await world.pass(300);
    expect(one.seqs()).toEqual(upTo(last));
    expect(one.received.at(-1)).toMatchObject({ type: 'ack', id: 1, seq: last, shards: null });
  });

  test('when its reader reads nothing for long; it continues without loss when the reader does', async () => {
    const world = new World();
    const last = 6_000;
    const one = world.enter(last);
    one.read(false);
    one.ask('start', { toSeq: last });
    await world.settle();
    const before = one.seqs().length;
    expect(before).toBeWithin(1, last - 1);
    await world.pass(IDLE_MS + 300);
    expect([world.playbacks.counts.open, world.source.held.size]).toEqual([0, 0]);
    one.read(true);
    await world.settle();
    expect(one.seqs()).toEqual(upTo(last));
    expect(one.received.at(-1)).toMatchObject({ type: 'ack', id: 1, seq: last, shards: null });
  });

  test('when the next message is due much later; the message is sent when due', async () => {
    const world = new World();
    const one = world.enter(6);
    one.ask('start', { toSeq: 6, speed: 1 }); // a tenth of a second between two messages
    await world.settle();
    const slow = world.enter(3);
    await world.pass(700);
    one.pull();
    await world.settle();
    expect(one.received.at(-1)).toMatchObject({ type: 'ack', id: 1, seq: 6, shards: null });
    // A market at night: so slow that each wait is longer than an idle replay keeps its slot.
    const source = world.source as unknown as { read(playback: number): { atMs: number[] } };
    const read = source.read.bind(world.source);
    source.read = (playback) => {
      const chunk = read(playback);
      return { ...chunk, atMs: chunk.atMs.map((at) => at * 20) };
    };
    slow.ask('start', { toSeq: 3, speed: 1 });
    await world.settle();
    expect(slow.seqs()).toEqual([1]);
    expect(world.playbacks.counts.open).toBe(0);
    await world.pass(1_900);
    slow.pull();
    await world.settle();
    expect(slow.seqs()).toEqual([1]);
    await world.pass(200);
    slow.pull();
    await world.settle();
    expect(slow.seqs()).toEqual([1, 2]);
  });

  test('but not in the middle of a group of messages of one event, which would be repeated; there it ends if idle for long', async () => {
    const world = new World();
    const source = world.source as unknown as { read(playback: number): { borders: number[] } };
    const read = source.read.bind(world.source);
    source.read = (playback) => {
      const chunk = read(playback);
      return { ...chunk, borders: chunk.borders.map((seq) => (seq % 2 === 0 ? seq : 0)) };
    };
    const one = world.enter(6);
    one.ask('start', { toSeq: 6, speed: 1 }); // a tenth of a second between two messages
    await world.settle();
    await world.pass(200);
    expect(one.seqs()).toEqual([1, 2, 3]);
    one.ask('pause');
    await world.pass(IDLE_MS + 500);
    expect(world.playbacks.counts.open).toBe(1);
    one.ask('continue');
    await world.pass(200);
    expect(one.seqs()).toEqual([1, 2, 3, 4, 5]);
    one.ask('pause');
    await world.pass(WAIT_MS + 500);
    expect(world.playbacks.counts.open).toBe(0);
    expect(one.received.at(-1)).toMatchObject({ type: 'error', id: 1, code: 'overloaded' });
    expect((one.received.at(-1) as { message: string }).message).toContain('up to 5');
  });

  test('and ends with an error code if it gets no slot again for long', async () => {
    const world = new World();
    const last = 6_000;
    const [one, two] = [world.enter(last), world.enter(last)];
    one.ask('start', { toSeq: last });
    await world.source.answerAll();
    one.ask('pause');
    await world.pass(IDLE_MS + 300);
    two.ask('start', { toSeq: last, speed: 1 });
    await world.settle();
    one.ask('continue');
    const replayed = one.seqs().at(-1);
    await world.pass(WAIT_MS - 500);
    expect(one.received.at(-1)).toMatchObject({ type: 'ack', id: 3, shards: null });
    await world.pass(1_000);
    one.pull();
    expect(one.received.at(-1)).toMatchObject({ type: 'error', id: 1, code: 'overloaded' });
    expect((one.received.at(-1) as { message: string }).message).toContain(`up to ${replayed}`);
  });

  test('to a client with at least two fewer, and continues without loss or repetition', async () => {
    const world = new World({ ...limits, playbacksMax: 2, playbacksPerClientMax: 2 });
    const last = 6_000;
    const two = [world.enter(last, 'many'), world.enter(last, 'many')];
    for (const one of two) {
      one.read(false); // its reader is slow, but never idle for so long that the slot is taken
      one.ask('start', { toSeq: last });
    }
    await world.settle();
    const [first, again] = [world.enter(last, 'one'), world.enter(last, 'one')];
    first.ask('start', { toSeq: 50, speed: 1 });
    await world.settle();
    expect(world.playbacks.counts.open).toBe(2);
    // With one of the two slots it has its share.
    again.ask('start', { toSeq: 50 });
    expect(again.received).toMatchObject([{ code: 'overloaded' }]);
    await world.pass(5_500);
    expect(first.seqs()).toEqual(upTo(50));
    for (const one of two) one.read(true);
    await world.settle();
    await world.pass(300);
    for (const one of two) {
      expect(one.seqs()).toEqual(upTo(last));
      expect(one.received.at(-1)).toMatchObject({ type: 'ack', id: 1, seq: last, shards: null });
    }
  });

  test('when a seek arrives while it has no slot, it continues at the new position', async () => {
    const world = new World();
    const one = world.enter(6_000);
    one.ask('start', { toSeq: 6_000 });
    await world.source.answerAll();
    one.ask('pause');
    await world.pass(IDLE_MS + 300);
    one.ask('seek', { fromSeq: 5_990 });
    one.ask('continue');
    const before = one.seqs().length;
    await world.settle();
    expect(one.seqs().slice(before)).toEqual(upTo(6_000).slice(5_989));
  });
});

test('[R10] a resume that cannot begin for long is refused; one that has begun is not', async () => {
  const source = new SteeredPlaybacks(10);
  const playbacks = new Playbacks(source, limits);
  const events = (received: string[], isFirst: boolean): QueuedEvents => ({
    ready: () => {},
    failed: () => {},
    waits: () => {},
    idle: () => {},
    ...(isFirst && { expired: ({ code }) => void received.push(code) }),
  });
  const request = {
    topics: TOPICS,
    isText: false,
    fromSeq: 1,
    toSeq: 100,
    from: null,
    to: null,
    hasOpening: false,
    shard: null,
    speed: 0,
  };
  const [a, b, c]: string[][] = [[], [], []];
  playbacks.look(0);
  playbacks.openQueued('me', request, events(a!, true));
  playbacks.openQueued('me', request, events(b!, true));
  playbacks.openQueued('me', request, events(c!, false));
  playbacks.look(WAIT_MS - 1);
  expect([a, b, c]).toEqual([[], [], []]);
  playbacks.look(WAIT_MS);
  expect([a, b, c]).toEqual([[], ['overloaded'], []]);
  playbacks.look(10 * WAIT_MS);
  expect([a, b, c]).toEqual([[], ['overloaded'], []]);
  await source.answerAll();
});
