/**
 * Model server: the server side of the protocol in little code, over any transport: topics, state, chains,
 * heartbeats, resume by [R2] [R3], and every misbehaviour that a test asks for. It shares nothing with the real
 * server.
 */

import { bookChecksum } from '../../protocol/checksum';
import { diffLevels } from '../../protocol/levels';
import type { Book, Message, MessageOf, Status, Tick, Trade } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { topicOf } from '../../protocol/topics';
import { namedLimits } from '../support/welcome';

export type LoggedMessage = Tick | Trade | Book | Status;
type ResetReason = MessageOf<'reset'>['reason'];

/** The connection of one client, as the transport provides it. */
export interface Wire {
  send(messages: readonly Message[]): void;
  close(code: number, reason: string): void;
  /** Ends it without notice. */
  cut(): void;
}

const TIME = Nanos.fromSeconds(1_700_000_000, 0);

export class Peer {
  readonly topics = new Set<string>();
  /** Heads in its last heartbeat. */
  readonly sentHeads = new Map<string, number>();
  /** What happens to the next message of a topic. */
  fault: 'lose' | 'double' | 'announce' | 'corrupt' | undefined;
  readonly requests: Message[] = [];
  readonly wire: Wire;

  constructor(wire: Wire) {
    this.wire = wire;
  }

  on(topic: string): boolean {
    return this.topics.has(topic) || this.topics.has(`${topic.split(':')[0]}:*`);
  }
}

export class ModelServer {
  /** By its own clock. */
  serverTime = TIME;
  /** Receive and event time of the next messages. */
  receiveTime = TIME;
  epoch = 1;
  seq = 0;
  heartbeatMs = 1_000;
  /** How a `resume` is answered: with the messages, with a `reset`, or as not supported. */
  resume: 'served' | 'not-supported' | ResetReason = 'served';
  /** Cuts the connection after this many messages of a resume. */
  cutResumeAfter = Number.POSITIVE_INFINITY;
  /** Called before the model; true when it answered. */
  answer: (peer: Peer, message: Message) => boolean = () => false;
  /** Called for each new connection after its welcome, or instead of it, if it returns true. */
  greet: (peer: Peer) => boolean = () => false;
  readonly log: LoggedMessage[] = [];
  readonly heads = new Map<string, number>();
  readonly levels = new Map<string, { bids: number[]; asks: number[] }>();
  readonly peers = new Set<Peer>();
  connections = 0;
  readonly symbols: readonly string[];

  constructor(symbols: readonly string[] = ['AAA', 'BBB']) {
    this.symbols = symbols;
  }

  open(wire: Wire): Peer {
    const peer = new Peer(wire);
    this.connections += 1;
    this.peers.add(peer);
    if (this.greet(peer)) return peer;
    const { heartbeatMs } = this;
    const limits = namedLimits({ frameBytesMax: 65_536, topicsMax: 1_000, heartbeatMs });
    const { epoch, seq } = this;
    const head = {
      type: 'welcome',
      version: 1,
      server: 'model',
      session: 's',
      shards: null,
    } as const;
    wire.send([{ ...head, epoch, seq, time: TIME, limits }]);
    return peer;
  }

  gone(peer: Peer): void {
    this.peers.delete(peer);
  }

  /** Ends every connection without notice. */
  cutAll(): void {
    for (const peer of this.peers) peer.wire.cut();
  }

  /** Begins another epoch: seqs begin again, earlier messages are gone. */
  restart(): void {
    this.cutAll();
    this.epoch += 1;
    this.seq = 0;
    this.log.length = 0;
    this.heads.clear();
    this.levels.clear();
  }

  take(peer: Peer, message: Message): void {
    peer.requests.push(message);
    if (this.answer(peer, message)) return;
    switch (message.type) {
      case 'subscribe': {
        for (const topic of message.topics) peer.topics.add(topic);
        const { id } = message;
        peer.wire.send([
          ...this.state(message.topics),
          { type: 'ack', id, seq: this.seq, repeated: null, waiting: null, shards: null },
        ]);
        return;
      }
      case 'unsubscribe':
        for (const topic of message.topics) {
          peer.topics.delete(topic);
          if (!topic.endsWith(':*')) continue;
          for (const on of peer.topics) {
            if (on.split(':')[0] === topic.split(':')[0]) peer.topics.delete(on);
          }
        }
        peer.wire.send([
          {
            type: 'ack',
            id: message.id,
            seq: this.seq,
            repeated: null,
            waiting: null,
            shards: null,
          },
        ]);
        return;
      case 'resume':
        return this.resumed(peer, message);
      case 'ping':
        peer.wire.send([
          { type: 'pong', id: message.id, time: message.time, serverTime: this.serverTime },
        ]);
        return;
      default:
    }
  }

  private resumed(peer: Peer, { id, epoch, seq, topics }: MessageOf<'resume'>): void {
    const code = 'not-supported';
    if (this.resume === code) {
      const error = { message: 'resume is not served yet', field: null, hint: null };
      peer.wire.send([{ type: 'error', id, code, ...error }]);
      return;
    }
    const reason = epoch !== this.epoch ? 'other-epoch' : this.resume;
    for (const topic of topics) peer.topics.add(topic);
    if (reason !== 'served') {
      const head = {
        type: 'reset',
        topics,
        epoch: this.epoch,
        seq: this.seq,
        reason,
        shard: null,
      } as const;
      const ack = {
        type: 'ack',
        id,
        seq: this.seq,
        repeated: null,
        waiting: null,
        shards: null,
      } as const;
      peer.wire.send([head, ...this.state(topics), ack]);
      return;
    }
    const only = new Peer(peer.wire);
    for (const topic of topics) only.topics.add(topic);
    const missed = this.log.filter((m) => m.seq > seq && only.on(topicOf(m)!));
    peer.wire.send(this.symbols.map((symbol) => this.definition(symbol))); // [N4]
    if (missed.length > this.cutResumeAfter) {
      peer.wire.send(missed.slice(0, this.cutResumeAfter));
      peer.wire.cut();
      return;
    }
    peer.wire.send([
      ...missed,
      { type: 'ack', id, seq: this.seq, repeated: null, waiting: null, shards: null },
    ]);
  }

  private state(topics: readonly string[]): Message[] {
    const messages: Message[] = [];
    for (const name of topics) {
      if (name === 'status') {
        messages.push(...this.symbols.map((one) => this.definition(one)), ...this.statuses());
        continue;
      }
      const [channel, symbol] = name.split(':');
      for (const one of symbol === '*' ? this.symbols : [symbol!]) {
        messages.push(this.definition(one));
        const newest = this.log.findLast((m) => topicOf(m) === `${channel}:${one}`);
        if (newest?.type === 'tick') messages.push(newest);
        else if (newest?.type === 'book') messages.push(this.snapshot(newest));
      }
    }
    return messages;
  }

  /** The newest status of each instrument, in the order of `seq`. */
  statuses(): Status[] {
    const newest = new Map<string, Status>();
    for (const m of this.log) if (m.type === 'status') newest.set(m.symbol, m);
    return [...newest.values()].sort((a, b) => a.seq - b.seq);
  }

  definition(symbol: string): Message {
    const scales = { priceScale: 2, quantityScale: 3 };
    const steps = { priceIncrement: 1, quantityIncrement: 1 };
    const rest = { previousClose: null, rules: null, seq: 0 };
    return {
      type: 'instrument',
      symbol,
      market: 'feed',
      ...scales,
      ...steps,
      ...rest,
      shard: null,
    };
  }

  private snapshot(newest: Book): Book {
    const { bids, asks } = this.levels.get(newest.symbol)!;
    const crc = bookChecksum(bids, asks);
    return { ...newest, form: 'snapshot', prevSeq: 0, bids: [...bids], asks: [...asks], crc };
  }

  // ── the market ──────────────────────────────────────────────────────────────────────────────

  trade(symbol: string, price = 100): Trade {
    const more = { price, quantity: 1, aggressor: 'buy', tradeId: 0, timing: null } as const;
    return this.push({ type: 'trade', ...this.next('trade', symbol), ...more });
  }

  tick(symbol: string, last = 100): Tick {
    const more = { last, bid: null, ask: null, quantity: 1, volume: 1, count: 1 };
    return this.push({ type: 'tick', ...this.next('tick', symbol), ...more });
  }

  /** Sets the levels of the book of a symbol. */
  book(symbol: string, bids: number[], asks: number[]): Book {
    const before = this.levels.get(symbol);
    this.levels.set(symbol, { bids, asks });
    const more = { crc: bookChecksum(bids, asks), count: 1, mark: null };
    const head = { type: 'book', ...this.next('book', symbol) } as const;
    if (before === undefined) return this.push({ ...head, form: 'snapshot', bids, asks, ...more });
    const changes = {
      bids: diffLevels(before.bids, bids, 'bid'),
      asks: diffLevels(before.asks, asks, 'ask'),
    };
    return this.push({ ...head, form: 'delta', ...changes, ...more });
  }

  /** Marks a book as possibly not current. */
  mark(symbol: string, mark: Book['mark']): Book {
    const { bids, asks } = this.levels.get(symbol)!;
    const head = { type: 'book', ...this.next('book', symbol), form: 'delta' } as const;
    return this.push({
      ...head,
      bids: [],
      asks: [],
      crc: bookChecksum(bids, asks),
      count: 1,
      mark,
    });
  }

  /** Changes the state of an instrument. @param missed a value that tells it from others */
  status(symbol: string, missed = 0): Status {
    const more = { state: 'live', reason: 'test', missed, events: null } as const;
    return this.push({ type: 'status', ...this.next('status', symbol), ...more });
  }

  private next(channel: string, symbol: string) {
    const topic = channel === 'status' ? channel : `${channel}:${symbol}`;
    const prevSeq = this.heads.get(topic) ?? 0;
    this.heads.set(topic, (this.seq += 1));
    return {
      symbol,
      seq: this.seq,
      prevSeq,
      eventTime: this.receiveTime,
      receiveTime: this.receiveTime,
    };
  }

  private push<M extends LoggedMessage>(message: M): M {
    this.log.push(message);
    const topic = topicOf(message)!;
    for (const peer of this.peers) {
      if (!peer.on(topic)) continue;
      const { fault } = peer;
      peer.fault = undefined;
      if (fault === 'lose') continue;
      if (fault === 'announce') {
        const { seq } = message;
        const gap = { topic, from: seq, to: seq, count: 1, reason: 'slow-reader' } as const;
        peer.wire.send([{ type: 'gap', ...gap, shard: null }]);
        continue;
      }
      if (fault === 'corrupt' && message.type === 'book') {
        peer.wire.send([{ ...message, crc: ((message.crc ?? 0) ^ 1) >>> 0 }]);
        continue;
      }
      peer.wire.send(fault === 'double' ? [message, message] : [message]);
    }
    return message;
  }

  heartbeat(): void {
    for (const peer of this.peers) {
      const heads: { topic: string; seq: number }[] = [];
      for (const [topic, seq] of this.heads) {
        if (!peer.on(topic) || peer.sentHeads.get(topic) === seq) continue;
        peer.sentHeads.set(topic, seq);
        heads.push({ topic, seq });
      }
      peer.wire.send([{ type: 'heartbeat', time: TIME, seq: this.seq, heads, shard: null }]);
    }
  }
}
