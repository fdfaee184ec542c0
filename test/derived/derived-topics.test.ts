/** Bars and statistics as readers get them, over virtual sockets and a manual clock. */

import { describe, expect, test } from 'bun:test';

import { decodeTextFrame, isFault, SUBPROTOCOL_JSON } from '../../protocol/codec';
import {
  BAR_INTERVALS,
  type Bar,
  type Message,
  type Stats,
  type Trade,
} from '../../protocol/messages';
import { TradeStatistics } from '../../protocol/statistics';
import { Nanos } from '../../protocol/time';
import { topicOf } from '../../protocol/topics';
import { ManualClock } from '../../src/base/clock';
import { Prng } from '../../src/base/prng';
import { Broadcaster } from '../../src/broadcast/broadcaster';
import { Session } from '../../src/broadcast/sessions/session';
import { instrument, trade } from '../support/market-events';
import { naiveBars, naiveTurnover, summary } from './naive-statistics';
import { randomTrades } from './random-trades';
import { LIMITS, socketWith } from '../support/sockets';

const START = Nanos.fromSeconds(1_700_000_040, 0); // a whole minute
const at = (seconds: number, ms = 0): Nanos => START.plus(seconds * 1e9 + ms * 1e6);

/** A broadcaster with one text reader; calls `endBars` when the requested time has come. */
class Virtual {
  readonly clock = new ManualClock(START);
  readonly seen: Message[] = [];
  readonly broadcaster: Broadcaster;
  readonly session: Session;
  wakes = 0;
  private wakeAt: Nanos | null = null;
  private readonly native = new Set<string>();
  private id = 0;

  constructor(define = true) {
    const publish = (topic: string, data: string | Uint8Array): void => {
      if (this.native.has(topic)) this.take(data as string);
    };
    this.broadcaster = new Broadcaster(
      { topicsMax: 100, sessionBoundary: 0 },
      { publish },
      this.clock,
    );
    this.broadcaster.wakeIn = (ms) => (this.wakeAt = this.clock.now().plus(ms * 1e6));
    const socket = socketWith({
      send: (data: string | Uint8Array) => {
        this.take(data as string);
        return 1;
      },
      subscribe: (topic: string) => void this.native.add(topic),
      unsubscribe: (topic: string) => void this.native.delete(topic),
    });
    this.session = new Session('r', SUBPROTOCOL_JSON, socket, this.broadcaster.encoders, LIMITS);
    this.broadcaster.enter(this.session);
    if (define) this.broadcaster.hydrate([{ ...instrument('A'), seq: 1 }], 1);
  }

  subscribe(...topics: string[]): Message[] {
    const from = this.seen.length;
    const fault = this.broadcaster.subscriptions.subscribe(this.session, ++this.id, topics, 0);
    if (fault !== undefined) throw new Error(fault.message);
    return this.seen.slice(from).filter((m) => m.type !== 'instrument' && m.type !== 'ack');
  }

  /** Publishes a batch of trades. @returns what the reader gets */
  batch(...events: Trade[]): Message[] {
    const from = this.seen.length;
    this.broadcaster.accept({ lastSeq: events.at(-1)!.seq, events, executions: [] });
    return this.seen.slice(from);
  }

  /** Advances the clock. @returns what the reader gets */
  moveTo(time: Nanos): Message[] {
    const from = this.seen.length;
    while (this.wakeAt !== null && this.wakeAt.compare(time) <= 0) {
      this.clock.set(this.wakeAt);
      this.wakeAt = null;
      this.wakes += 1;
      this.broadcaster.endBars();
    }
    this.clock.set(time);
    return this.seen.slice(from);
  }

  private take(text: string): void {
    for (const m of decodeTextFrame(text, this.broadcaster.encoders.scalesOf)) {
      if (isFault(m)) throw new Error(m.message);
      this.seen.push(m);
    }
  }
}

function one(seq: number, time: Nanos, price = 100, symbol = 'A'): Trade {
  return trade({ symbol, seq, eventTime: time, receiveTime: time, price, quantity: 5 });
}

describe('bars', () => {
  test('[D7] one message for each batch, with the seq of the newest trade; count is the number of its trades', () => {
    const v = new Virtual();
    expect(v.subscribe('bar:A:1m')).toEqual([]);
    expect(v.batch(one(3, at(1), 100), one(5, at(2), 90), one(7, at(3), 95))).toEqual([
      {
        type: 'bar',
        symbol: 'A',
        seq: 7,
        prevSeq: 0,
        eventTime: at(3),
        receiveTime: at(3),
        interval: '1m',
        openTime: at(0),
        open: 100,
        high: 100,
        low: 90,
        close: 95,
        volume: 15,
        trades: 3,
        final: false,
        count: 3,
      },
    ]);
    expect(v.batch(one(9, at(4)))).toMatchObject([{ seq: 9, prevSeq: 7, trades: 4, count: 1 }]);
  });

  test('[D8] a bar that a trade ends is sent as final before the bar that follows', () => {
    const v = new Virtual();
    v.subscribe('bar:A:1s');
    expect(v.batch(one(3, at(1)), one(5, at(1)), one(7, at(2)))).toMatchObject([
      { seq: 5, prevSeq: 0, final: true, count: 2 },
      { seq: 7, prevSeq: 5, final: false, count: 1 },
    ]);
    expect(v.batch(one(9, at(3)))).toMatchObject([
      { seq: 7, prevSeq: 7, final: true, count: 0 },
      { seq: 9, prevSeq: 7, final: false, count: 1 },
    ]);
  });

  test('[D4] [D8] the clock ends a bar once, and the next trade does not end it again', () => {
    const v = new Virtual();
    v.subscribe('bar:A:1s', 'bar:A:1m');
    v.batch(one(3, at(1)));
    expect(v.moveTo(at(2, 999))).toEqual([]);
    expect(v.moveTo(at(3))).toMatchObject([
      { interval: '1s', seq: 3, prevSeq: 3, final: true, count: 0 },
    ]);
    expect(v.subscribe('bar:A:1s')).toMatchObject([{ seq: 3, prevSeq: 0, final: true, count: 1 }]);
    expect(v.moveTo(at(61))).toMatchObject([{ interval: '1m', final: true }]);
    expect(v.moveTo(at(300))).toEqual([]);
    expect(v.batch(one(5, at(300)))).toMatchObject([
      { interval: '1s', seq: 5, prevSeq: 3, final: false, count: 1 },
      { interval: '1m', seq: 5, prevSeq: 3, final: false, count: 1 },
    ]);
    // Two bars of one second and one end of each other interval: nothing is polled.
    expect(v.wakes).toBeLessThanOrEqual(4);
  });

  test('[D8] when the clock ends one bar, the end of another is not sent again', () => {
    const v = new Virtual();
    v.broadcaster.accept({ lastSeq: 2, events: [{ ...instrument('B'), seq: 2 }], executions: [] });
    v.subscribe('bar:*:1s');
    v.batch(one(3, at(1), 100, 'A'));
    v.batch(one(5, at(2), 100, 'B'));
    expect(v.moveTo(at(9))).toMatchObject([
      { symbol: 'A', final: true },
      { symbol: 'B', final: true },
    ]);
  });

  test('[D4] the clock does not end bars of a recording', () => {
    const v = new Virtual();
    v.subscribe('bar:A:1s');
    v.batch({ ...one(3, at(-1_000_000)), receiveTime: at(0) });
    expect(v.moveTo(at(100_000))).toEqual([]);
    expect(v.wakes).toBe(0);
  });

  test('[S1] [S6] a `*` covers its interval, and instruments defined later', () => {
    const v = new Virtual();
    v.subscribe('bar:*:1m', 'stats:*');
    v.broadcaster.accept({ lastSeq: 2, events: [{ ...instrument('B'), seq: 2 }], executions: [] });
    expect(v.batch(one(3, at(1), 100, 'B')).map(topicOf)).toEqual(['bar:B:1m', 'stats:B']);
    expect(v.broadcaster.subscriptions.unsubscribe(v.session, ['bar:*:5m'])?.code).toBe(
      'not-subscribed',
    );
    expect(v.broadcaster.subscriptions.unsubscribe(v.session, ['bar:*:1m'])).toBeUndefined();
    expect(v.batch(one(5, at(1), 100, 'B')).map(topicOf)).toEqual(['stats:B']);
  });

  test('[T7] heartbeats carry the heads', () => {
    const v = new Virtual();
    v.subscribe('bar:A:1m', 'stats:A', 'tick:A');
    v.broadcaster.accept({ lastSeq: 4, events: [one(3, at(1))], executions: [] });
    v.broadcaster.heartbeats.sendAll();
    expect(v.seen.at(-1)).toMatchObject({
      heads: [
        { topic: 'bar:A:1m', seq: 3 },
        { topic: 'stats:A', seq: 3 },
      ],
    });
  });
});

/** Checks the rule for states on one topic; returns the new last seq. */
function follows(last: number, m: Bar | Stats): number {
  if (m.prevSeq !== last) throw new Error(`${m.prevSeq} does not follow ${last}`);
  return Math.max(last, m.seq);
}

test('[D1] [D7] [D8] [T5] random batches: chains are unbroken, counts add up, bars equal those of the oracle', () => {
  const reached = { revised: 0, past: 0 };
  for (let seed = 1; seed <= 40; seed++) {
    const random = new Prng(seed);
    const v = new Virtual();
    const trades = randomTrades(random, 150, { symbol: 'A' });
    v.clock.set(trades[0]!.receiveTime);
    const topics = [...BAR_INTERVALS.map((i) => `bar:A:${i}`), 'stats:A'];
    v.subscribe(...topics);
    /** Bars that only history can compute, because a late trade changed them: interval and opening time. */
    const past: string[] = [];
    v.broadcaster.onPastBar = (_symbol, interval, openTime) => {
      past.push(`${interval} ${openTime.toString()}`);
    };
    for (let i = 0; i < trades.length;) {
      const some = trades.slice(i, (i += random.int(1, 6)));
      const before = past.length;
      v.moveTo(some[0]!.receiveTime);
      v.batch(...some);
      v.broadcaster.revise(past.slice(before).map((name) => naiveBar(trades.slice(0, i), name)));
    }
    reached.past += past.length;
    for (const topic of topics) {
      const messages = v.seen.filter((m): m is Bar | Stats => topicOf(m) === topic);
      let last = 0;
      for (const m of messages) last = follows(last, m);
      const interval = topic.split(':')[2];
      const unseen = past.filter((name) => name.split(' ')[0] === interval).length;
      expect(messages.reduce((sum, m) => sum + m.count, 0)).toBe(trades.length - unseen);
      if (interval === undefined) expect(messages.at(-1)!.seq).toBe(trades.at(-1)!.seq);
    }
    for (const interval of BAR_INTERVALS) {
      const bars = v.seen.filter((m): m is Bar => m.type === 'bar' && m.interval === interval);
      const oracle = naiveBars(trades, interval);
      for (const [at, { openTime, trades: own }] of oracle.entries()) {
        const published = bars.filter((bar) => bar.openTime.toBigInt() === openTime);
        const { seq: _, ...fields } = summary(own);
        expect(published.at(-1)).toMatchObject(fields);
        // All but the newest bar are over, and were sent as final before the next one began.
        if (at < oracle.length - 1) expect(published.at(-1)!.final).toBe(true);
        reached.revised += Math.max(0, published.filter(({ final }) => final).length - 1);
        const unseen = past.filter((name) => name === `${interval} ${openTime}`).length;
        expect(published.reduce((sum, bar) => sum + bar.count, 0)).toBe(own.length - unseen);
      }
    }
  }
  expect(reached.revised).toBeGreaterThan(100);
  expect(reached.past).toBeGreaterThan(100);
});

/** A bar as history has it. @param name interval and opening time */
function naiveBar(trades: readonly Trade[], name: string): Bar {
  const [interval, openTime] = name.split(' ') as [(typeof BAR_INTERVALS)[number], string];
  const bar = naiveBars(trades, interval).find((b) => b.openTime.toString() === openTime)!;
  const newest = bar.trades.reduce((a, b) => (b.seq > a.seq ? b : a));
  const { eventTime, receiveTime } = newest;
  const head = { type: 'bar', symbol: 'A', prevSeq: 0, eventTime, receiveTime } as const;
  return {
    ...head,
    interval,
    openTime: Nanos.parse(openTime)!,
    ...summary(bar.trades),
    final: true,
    count: 1,
  };
}

test('[S4] [S5] late readers and readers after a restart get the state of an uninterrupted run', () => {
  for (let seed = 1; seed <= 10; seed++) {
    const random = new Prng(seed);
    const trades = randomTrades(random, 80, { symbol: 'A' });
    const topics = [...BAR_INTERVALS.map((i) => `bar:A:${i}`), 'stats:A'];
    const v = new Virtual();
    const own = new TradeStatistics(0);
    v.clock.set(trades[0]!.receiveTime);
    for (const t of trades.slice(0, 60)) {
      v.moveTo(t.receiveTime);
      v.batch(t); // this one has no reader
      own.add(t);
    }
    const restarted = new Virtual(false);
    restarted.clock.set(v.clock.now());
    const definition = { ...instrument('A'), seq: 1 };
    const lastSeq = trades[59]!.seq;
    restarted.broadcaster.hydrate([definition, trades[59]!], lastSeq, { A: own.state() });
    const state = v.subscribe(...topics);
    expect(state).toHaveLength(6);
    expect(restarted.subscribe(...topics)).toEqual(state);
    for (const m of state) expect(m).toMatchObject({ prevSeq: 0, count: 1 });
    expect(state.at(-1)).toMatchObject({ type: 'stats', seq: lastSeq });
    const after = trades.slice(60);
    const live = after.flatMap((t) => v.moveTo(t.receiveTime).concat(v.batch(t)));
    const again = after.flatMap((t) => restarted.moveTo(t.receiveTime).concat(restarted.batch(t)));
    expect(again).toEqual(live);
    for (const m of state as (Bar | Stats)[]) {
      const next = live.find((l) => topicOf(l) === topicOf(m)) as Bar | Stats | undefined;
      if (next !== undefined) expect(next.prevSeq).toBe(m.seq);
    }
    const stats = live.findLast((m): m is Stats => m.type === 'stats')!;
    expect(stats.turnover).toBe(naiveTurnover(trades.slice(-stats.trades), 2, 3).turnover);
  }
});
