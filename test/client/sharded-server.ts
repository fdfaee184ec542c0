/**
 * Sharded server: one connection to several model servers, each of which numbers its own symbols, by [H1] to [H5]. Shards
 * may come and go; a server of one shard may leave it without a name.
 */

import type { Message, MessageOf } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { topicOf } from '../../protocol/topics';
import { namedLimits } from '../support/welcome';
import { ModelServer, Peer, type Wire } from './model-server';
import { RollingServer } from './rolling-server';
import type { WireServer } from './wires';

/** The shard of a model symbol is its first letter, such as `a` of `A1`. */
export function shardOf(symbol: string): string {
  return symbol[0]!.toLowerCase();
}

interface Playing {
  readonly shard: string;
  readonly start: MessageOf<'replay'>;
  readonly all: readonly Message[];
  rest: Message[];
}

class Front extends Peer {
  playing: Playing | undefined;
  readonly parts = new Map<string, Peer>();
  /** Answers of the parts to the request in hand. */
  readonly acks = new Map<string, number>();
}

export class ShardedServer implements WireServer {
  readonly shards = new Map<string, RollingServer>();
  readonly fronts = new Set<Front>();
  /** Requests of all connections, in order. */
  readonly requests: Message[] = [];
  /** Errors that were sent, by code. */
  readonly refusals: string[] = [];
  served: readonly string[];
  /** Called before the server; true when it answered. */
  answer: (front: Front, message: Message) => boolean = () => false;
  /** Whether the only shard has a name. */
  private isNamed = true;

  constructor(names: readonly string[]) {
    this.served = names;
    for (const name of names) {
      const upper = name.toUpperCase();
      this.shards.set(name, new RollingServer(new ModelServer([`${upper}1`, `${upper}2`])));
    }
  }

  model(name: string): ModelServer {
    return this.shards.get(name)!.model;
  }

  cutAll(): void {
    for (const front of this.fronts) front.wire.cut();
  }

  /** Another server: it has these shards. @param isNamed of the first one alone: whether the server names it */
  serve(names: readonly string[], isNamed = true): void {
    this.cutAll();
    this.served = names;
    const [first] = this.shards.keys();
    this.isNamed = isNamed || names.length > 1 || names[0] !== first;
  }

  heartbeat(name?: string): void {
    for (const shard of name === undefined ? this.served : [name]) this.model(shard).heartbeat();
  }

  open(wire: Wire): Front {
    const front = new Front(wire);
    this.fronts.add(front);
    const positions = this.served.map((shard) => {
      const { epoch, seq } = this.model(shard);
      return { shard, epoch, seq };
    });
    const { epoch, seq } = positions.length === 1 ? positions[0]! : { epoch: 0, seq: 0 };
    const limits = namedLimits({ frameBytesMax: 65_536, topicsMax: 1_000, heartbeatMs: 1_000 });
    const head = { type: 'welcome', version: 1, server: 'model', session: 's' } as const;
    const shards = this.isNamed ? positions : null;
    wire.send([{ ...head, epoch, seq, time: Nanos.ZERO, limits, shards }]);
    for (const shard of this.served) {
      const part = new Peer({
        send: (messages) => this.pass(front, shard, messages),
        close: (code, reason) => wire.close(code, reason),
        cut: () => wire.cut(),
      });
      front.parts.set(shard, part);
      this.model(shard).peers.add(part);
    }
    return front;
  }

  gone(front: Peer): void {
    if (!(front instanceof Front)) return;
    this.fronts.delete(front);
    for (const [shard, part] of front.parts) this.model(shard).gone(part);
  }

  take(peer: Peer, message: Message): void {
    const front = peer as Front;
    this.requests.push(message);
    front.requests.push(message);
    front.acks.clear();
    if (this.answer(front, message)) return;
    switch (message.type) {
      case 'subscribe':
      case 'unsubscribe':
        return this.split(front, message);
      case 'resume':
        return this.resume(front, message);
      case 'replay':
        return this.replay(front, message);
      case 'ping': {
        const [part] = front.parts;
        return this.model(part![0]).take(part![1], message);
      }
      default:
    }
  }

  /** Sends the next messages of the replays of a shard, and the end after the last one. */
  play(shard: string, count: number): void {
    for (const front of this.fronts) {
      const { playing } = front;
      if (playing?.shard !== shard) continue;
      const messages = playing.rest.splice(0, count);
      if (messages.length > 0) front.wire.send(messages);
      if (playing.rest.length > 0) continue;
      front.playing = undefined;
      this.done(front, playing.start.id);
    }
  }

  /** The connection of the replay of a shard. */
  playerOf(shard: string): Front | undefined {
    return [...this.fronts].find(({ playing }) => playing?.shard === shard);
  }

  private replay(front: Front, message: MessageOf<'replay'>): void {
    const { action, topics, id, from } = message;
    const isFrom = (m: Message): boolean =>
      from === null || !('receiveTime' in m) || m.receiveTime.compare(from) >= 0;
    if (action === 'start') {
      const named = message.shard ?? new Set(topics.map((t) => shardOf(t.split(':')[1]!)));
      const shard = typeof named === 'string' ? named : [...named][0]!;
      if (!this.served.includes(shard)) return this.refuse(front, id, 'unknown-symbol');
      const only = new Peer(front.wire);
      for (const topic of topics) only.topics.add(topic);
      const all = this.model(shard).log.filter((m) => only.on(topicOf(m)!));
      front.playing = { shard, start: message, all, rest: all.filter(isFrom) };
      return;
    }
    const { playing } = front;
    if (playing === undefined) return this.refuse(front, id, 'no-replay');
    this.done(front, id);
    if (action === 'seek') playing.rest = playing.all.filter(isFrom);
    if (action === 'stop') front.playing = undefined;
    if (action === 'stop') this.done(front, playing.start.id);
  }

  private done(front: Front, id: number): void {
    const none = { repeated: null, waiting: null, shards: null } as const;
    front.wire.send([{ type: 'ack', id, seq: 0, ...none }]);
  }

  private split(front: Front, message: MessageOf<'subscribe'> | MessageOf<'unsubscribe'>): void {
    const { id, type, topics } = message;
    const isHere = (name: string): boolean => {
      const symbol = name.split(':')[1];
      return symbol === undefined || symbol === '*' || front.parts.has(shardOf(symbol));
    };
    if (!topics.every(isHere)) {
      return this.refuse(front, id, type === 'subscribe' ? 'unknown-symbol' : 'not-subscribed');
    }
    for (const [shard, part] of front.parts) {
      const own = topics.filter((name) => hasPart(name, shard));
      if (own.length > 0) this.model(shard).take(part, { ...message, topics: own });
    }
    this.ack(front, id);
  }

  private resume(front: Front, message: MessageOf<'resume'>): void {
    const { id, epoch, seq, newest, topics } = message;
    const positions = this.isNamed
      ? message.positions
      : [{ shard: this.served[0]!, epoch, seq, newest }];
    const named = positions?.map(({ shard }) => shard) ?? [];
    const isRight =
      (this.isNamed ? named.length > 0 : message.positions === null) &&
      new Set(named).size === named.length &&
      named.every((shard) => front.parts.has(shard)) &&
      topics.every((name) => named.some((shard) => hasPart(name, shard)));
    if (!isRight) return this.refuse(front, id, 'invalid-field');
    for (const { shard, ...position } of positions!) {
      const own = topics.filter((name) => hasPart(name, shard));
      const part = front.parts.get(shard)!;
      this.model(shard).take(part, { ...message, ...position, topics: own, positions: null });
    }
    if (front.acks.size === named.length) this.ack(front, id); // else it was cut off
  }

  refuse(front: Front, id: number, code: string): void {
    this.refusals.push(code);
    const text = { message: code, field: null, hint: null };
    front.wire.send([{ type: 'error', id, code, ...text }]);
  }

  private ack(front: Front, id: number): void {
    const shards = [...front.acks].map(([shard, seq]) => ({ shard, seq }));
    const seq = this.served.length === 1 ? shards[0]!.seq : 0;
    const none = { repeated: null, waiting: null } as const;
    front.wire.send([{ type: 'ack', id, seq, ...none, shards: this.isNamed ? shards : null }]);
  }

  /** Sends messages of a shard with its name. */
  private pass(front: Front, shard: string, messages: readonly Message[]): void {
    const named = messages.flatMap((message): Message[] => {
      if (message.type === 'ack') {
        front.acks.set(shard, message.seq);
        return [];
      }
      return 'shard' in message && this.isNamed ? [{ ...message, shard }] : [message];
    });
    if (named.length > 0) front.wire.send(named);
  }
}

function hasPart(name: string, shard: string): boolean {
  const symbol = name.split(':')[1];
  return symbol === undefined || symbol === '*' || shardOf(symbol) === shard;
}
