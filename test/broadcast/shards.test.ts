/**
 * Shards: a session with topics of several numberings, over virtual sockets. The sequence numbers of the shards are the
 * same, so whatever takes a number of one for that of another is found.
 */

import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';

import { decodeFrame, FrameEncoder, isFault, SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import type { Message, MessageOf, Status, Trade } from '../../protocol/messages';
import { ManualClock } from '../../src/base/clock';
import { Prng } from '../../src/base/prng';
import { Broadcaster } from '../../src/broadcast/broadcaster';
import type { Numbering } from '../../src/broadcast/numbering';
import type { PlaybackRequest, PlaybackSource } from '../../src/broadcast/playback/playback';
import { Playbacks } from '../../src/broadcast/playback/playbacks';
import { ReplayRequests } from '../../src/broadcast/replay/replay-requests';
import { PastEpochs } from '../../src/broadcast/resume/past-epochs';
import { Session } from '../../src/broadcast/sessions/session';
import { at, instrument, trade } from '../support/market-events';
import { LIMITS, socketWith } from '../support/sockets';
import { deep } from '../support/tier';
import { FAILED, playbackLimits } from './steered-playbacks';

const NAMES = ['fx', 'metals', 'oil'];
const MEMORY = 6;
type Numbered = Trade | Status | ReturnType<typeof instrument>;
type Position = NonNullable<MessageOf<'resume'>['positions']>[number];

function statusAt(symbol: string, seq: number, prevSeq: number): Status {
  const times = { eventTime: at(seq), receiveTime: at(seq) };
  const rest = { state: 'live', reason: 'defined', missed: 0, events: null } as const;
  return { type: 'status', symbol, seq, prevSeq, ...times, ...rest };
}

/** What one shard has published. */
class Shard {
  readonly numbering: Numbering;
  readonly symbols: string[] = [];
  readonly events: Numbered[] = [];
  private readonly heads = new Map<string, number>();
  private readonly broadcaster: Broadcaster;

  constructor(broadcaster: Broadcaster, index: number) {
    this.broadcaster = broadcaster;
    this.numbering = broadcaster.numberings.at(index);
    this.numbering.epoch = 100 + index;
    this.numbering.since = (seq) =>
      seq < this.events.length - MEMORY ? undefined : [this.events.slice(seq)];
    this.define();
  }

  get name(): string {
    return this.numbering.shard!;
  }

  define(): void {
    const symbol = `${this.name.toUpperCase()}${this.symbols.length}`;
    this.symbols.push(symbol);
    this.push([instrument(symbol, { seq: this.events.length + 1 })]);
  }

  publish(prng: Prng): void {
    const symbol = this.symbols[prng.int(0, this.symbols.length - 1)]!;
    const seq = this.events.length + 1;
    const isStatus = prng.int(0, 3) === 0;
    const topic = isStatus ? 'status' : symbol;
    const prevSeq = this.heads.get(topic) ?? 0;
    this.heads.set(topic, seq);
    const event = isStatus
      ? statusAt(symbol, seq, prevSeq)
      : trade({ symbol, seq, prevSeq, eventTime: at(seq) });
    this.push([event]);
  }

  /** Another leader continues the numbering. */
  beginEpoch(): void {
    const { epoch, lastSeq } = this.numbering;
    this.numbering.pastEpochs = new PastEpochs(
      new Map([[epoch, { kept: lastSeq, pushed: lastSeq }]]),
    );
    this.broadcaster.beginEpoch(this.numbering, epoch + 10, lastSeq);
  }

  private push(events: Numbered[]): void {
    this.events.push(...events);
    const lastSeq = this.events.length;
    this.broadcaster.accept({ events, lastSeq, executions: [] }, this.numbering);
  }
}

/** Reads the journal of the shard that a request names, three messages a frame. */
class Journals implements PlaybackSource {
  shards: readonly Shard[] = [];
  private readonly opened = new Map<number, { request: PlaybackRequest; next: number }>();
  private readonly encoder = new FrameEncoder();

  async open(id: number, request: PlaybackRequest) {
    await Bun.sleep(0);
    this.opened.set(id, { request, next: request.fromSeq });
    return { fromSeq: request.fromSeq, toSeq: request.toSeq, isBroken: false };
  }

  async next(id: number) {
    await Bun.sleep(0);
    const held = this.opened.get(id);
    if (held === undefined) return FAILED; // it was closed meanwhile
    const { topics, toSeq, shard } = held.request;
    const reached = Math.min(toSeq, held.next + 2);
    const own = this.shards.find(({ name }) => name === shard)!;
    const wanted = own.events.slice(held.next - 1, reached).filter((event) => {
      if (event.type === 'instrument') return true;
      if (event.type === 'status') return topics.includes('status');
      return topics.includes('trade:*') || topics.includes(`trade:${event.symbol}`);
    });
    held.next = reached + 1;
    const named = wanted.map((event) =>
      event.type === 'instrument' ? own.numbering.named(event) : event,
    );
    const bytes =
      named.length === 0 ? new Uint8Array() : new Uint8Array(this.encoder.encode(named));
    const one = named.length === 0 ? [] : [reached];
    const ends = named.length === 0 ? [] : [bytes.length];
    return {
      bytes,
      ends,
      texts: [],
      atMs: one.map(() => 0),
      seqs: one,
      borders: one,
      reached,
      isLast: reached >= toSeq,
    };
  }

  close(id: number): void {
    this.opened.delete(id);
  }
}

/** The part of a topic in a shard: messages above `base` must have come, or a reset. */
interface Part {
  base: number;
  seqs: number[];
}

class World {
  readonly clock = new ManualClock();
  readonly broadcaster: Broadcaster;
  readonly shards: Shard[];
  readonly received: Message[] = [];
  readonly replays: ReplayRequests;
  session: Session;
  private readonly native = new Set<string>();
  private pings = 0;
  private ponged = 0;
  private readonly journals = new Journals();

  constructor(count: number) {
    const options = { topicsMax: 100, sessionBoundary: 0, shards: NAMES.slice(0, count) };
    const publish = (topic: string, data: string | Uint8Array): void => {
      if (this.native.has(topic)) this.take(data as Uint8Array);
    };
    this.broadcaster = new Broadcaster(options, { publish }, this.clock);
    this.shards = NAMES.slice(0, count).map((_, i) => new Shard(this.broadcaster, i));
    this.journals.shards = this.shards;
    const playbacks = new Playbacks(this.journals, playbackLimits(4));
    this.broadcaster.subscriptions.playbacks = playbacks;
    this.replays = new ReplayRequests({
      playbacks,
      clock: this.clock,
      numberings: this.broadcaster.numberings,
      numberingOf: (symbol) => this.broadcaster.numberingOf(symbol),
    });
    this.session = this.connect();
  }

  connect(): Session {
    this.native.clear();
    this.pings = this.ponged = 0;
    const socket = socketWith({
      send: (frame) => {
        this.take(frame as Uint8Array);
        return frame.length;
      },
      ping: () => (this.pings += 1),
      subscribe: (topic) => void this.native.add(topic),
      unsubscribe: (topic) => void this.native.delete(topic),
    });
    const session = new Session(
      's',
      SUBPROTOCOL_MSGPACK,
      socket,
      this.broadcaster.encoders,
      LIMITS,
    );
    this.broadcaster.enter(session);
    return (this.session = session);
  }

  /** The reader answers pings, and the session is looked after. */
  pull(): void {
    const nowMs = this.clock.monotonicMs();
    if (this.ponged < this.pings) this.session.pong(nowMs, (this.ponged = this.pings));
    this.session.pull(nowMs);
    this.broadcaster.look();
  }

  disconnect(): void {
    this.native.clear();
    this.broadcaster.leave(this.session);
  }

  shardOf(symbol: string): Shard {
    return this.shards.find(({ symbols }) => symbols.includes(symbol))!;
  }

  private take(frame: Uint8Array): void {
    for (const message of decodeFrame(frame)) {
      if (isFault(message)) throw new Error(message.message);
      this.received.push(message);
    }
  }
}

/** A reader of `trade:*` and `status`, by the rules of one numbering for each shard. */
class Reader {
  readonly world: World;
  /** By shard and topic; what it does not follow is not there. */
  readonly parts = new Map<string, Part>();
  /** The positions that it would resume from. */
  readonly positions = new Map<string, { epoch: number; seq: number }>();
  pending = 0;
  resets = 0;
  private id = 0;
  private at = 0;

  constructor(world: World) {
    this.world = world;
  }

  subscribe(): void {
    this.parts.clear();
    this.pending = ++this.id;
    const topics = ['trade:*', 'status'];
    const refused = this.world.broadcaster.subscriptions.subscribe(
      this.world.session,
      this.id,
      topics,
      0,
    );
    expect(refused).toBeUndefined();
    this.look();
  }

  resume(positions: readonly Position[]): void {
    this.pending = ++this.id;
    const rest = { epoch: 0, seq: 0, newest: null, topics: ['trade:*', 'status'] };
    const request: MessageOf<'resume'> = {
      type: 'resume',
      id: this.id,
      ...rest,
      positions: [...positions],
    };
    this.world.broadcaster.subscriptions.resume(this.world.session, request, (refused) =>
      expect(refused).toBeUndefined(),
    );
    // The others are not followed on this connection.
    for (const key of this.parts.keys()) {
      const isNamed = positions.some(({ shard }) => key.startsWith(`${shard} `));
      if (!isNamed) this.parts.delete(key);
    }
  }

  /** Positions of these shards, from where everything has come. */
  positionsOf(names: readonly string[]): Position[] {
    return names.map((shard) => {
      const { epoch, seq } = this.positions.get(shard) ?? { epoch: 0, seq: 0 };
      return { shard, epoch, seq, newest: seq };
    });
  }

  /** Takes what has come. */
  look(): void {
    const { received } = this.world;
    for (; this.at < received.length; this.at++) this.takeOne(received[this.at]!);
  }

  /** The connection has everything up to now, if no answer is awaited. */
  hold(): void {
    this.look();
    if (this.pending !== 0) return;
    for (const { name, numbering } of this.world.shards) {
      if (!this.parts.has(`${name} status`)) continue;
      // What heartbeats say; a session that lags has not been sent everything.
      const seq = this.world.session.sentUpTo(numbering);
      this.positions.set(name, { epoch: numbering.epoch, seq });
    }
  }

  private takeOne(m: Message): void {
    switch (m.type) {
      case 'instrument':
        expect(m.shard).toBe(this.world.shardOf(m.symbol).name);
        return;
      case 'reset':
        this.resets += 1;
        for (const key of this.parts.keys())
          if (key.startsWith(`${m.shard} `)) this.parts.delete(key);
        this.part(m.shard!, 'status').base = m.seq;
        this.startTrades(m.shard!, m.seq);
        return;
      case 'ack': {
        if (m.id !== this.pending) return;
        this.pending = 0;
        for (const { shard, seq } of m.shards!) {
          if (this.parts.has(`${shard} status`)) continue;
          this.part(shard, 'status').base = seq;
          this.startTrades(shard, seq);
        }
        return;
      }
      case 'heartbeat': {
        const shard = this.world.shards.find(({ name }) => name === m.shard)!;
        expect(m.seq).toBeLessThanOrEqual(shard.numbering.lastSeq);
        return;
      }
      case 'trade':
      case 'status':
        return this.takeEvent(m);
      default:
    }
  }

  private startTrades(shard: string, seq: number): void {
    for (const symbol of this.world.shards.find(({ name }) => name === shard)!.symbols)
      this.part(shard, symbol).base = seq;
  }

  private takeEvent(m: Trade | Status): void {
    const { name } = this.world.shardOf(m.symbol);
    // State of `status` before the answer to a subscribe, or of a reset.
    const known = this.parts.get(`${name} status`);
    if (known === undefined) return;
    const part = this.part(name, m.type === 'status' ? 'status' : m.symbol);
    if (m.seq <= Math.max(part.base, part.seqs.at(-1) ?? 0)) return; // a repetition
    part.seqs.push(m.seq);
  }

  private part(shard: string, topic: string): Part {
    const key = `${shard} ${topic}`;
    let part = this.parts.get(key);
    if (part === undefined) this.parts.set(key, (part = { base: 0, seqs: [] }));
    return part;
  }

  /** Each part that is followed has what its shard has published above its base. */
  check(): void {
    for (const [key, { base, seqs }] of this.parts) {
      const [name, topic] = key.split(' ');
      const { events } = this.world.shards.find((shard) => shard.name === name)!;
      const own = events.filter(
        ({ type, symbol }) =>
          type !== 'instrument' &&
          (topic === 'status' ? type === 'status' : type === 'trade' && symbol === topic),
      );
      const expected = own.map(({ seq }) => seq).filter((seq) => seq > base);
      expect({ key, seqs }).toEqual({ key, seqs: expected });
    }
  }
}

async function settled(reader: Reader): Promise<void> {
  const isBehind = (): boolean =>
    reader.world.shards.some(
      ({ numbering }) => reader.world.session.sentUpTo(numbering) < numbering.lastSeq,
    );
  for (let i = 0; i < 2_000 && (reader.pending !== 0 || isBehind()); i++) {
    await Bun.sleep(0);
    reader.world.pull();
    reader.look();
  }
  reader.look();
  expect([reader.pending, isBehind()]).toEqual([0, false]);
}

/** Some steps of the shards; also while an answer is awaited. */
function go(world: World, prng: Prng): void {
  for (let i = prng.int(0, 12); i > 0; i--) {
    const shard = world.shards[prng.int(0, world.shards.length - 1)]!;
    const what = prng.int(0, 19);
    if (what === 0) shard.define();
    else if (what === 1) shard.beginEpoch();
    else shard.publish(prng);
  }
}

async function run(seed: number): Promise<number> {
  const prng = new Prng(seed);
  const world = new World(prng.int(2, 3));
  const reader = new Reader(world);
  reader.subscribe();
  for (let round = 0; round < 6; round++) {
    go(world, prng);
    if (prng.int(0, 1) === 0) world.broadcaster.heartbeats.sendAll();
    reader.hold();
    if (prng.int(0, 3) > 0) {
      world.disconnect();
      go(world, prng);
      world.connect();
      const all = world.shards.map(({ name }) => name);
      const names = prng.int(0, 3) === 0 ? all.slice(prng.int(0, 1)) : all;
      const ordered = prng.int(0, 1) === 0 ? names : names.toReversed();
      const positions = reader.positionsOf(ordered);
      if (prng.int(0, 5) === 0) positions[0] = { ...positions[0]!, epoch: 7 };
      reader.resume(positions);
      // The answer of one shard may be read from its journal while the others go on.
      for (let i = prng.int(0, 4); i > 0; i--) {
        await Bun.sleep(0);
        reader.look();
        go(world, prng);
      }
      if (prng.int(0, 4) === 0) continue; // the connection is lost while it resumes
    }
    await settled(reader);
    reader.check();
  }
  await settled(reader);
  go(world, prng);
  await settled(reader);
  reader.check();
  return reader.resets;
}

describe('[H3] [H4] [H5] shards with the same numbers', () => {
  test('a reader has everything of each shard, or a reset of it', async () => {
    let resets = 0;
    await fc.assert(
      fc.asyncProperty(fc.nat(), async (seed) => {
        resets += await run(seed);
      }),
      { numRuns: deep(3_000, 60) },
    );
    expect(resets).toBeGreaterThan(0);
  });

  test('welcome and ack have the position of each; a heartbeat is about one', () => {
    const world = new World(2);
    const reader = new Reader(world);
    const [fx, metals] = world.shards;
    fx!.publish(new Prng(1));
    const { numberings, heartbeats } = world.broadcaster;
    const positions = [
      { shard: 'fx', epoch: 100, seq: 2 },
      { shard: 'metals', epoch: 101, seq: 1 },
    ];
    expect(numberings.newest()).toEqual({ epoch: 0, seq: 0, shards: positions });
    reader.subscribe();
    metals!.publish(new Prng(2));
    heartbeats.sendAll();
    const beats = world.received.filter((m) => m.type === 'heartbeat');
    expect(beats.map(({ shard, seq }) => [shard, seq])).toEqual([
      ['fx', 2],
      ['metals', 2],
    ]);
    const ack = world.received.find((m) => m.type === 'ack');
    expect(ack).toMatchObject({
      seq: 0,
      shards: [
        { shard: 'fx', seq: 2 },
        { shard: 'metals', seq: 1 },
      ],
    });
  });
});

describe('[H5] [H6] what is refused', () => {
  const FX = { shard: 'fx', epoch: 100, seq: 1, newest: null };

  test.each([
    ['an unknown shard', [{ ...FX, shard: 'oil' }], ['status'], 'positions[0].shard'],
    ['a shard that is named twice', [FX, FX], ['status'], 'positions[1].shard'],
    ['no position', [], ['status'], 'positions'],
    ['newest below seq', [{ ...FX, seq: 5, newest: 4 }], ['status'], 'positions[0].newest'],
    ['a topic of another shard', [FX], ['status', 'trade:METALS0'], 'topics'],
  ] as const)('a resume with %s', (_, positions, topics, field) => {
    const world = new World(2);
    const reader = new Reader(world);
    reader.subscribe();
    const before = world.session.topics.size;
    const rest = { id: 9, epoch: 0, seq: 0, newest: null, topics: [...topics] };
    let refused: { code: string; field?: string } | undefined;
    world.broadcaster.subscriptions.resume(
      world.session,
      { type: 'resume', ...rest, positions: positions.map((one) => ({ ...one })) },
      (fault) => (refused = fault),
    );
    expect(refused).toMatchObject({ code: 'invalid-field', field });
    expect(world.session.topics.size).toBe(before);
  });

  test('positions at a server without shards', () => {
    const broadcaster = new Broadcaster(
      { topicsMax: 9, sessionBoundary: 0 },
      { publish: () => {} },
      new ManualClock(),
    );
    const session = new Session(
      's',
      SUBPROTOCOL_MSGPACK,
      socketWith({}),
      broadcaster.encoders,
      LIMITS,
    );
    broadcaster.enter(session);
    let refused: { code: string } | undefined;
    const rest = { id: 9, epoch: 0, seq: 0, newest: null, topics: ['status'] };
    broadcaster.subscriptions.resume(
      session,
      { type: 'resume', ...rest, positions: [FX] },
      (fault) => (refused = fault),
    );
    expect(refused).toMatchObject({ code: 'invalid-field' });
  });

  test.each([
    ['topics of two shards', null, ['trade:FX0', 'trade:METALS0'], 'several-shards'],
    ['a wildcard alone', null, ['trade:*', 'status'], 'several-shards'],
    ['an unknown shard', 'oil', ['status'], 'invalid-field'],
    ['a topic of another shard', 'fx', ['trade:METALS0'], 'invalid-field'],
    ['a shard and its part of a wildcard', 'fx', ['trade:*', 'status'], undefined],
    ['topics of one shard', null, ['trade:METALS0', 'status'], undefined],
  ] as const)('a replay of %s', (_, shard, topics, code) => {
    const world = new World(2);
    const none = { from: null, to: null, fromSeq: null, toSeq: null, speed: null };
    const request = { type: 'replay' as const, id: 1, action: 'start' as const, ...none };
    const asked = { ...request, topics: [...topics], shard };
    expect(world.replays.handle(world.session, asked)?.code).toBe(code as never);
  });
});
