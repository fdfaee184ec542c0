/**
 * Bar reader: a reader that knows only the rules for bars and statistics and the position from which it may resume.
 * It reads when the test lets it, can be cut off at any message of an answer, and reconnects.
 */

import { decodeFrame, isFault, SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import type { Bar, Message, Stats } from '../../protocol/messages';
import { topicOf } from '../../protocol/topics';
import type { Fault } from '../../protocol/codes';
import { Session } from '../../src/broadcast/sessions/session';
import { pongNumber } from '../../src/broadcast/sessions/connection';
import { LIMITS, socketWith } from '../support/sockets';
import { secondsOf, SYMBOLS, type BarWorld } from './bar-world';

/** What the reader holds of a topic. */
class Held {
  last = 0;
  /** Everything up to this position was received or declared missing. */
  position = 0;
  /** Every bar that changed after this position was received; null: the reader holds nothing. */
  since: number | null = null;
  readonly bars = new Map<number, Bar>();
  /** Opening times of bars that a gap or a reset may cover. */
  readonly excused = new Set<number>();
  stats: Stats | null = null;
  /** The first seq that a crash lost, until the answer is complete. */
  lostFrom = Infinity;
}

export interface Tally {
  resumes: number;
  gaps: number;
  resets: number;
  bars: number;
}

export class RuleReader {
  readonly topics: readonly string[];
  readonly held = new Map<string, Held>();
  isConnected = false;
  readonly tally: Tally;
  private readonly world: BarWorld;
  private readonly intervalMs: number;
  private readonly outboxBytesMax: number;
  private session: Session | null = null;
  private epoch = 0;
  private inbox: Message[][] = [];
  private requestIs: 'subscribe' | 'resume' | 'again' | null = null;
  private isReset = new Set<string>();
  /** The number of the newest ping; 0: all pings are answered. */
  private newestPing = 0;
  private readonly names: readonly string[];

  constructor(
    world: BarWorld,
    topics: readonly string[],
    intervalMs: number,
    outboxBytesMax: number,
    tally: Tally,
  ) {
    this.world = world;
    this.topics = topics;
    this.intervalMs = intervalMs;
    this.outboxBytesMax = outboxBytesMax;
    this.tally = tally;
    this.names = topics.flatMap((t) =>
      t.includes('*') ? SYMBOLS.map((s) => t.replace('*', s)) : t,
    );
  }

  /** Connects, and subscribes or resumes what it holds. */
  connect(): void {
    const { world } = this;
    const { encoders, subscriptions } = world.broadcaster;
    const take = (data: string | Uint8Array): void => {
      if (!this.isConnected || this.session !== session) return;
      const messages = decodeFrame(data as Uint8Array);
      for (const m of messages) if (isFault(m)) throw new Error(m.message);
      // An answer may be split into frames.
      const all = messages as Message[];
      if (all.some(({ type }) => type === 'ack')) this.inbox.push(...all.map((m) => [m]));
      else this.inbox.push(all);
    };
    const socket = socketWith({
      send: (data) => (take(data), 1),
      ping: (payload) => (this.newestPing = pongNumber(payload)),
      subscribe: (topic) => world.subscribe(topic, take),
      unsubscribe: (topic) => world.unsubscribe(topic, take),
    });
    const limits = { ...LIMITS, outboxBytesMax: this.outboxBytesMax, pongMs: 1e9, controlMs: 1e9 };
    const session = new Session('r', SUBPROTOCOL_MSGPACK, socket, encoders, limits);
    this.session = session;
    this.isConnected = true;
    this.inbox = [];
    this.newestPing = 0;
    this.isReset.clear();
    world.broadcaster.enter(session);
    const done = (refused?: Fault): void => {
      if (refused !== undefined) throw new Error(refused.message);
    };
    if (this.held.size === 0) {
      this.requestIs = 'subscribe';
      done(subscriptions.subscribe(session, 1, this.topics, this.intervalMs));
      return;
    }
    this.requestIs = 'resume';
    this.tally.resumes += 1;
    const seq = Math.min(...this.names.map((name) => this.held.get(name)!.position));
    subscriptions.resume(
      session,
      {
        type: 'resume',
        id: 1,
        epoch: this.epoch,
        seq,
        topics: [...this.topics],
        newest: null,
        positions: null,
      },
      done,
    );
  }

  /** Subscribes again to what it holds, at another interval. */
  subscribeAgain(intervalMs: number): void {
    if (this.session === null || this.requestIs !== null) return;
    this.requestIs = 'again';
    const { subscriptions } = this.world.broadcaster;
    const refused = subscriptions.subscribe(this.session, 2, this.topics, intervalMs);
    if (refused !== undefined) throw new Error(refused.message);
  }

  /** The connection is cut: what was not read is lost. */
  cut(): void {
    if (this.session === null) return;
    this.world.broadcaster.leave(this.session);
    this.session = null;
    this.isConnected = false;
    this.inbox = [];
    // A topic that was received only in part does not count as held.
    if (this.requestIs === 'subscribe' || this.isReset.size > 0) this.held.clear();
    this.requestIs = null;
  }

  get waits(): boolean {
    return this.inbox.length > 0 || this.requestIs !== null;
  }

  read(frames: number): void {
    for (const frame of this.inbox.splice(0, frames)) for (const m of frame) this.take(m);
  }

  pong(): boolean {
    if (this.session === null || this.newestPing === 0 || this.inbox.length > 0) return false;
    const number = this.newestPing;
    this.newestPing = 0;
    this.session.pong(this.world.clock.monotonicMs(), number); // the pong also answers all earlier pings
    return true;
  }

  /** The reader has the newest state of every bar and its end, except where a gap or reset was declared. */
  check(): void {
    for (const [name, held] of this.held) {
      const [channel, symbol, interval] = name.split(':');
      const trades = this.world.trades(symbol!);
      if (channel === 'stats' && trades.length > 0) {
        must(held.stats?.seq === trades.at(-1)!.seq && held.stats.trades === trades.length, [
          'stats',
          name,
          held.stats,
          trades.length,
        ]);
      }
      if (channel !== 'bar') continue;
      const bars = this.world.bars(symbol!, secondsOf(interval!));
      const newest = Math.max(...bars.keys());
      for (const [open, bar] of bars) {
        const own = held.bars.get(open);
        const isChanged = trades.some(
          (t) =>
            t.seq > held.since! &&
            Math.floor(t.eventTime.seconds / secondsOf(interval!)) * secondsOf(interval!) === open,
        );
        if (own === undefined) {
          must(!isChanged || held.excused.has(open), [
            'a bar is missing',
            name,
            open,
            bar,
            held.since,
          ]);
          continue;
        }
        if (held.excused.has(open)) continue;
        const { open: o, high, low, close, volume, trades: count } = own;
        const isSame = Bun.deepEquals({ open: o, high, low, close, volume, trades: count }, bar);
        must(isSame, ['a bar is another', name, open, own, bar]);
        must(open === newest || own.final, ['a bar has not ended', name, open, own, held.last]);
      }
      for (const open of held.bars.keys()) must(bars.has(open), ['a bar that is none', name, open]);
    }
  }

  private take(m: Message): void {
    switch (m.type) {
      case 'ack':
        return this.answered(m.seq);
      case 'heartbeat':
        if (this.requestIs !== null) return;
        for (const held of this.held.values()) held.position = Math.max(held.position, m.seq);
        return;
      case 'gap':
        return this.gap(m);
      case 'reset':
        this.tally.resets += 1;
        for (const name of m.topics.flatMap((t) =>
          t.includes('*') ? SYMBOLS.map((s) => t.replace('*', s)) : t,
        )) {
          const held = new Held();
          held.since = m.seq;
          held.last = 0;
          this.held.set(name, held);
          this.isReset.add(name);
        }
        return;
      case 'trade':
      case 'bar':
      case 'stats':
        return this.sequenced(m);
      default:
    }
  }

  private sequenced(m: Extract<Message, { type: 'trade' | 'bar' | 'stats' }>): void {
    const name = topicOf(m)!;
    let held = this.held.get(name);
    if (held === undefined) this.held.set(name, (held = new Held()));
    const isState = this.requestIs === 'subscribe' || this.isReset.has(name);
    must(isState || m.prevSeq <= held.last, ['messages are missing', name, held.last, m]);
    must(m.seq <= this.world.lastSeq, ['from the future', m, this.world.lastSeq]);
    held.last = Math.max(held.last, m.seq);
    held.position = Math.max(held.position, held.last);
    if (m.type === 'stats' && (held.stats === null || m.seq >= held.stats.seq)) held.stats = m;
    if (m.type !== 'bar') return;
    this.tally.bars += 1;
    const open = m.openTime.seconds;
    if (m.seq < (held.bars.get(open)?.seq ?? 0)) return;
    held.bars.set(open, m);
    held.excused.delete(open);
  }

  private answered(seq: number): void {
    for (const name of this.names) {
      let held = this.held.get(name);
      if (held === undefined) this.held.set(name, (held = new Held()));
      held.since ??= seq;
      for (const [open, { last }] of this.changed(name)) {
        if (last >= held.lostFrom) held.excused.delete(open);
      }
      held.lostFrom = Infinity;
      held.position = Math.max(held.position, seq);
      if (held.last === 0) held.last = seq;
    }
    this.requestIs = null;
    this.isReset.clear();
    this.epoch = this.world.epoch;
  }

  private gap({ topic, from, to, count, reason }: Extract<Message, { type: 'gap' }>): void {
    this.tally.gaps += 1;
    must(to >= from && count > 0, ['an empty gap', topic, from, to, count]);
    const held = this.held.get(topic)!;
    for (const [open, bar] of held.bars) {
      if (reason === 'slow-reader') held.excused.add(open);
      else if (bar.seq >= from) {
        held.bars.delete(open);
        held.excused.add(open);
      }
    }
    if (held.stats !== null && held.stats.seq >= from && reason !== 'slow-reader')
      held.stats = null;
    held.last = Math.max(held.last, to);
    held.position = Math.max(held.position, to);
    // What changed up to `since` may be missing; after a complete answer, only what the answer left out.
    for (const [open, seq] of this.changed(topic)) {
      const bar = held.bars.get(open);
      const isWhole = bar !== undefined && bar.final && bar.seq >= seq.last;
      if (seq.first <= to && !isWhole) held.excused.add(open);
    }
    if (reason !== 'slow-reader') held.lostFrom = from;
  }

  /** The bars of a topic, each with the seq of its first and newest trade. */
  private changed(topic: string): Map<number, { first: number; last: number }> {
    const [, symbol, interval] = topic.split(':');
    const bars = new Map<number, { first: number; last: number }>();
    if (interval === undefined) return bars;
    const length = secondsOf(interval);
    for (const { seq, eventTime } of this.world.trades(symbol!)) {
      const open = Math.floor(eventTime.seconds / length) * length;
      bars.set(open, { first: bars.get(open)?.first ?? seq, last: seq });
    }
    return bars;
  }
}

function must(condition: boolean, what: readonly unknown[]): void {
  if (!condition) throw new Error(JSON.stringify(what));
}
