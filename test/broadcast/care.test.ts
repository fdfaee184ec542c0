/**
 * What idle sessions cost, over virtual sockets: looks, heads and frames are counted. A look at a session asks its
 * socket how much data it holds back, so the calls of that function are counted as looks.
 */

import { describe, expect, test } from 'bun:test';

import { SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import { ManualClock } from '../../src/base/clock';
import { Broadcaster } from '../../src/broadcast/broadcaster';
import type { Mirror } from '../../src/broadcast/topics/mirror';
import { Session } from '../../src/broadcast/sessions/session';
import { pongNumber } from '../../src/broadcast/sessions/connection';
import { instrument, trade } from '../support/market-events';
import { LIMITS, socketWith } from '../support/sockets';

const STEP_MS = 20;
/** Sessions whose heartbeats fall into the same step of this length are served together. */
const HEARTBEAT_STEP_MS = 50;
const HEARTBEAT_MS = 5_000;
/** Topics that one trade changes: its own, the statistics and the bars. */
const MOVED = 7;
const SYMBOLS = Array.from({ length: 50 }, (_, i) => `S${i}`);

/** Many sessions on ten topics each, which connected at the same time and answer each ping at once, or never. */
class Floor {
  readonly clock = new ManualClock();
  readonly broadcaster: Broadcaster;
  readonly sessions: Session[] = [];
  looks = 0;
  /** The distinct objects that the sockets were given. */
  readonly handed = {
    frames: new Set<unknown>(),
    corks: new Set<unknown>(),
    payloads: new Set<unknown>(),
  };
  /** How much data each socket holds back; and how long a send takes. */
  held = 0;
  sendNanos = 0;
  frames = 0;
  pings = 0;
  /** The longest time between two pings of one session. */
  longestGapMs = 0;
  seq = SYMBOLS.length;
  private readonly pongs: (() => void)[] = [];
  private readonly heads = new Map<string, number>();

  constructor(
    count: number,
    isAnswering = true,
    topics = 10,
    limits = LIMITS,
    heartbeatMs = HEARTBEAT_MS,
  ) {
    const options = { topicsMax: 10_000, sessionBoundary: 0, heartbeatMs };
    this.broadcaster = new Broadcaster(options, { publish: () => 1 }, this.clock);
    const { encoders, subscriptions } = this.broadcaster;
    this.broadcaster.hydrate(
      SYMBOLS.map((symbol, i) => instrument(symbol, { seq: i + 1 })),
      this.seq,
    );
    for (let i = 0; i < count; i++) {
      let pingedMs = 0;
      const socket = socketWith({
        send: (frame) => {
          this.handed.frames.add(frame);
          this.clock.advance(this.sendNanos);
          return (this.frames += 1);
        },
        cork: (send) => {
          this.handed.corks.add(send);
          send();
        },
        getBufferedAmount: () => ((this.looks += 1), this.held),
        ping: (payload) => {
          this.pings += 1;
          const atMs = this.clock.monotonicMs();
          this.longestGapMs = Math.max(this.longestGapMs, atMs - pingedMs);
          pingedMs = atMs;
          this.handed.payloads.add(payload);
          const number = pongNumber(payload);
          if (isAnswering) this.pongs.push(() => session.pong(this.clock.monotonicMs(), number));
        },
      });
      const form = i % 2 === 0 ? SUBPROTOCOL_MSGPACK : SUBPROTOCOL_JSON;
      const session = new Session(`s${i}`, form, socket, encoders, limits);
      this.sessions.push(session);
      this.broadcaster.enter(session);
      const names = Array.from({ length: topics }, (_, j) => `trade:${SYMBOLS[(i + 7 * j) % 50]!}`);
      subscriptions.subscribe(session, 1, names, 0);
    }
  }

  trade(symbol: string): void {
    const prevSeq = this.heads.get(symbol) ?? 0;
    this.heads.set(symbol, ++this.seq);
    this.broadcaster.accept({
      lastSeq: this.seq,
      events: [trade({ symbol, seq: this.seq, prevSeq })],
      executions: [],
    });
  }

  /** One step of the server timers, and all turns that follow from it. */
  async step(ms = STEP_MS): Promise<void> {
    this.clock.advance(ms * 1e6);
    this.broadcaster.look();
    this.broadcaster.beat();
    for (let turns = this.sessions.length / 200 + 1; turns > 0; turns--) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    for (const pong of this.pongs.splice(0)) pong();
  }

  /** Counts over a number of milliseconds. */
  async during(ms: number, each: (floor: this) => void = () => {}): Promise<void> {
    for (let at = 0; at < ms; at += STEP_MS) {
      await this.step();
      each(this);
    }
  }
}

/** By how much a count grew since the previous call. */
function growth(count: () => number): () => number {
  let before = count();
  return () => {
    const now = count();
    const by = now - before;
    before = now;
    return by;
  };
}

describe('idle sessions', () => {
  test('are not looked at while their pongs arrive in time', async () => {
    const floor = new Floor(2_000);
    await floor.during(2 * LIMITS.pingMs);
    floor.looks = 0;
    floor.pings = 0;
    await floor.during(LIMITS.pingMs);
    expect(floor.pings).toBe(2_000);
    expect(floor.looks).toBe(0);
  });

  test('are looked at once when a pong is late', async () => {
    const floor = new Floor(500, false);
    await floor.during(HEARTBEAT_MS); // each has been sent its first ping, and none answers it
    floor.looks = 0;
    await floor.during(LIMITS.lagMs + 2 * STEP_MS);
    expect(floor.sessions.filter(({ isLagging }) => isLagging)).toHaveLength(500);
    expect(floor.looks).toBeGreaterThan(0);
  });

  test('are looked at after a pong while their sockets hold data back', async () => {
    const floor = new Floor(10);
    floor.held = 1_000;
    await floor.step();
    const heldOf = (): number =>
      floor.sessions.filter(({ meter }) => meter.of('sockets') > 0).length;
    expect(heldOf()).toBe(10);
    floor.held = 0;
    await floor.during(2 * HEARTBEAT_MS);
    expect(heldOf()).toBe(0);
  });

  test('share their heartbeat: one function, one payload, and one frame for each step and form', async () => {
    const floor = new Floor(2_000);
    await floor.during(2 * LIMITS.pingMs);
    for (const set of Object.values(floor.handed)) set.clear();
    await floor.during(LIMITS.pingMs);
    expect(floor.handed.corks.size).toBe(1);
    expect(floor.handed.payloads.size).toBe(1);
    expect(floor.handed.frames.size).toBeLessThanOrEqual((2 * LIMITS.pingMs) / STEP_MS);
  });

  test.each([1_000, 4_900, 5_000, 7_400, 14_900, 25_000])(
    '[W19] are sent a ping every %d ms at the latest, with a heartbeat if one is due earlier',
    async (pingMs) => {
      const floor = new Floor(20, true, 1, { ...LIMITS, pingMs });
      await floor.during(pingMs + HEARTBEAT_MS);
      floor.longestGapMs = 0;
      await floor.during(8 * pingMs);
      expect(floor.longestGapMs).toBeWithin(1, pingMs + STEP_MS + 1);
      expect(floor.handed.corks.size).toBe(1);
    },
  );

  test('are sent heartbeats in bounded turns, however many are due and however long a send takes', async () => {
    const floor = new Floor(2_000, true, 1, LIMITS, 100);
    const { turns } = floor.clock;
    await floor.during(200);
    const taken: number[] = [];
    turns.aboveMs = 0;
    turns.onTurn = (kind, ms) => {
      if (kind === 'heartbeat') taken.push(ms);
    };
    floor.sendNanos = 250_000;
    floor.frames = 0;
    floor.clock.advance(50e6);
    turns.run('heartbeat', () => floor.broadcaster.beat());
    while (floor.frames < 1_000) await new Promise((resolve) => setImmediate(resolve));
    expect(taken.length).toBeGreaterThan(1_000 / 32);
    expect(Math.max(...taken)).toBeLessThanOrEqual(16 * 0.25); // of the time that the sends take
  });

  test('[T7] get each head once an interval in a shared frame; only heads of topics that moved are checked', async () => {
    const floor = new Floor(2_000, true, SYMBOLS.length);
    const { work } = floor.broadcaster.heartbeats;
    await floor.during(HEARTBEAT_MS);
    floor.frames = 0;
    work.sessions = 0;
    work.frames = 0;
    work.topics = 0;
    await floor.during(HEARTBEAT_MS);
    expect(work.sessions).toBe(2_000);
    expect(floor.frames).toBe(2_000);
    expect(work.topics).toBe(0);
    expect(work.frames).toBeLessThanOrEqual((2 * HEARTBEAT_MS) / STEP_MS); // one for each step and form
    floor.trade('S3');
    await floor.during(HEARTBEAT_MS);
    expect(work.topics).toBe(2_000 * MOVED); // and not each of the 50 topics of a session
  });

  test('that connected at the same time get heartbeats and pings at different times', async () => {
    const floor = new Floor(2_000);
    await floor.during(LIMITS.pingMs);
    let most = { frames: 0, pings: 0 };
    const frames = growth(() => floor.frames);
    const pings = growth(() => floor.pings);
    await floor.during(LIMITS.pingMs, () => {
      most = { frames: Math.max(most.frames, frames()), pings: Math.max(most.pings, pings()) };
    });
    expect(most.frames).toBeLessThan((1.5 * 2_000 * HEARTBEAT_STEP_MS) / HEARTBEAT_MS);
    expect(most.pings).toBeLessThan((3 * 2_000 * HEARTBEAT_STEP_MS) / LIMITS.pingMs);
  });

  test('also get at different times the pings that follow a message', async () => {
    const floor = new Floor(1_000, true, 50); // all of them on the same topic
    const pings = growth(() => floor.pings);
    let most = 0;
    let sum = 0;
    await floor.during(8_000, () => {
      for (let i = 0; i < 10; i++) floor.trade(SYMBOLS[i]!);
      const now = pings();
      sum += now;
      most = Math.max(most, now);
    });
    expect(sum).toBeGreaterThan(3_000);
    expect(most).toBeLessThan(500);
  });

  test('[W19] are closed when a ping stays unanswered for too long, however little they were sent', async () => {
    const floor = new Floor(100, false);
    const ended: string[] = [];
    floor.broadcaster.ended = ({ name }, reason) => void ended.push(`${name} ${reason}`);
    await floor.during(LIMITS.pongMs / 2);
    expect(ended).toEqual([]);
    floor.looks = 0;
    await floor.during(LIMITS.pingMs + LIMITS.pongMs / 2 + 100);
    expect(ended.toSorted()).toEqual(
      Array.from({ length: 100 }, (_, i) => `s${i} unresponsive`).toSorted(),
    );
    expect(floor.broadcaster.sessions.size).toBe(0);
    expect(floor.looks).toBeLessThan((10 * 100 * LIMITS.pongMs) / 1_000); // some looks a second
  });
});

test('bytes of one busy topic are credited to its readers, and pings follow them', async () => {
  const floor = new Floor(50, true, 1);
  await floor.step();
  floor.pings = 0;
  const before = floor.sessions.map(({ state }) => state.sentBytes);
  for (let i = 0; i < 5_000; i++) floor.trade('S1');
  await floor.step();
  const reader = floor.sessions[1]!;
  expect(reader.state.sentBytes - before[1]!).toBeGreaterThan(100_000);
  expect(floor.pings).toBe(1); // for that topic alone
});

/** A reader of a busy topic on a connection with a variable delay and unlimited bandwidth. */
async function behindDelay(): Promise<{
  laggedMs: number;
  isExpress: boolean;
  rttMs: number | null;
}> {
  const clock = new ManualClock();
  const broadcaster = new Broadcaster(
    { topicsMax: 10, sessionBoundary: 0 },
    { publish: () => 1 },
    clock,
  );
  broadcaster.hydrate([instrument('S', { seq: 1 })], 1);
  const line = { delayMs: 5, pongs: [] as { readonly atMs: number; readonly number: number }[] };
  const socket = socketWith({
    ping: (payload) => {
      line.pongs.push({ atMs: clock.monotonicMs() + line.delayMs, number: pongNumber(payload) });
    },
  });
  const session = new Session('s', SUBPROTOCOL_MSGPACK, socket, broadcaster.encoders, LIMITS);
  broadcaster.enter(session);
  broadcaster.subscriptions.subscribe(session, 1, ['trade:S'], 0);
  let seq = 1;
  let laggedMs = 0;
  for (let atMs = 0; atMs < 60_000; atMs += 5) {
    if (atMs === 5_000) line.delayMs = 300; // from here on the network is slower
    const events = Array.from({ length: 10 }, () => {
      seq += 1;
      return trade({ symbol: 'S', seq, prevSeq: seq === 2 ? 0 : seq - 1 });
    });
    broadcaster.accept({ lastSeq: seq, events, executions: [] });
    clock.advance(5e6);
    while (line.pongs[0] !== undefined && line.pongs[0].atMs <= clock.monotonicMs()) {
      session.pong(clock.monotonicMs(), line.pongs.shift()!.number);
    }
    if (atMs % STEP_MS === 0) broadcaster.look();
    if (session.isLagging) laggedMs += 5;
    if (atMs % 1_000 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  return { laggedMs, isExpress: session.isNative, rttMs: session.state.rttMs };
}

test('a reader whose network became slower counts as slow for seconds, not for ever', async () => {
  const { laggedMs, isExpress, rttMs } = await behindDelay();
  expect(isExpress).toBe(true);
  expect(rttMs).toBeWithin(300, 320);
  expect(laggedMs).toBeWithin(100, 20_000);
});

test('a session on very many topics leaves them over several turns, and is sent nothing meanwhile', async () => {
  const clock = new ManualClock();
  const broadcaster = new Broadcaster(
    { topicsMax: 100_000, sessionBoundary: 0 },
    { publish: () => 1 },
    clock,
  );
  const symbols = Array.from({ length: 10_000 }, (_, i) => `S${i}`);
  broadcaster.hydrate(
    symbols.map((symbol, i) => instrument(symbol, { seq: i + 1 })),
    10_000,
  );
  const frames: unknown[] = [];
  const socket = socketWith({ send: (data) => frames.push(data) });
  const limits = { ...LIMITS, controlMessagesMax: 100_000 };
  const session = new Session('s', SUBPROTOCOL_MSGPACK, socket, broadcaster.encoders, limits);
  broadcaster.enter(session);
  broadcaster.subscriptions.subscribe(session, 1, ['trade:*'], 0);
  while (!session.isNative) {
    session.pong(0);
    await new Promise((resolve) => setImmediate(resolve)); // a long answer is made over several turns
    broadcaster.look();
  }
  const { mirror } = broadcaster as unknown as { mirror: Mirror };
  const read = (): number =>
    [...mirror.all()].filter(({ topics }) => topics.trade.hasReaders).length;
  expect(read()).toBe(10_000);
  broadcaster.leave(session);
  expect(read()).toBe(8_000);
  const sent = frames.length;
  const last = trade({ symbol: 'S9999', seq: 10_001, prevSeq: 0 });
  broadcaster.accept({ lastSeq: 10_001, events: [last], executions: [] });
  while (read() > 0) await new Promise((resolve) => setImmediate(resolve));
  broadcaster.look();
  broadcaster.heartbeats.sendAll();
  expect(frames).toHaveLength(sent);
});
