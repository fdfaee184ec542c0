/** Moves: what readers do to a server, drawn at random: valid and invalid requests, and disconnecting. */

import { encodeTextFrame, FrameEncoder } from '../../protocol/codec';
import type { Message, MessageOf } from '../../protocol/messages';
import type { Prng } from '../../src/base/prng';
import type { PastEpoch } from '../../src/base/contracts/past';
import { ReplayCheck } from './replay-check';
import { starOf, type Request, type TopicRequest } from './requests';
import type { Reader } from './reader';
import type { Truth } from './truth';

const CHANNELS = ['tick', 'trade', 'bbo', 'book', 'stats', 'bar'] as const;
const NO_RANGE = { from: null, to: null, fromSeq: null, toSeq: null, speed: null };

/** The epochs of the server. */
export interface Epochs {
  readonly current: number;
  /** For each past epoch, what was published and what of it was kept. */
  readonly past: ReadonlyMap<number, PastEpoch>;
}

export class Moves {
  private readonly random: Prng;
  private readonly truth: Truth;
  private readonly symbols: readonly string[];
  private readonly encoder = new FrameEncoder();
  private readonly epochs: Epochs;
  private readonly sendsNewest: boolean;
  private lastId = 0;

  /**
   * @param symbols those published so far; it grows
   * @param epochs always the present state
   * @param tellsNewest whether readers send the highest seq that they have received
   */
  constructor(
    random: Prng,
    truth: Truth,
    symbols: readonly string[],
    epochs: Epochs,
    sendsNewest: boolean,
  ) {
    this.sendsNewest = sendsNewest;
    this.random = random;
    this.truth = truth;
    this.symbols = symbols;
    this.epochs = epochs;
  }

  /** Does something at random that this reader may do now. */
  any(reader: Reader): void {
    const { random } = this;
    if (!reader.isWelcome || reader.asked.size > 8) return;
    if (reader.replay !== null) return this.steer(reader);
    const isIdle = reader.wanted.size === 0 && reader.served.size === 0 && reader.asked.size === 0;
    if (isIdle && random.chance(0.5)) return this.replay(reader);
    const draw = random.unit();
    if (draw < 0.4) this.subscribe(reader, this.drawNames(0.2));
    else if (draw < 0.6) this.unsubscribe(reader);
    else if (draw < 0.7) this.unsubscribeAll(reader);
    else if (draw < 0.8) this.ping(reader);
    else if (draw < 0.87) this.resume(reader);
    else if (draw < 0.93) this.bad(reader);
    else this.subscribe(reader, [...reader.wanted.keys()]); // takes the state of everything again
  }

  subscribe(reader: Reader, names: readonly string[]): void {
    if (names.length === 0) return;
    const intervalMs = this.random.chance(0.3) ? this.random.int(1, 4) * 30 : 0;
    for (const name of names) reader.wanted.set(name, intervalMs);
    const request = this.ask(reader, topicRequest('subscribe', ++this.lastId, names));
    this.publish(reader, { type: 'subscribe', id: request.id, topics: [...names], intervalMs });
  }

  /** After a reconnect, also to a new epoch: resumes what the reader had, and subscribes to the rest. */
  comeBack(reader: Reader): void {
    const { names, position } = reader.resumable();
    const rest = [...reader.wanted.keys()].filter((name) => !names.includes(name));
    reader.keep(new Set(names));
    if (names.length > 0 && this.random.chance(0.95)) this.resumeFrom(reader, names, position);
    else {
      reader.forget();
      rest.push(...names);
    }
    this.subscribe(reader, rest);
  }

  /** Resumes with a position of another epoch, and nothing else. */
  comeBackLate(reader: Reader, epoch: number): void {
    const names = [...reader.wanted.keys()];
    reader.forget();
    if (names.length === 0) return;
    const seq = this.random.int(0, this.truth.lastSeq);
    this.resumeAs(reader, names, { epoch, seq, newest: seq % 2 === 0 ? this.truth.lastSeq : null });
  }

  private resumeAs(
    reader: Reader,
    names: readonly string[],
    { epoch, seq, newest }: { epoch: number; seq: number; newest: number | null },
  ): void {
    const id = ++this.lastId;
    const resetBy = this.resetBy(epoch, newest ?? seq);
    this.ask(reader, topicRequest('resume', id, names, seq, resetBy));
    this.publish(reader, {
      type: 'resume',
      id,
      epoch,
      seq,
      topics: [...names],
      newest,
      positions: null,
    });
  }

  /** The reason for which a resume from there must be refused: not everything published after it was kept. */
  private resetBy(epoch: number, newest: number): string | null {
    if (epoch === this.epochs.current) return null;
    return newest > (this.epochs.past.get(epoch)?.pushed ?? -1) ? 'other-epoch' : null;
  }

  /** Resumes on a connection that has its topics already. */
  private resume(reader: Reader): void {
    const { names, position } = reader.resumable();
    const some = names.filter((name) => reader.wanted.has(name) && this.random.chance(0.7));
    const open = [...reader.asked.values()].some(({ kind }) => kind !== 'ping');
    if (some.length === 0 || open) return;
    if (this.random.chance(0.2)) {
      const id = ++this.lastId;
      this.ask(reader, topicRequest('resume', id, some, 0, 'from-the-future'));
      const seq = this.truth.lastSeq + 1_000_000;
      this.publish(reader, {
        type: 'resume',
        id,
        epoch: reader.epoch,
        seq,
        topics: some,
        newest: null,
        positions: null,
      });
    } else this.resumeFrom(reader, some, position);
  }

  private resumeFrom(reader: Reader, names: readonly string[], position: number): void {
    const seq = this.random.chance(0.3) ? this.random.int(0, position) : position;
    const { heldEpoch: epoch } = reader;
    for (const name of names) reader.wanted.set(name, 0);
    reader.goBackTo(names, seq);
    const newest = this.sendsNewest ? reader.newest : null;
    this.resumeAs(reader, names, { epoch, seq, newest });
  }

  private unsubscribe(reader: Reader): void {
    const { random } = this;
    const wanted = [...reader.wanted.keys()];
    let name = wanted[random.int(0, wanted.length - 1)];
    if (name === undefined) return;
    // Leaves one topic that a `*` covers; the others of the `*` stay.
    const star = reader.served.get(name);
    const isAlone = ![...reader.asked.values()].some((r) => r.kind !== 'ping' && r.kind !== 'bad');
    if (name.includes('*') && star !== undefined && isAlone && random.chance(0.5)) {
      const single = name.replace('*', this.symbols[random.int(0, this.symbols.length - 1)]!);
      if (star.left.has(single)) return;
      name = single;
    }
    this.leave(reader, [name]);
  }

  private unsubscribeAll(reader: Reader): void {
    if (this.random.chance(0.6)) return;
    // A topic that a `*` covers is left with the `*`.
    const names = [...reader.wanted.keys()];
    this.leave(
      reader,
      names.filter((name) => !names.includes(starOf(name)) || starOf(name) === name),
    );
  }

  private leave(reader: Reader, names: readonly string[]): void {
    if (names.length === 0) return;
    const id = ++this.lastId;
    for (const name of names) {
      for (const other of reader.wanted.keys()) {
        if (other === name || starOf(other) === name) reader.wanted.delete(other);
      }
    }
    this.ask(reader, { kind: 'unsubscribe', id, names: new Set(names) });
    this.publish(reader, { type: 'unsubscribe', id, topics: [...names] });
  }

  private ping(reader: Reader): void {
    const { id } = this.ask(reader, { kind: 'ping', id: ++this.lastId });
    this.publish(reader, { type: 'ping', id, time: this.truth.time() });
  }

  private bad(reader: Reader): void {
    const { id } = this.ask(reader, { kind: 'bad', id: ++this.lastId });
    const wrong: Message[] = [
      { type: 'subscribe', id, topics: ['nothing'], intervalMs: 0 },
      { type: 'subscribe', id, topics: [`tick:${this.symbols[0]}`, 'tick:NOBODY'], intervalMs: 0 },
      { type: 'unsubscribe', id, topics: ['tick:NOBODY'] },
      {
        type: 'resume',
        id,
        epoch: reader.epoch,
        seq: 1,
        topics: ['book:NOBODY'],
        newest: null,
        positions: null,
      },
      { type: 'replay', id, action: 'start', topics: [], ...NO_RANGE, shard: null },
    ];
    if (reader.replay === null)
      wrong.push({ type: 'replay', id, action: 'pause', topics: [], ...NO_RANGE, shard: null });
    this.publish(reader, wrong[this.random.int(0, wrong.length - 1)]!);
  }

  // ── replays ──────────────────────────────────────────────────────────────────────────────────

  private replay(reader: Reader): void {
    const { random, truth } = this;
    const topics = this.drawNames(0.3).filter((name) => !/^(bar|stats):/.test(name));
    if (topics.length === 0) topics.push('trade:*');
    const positions = [random.int(1, truth.lastSeq), random.int(1, truth.lastSeq)].sort(
      (a, b) => a - b,
    );
    const [fromSeq, toSeq] = positions as [number, number];
    const id = ++this.lastId;
    const request: MessageOf<'replay'> = {
      type: 'replay',
      id,
      action: 'start',
      topics,
      ...NO_RANGE,
      shard: null,
    };
    if (random.chance(0.4)) request.speed = random.int(50, 2_000);
    if (random.chance(0.7)) request.fromSeq = fromSeq;
    else if (random.chance(0.5)) request.from = truth.timeAt(fromSeq);
    if (random.chance(0.4)) request.toSeq = toSeq;
    else if (random.chance(0.3)) request.to = truth.timeAt(toSeq);
    this.ask(reader, { kind: 'replay', id, action: 'start' });
    reader.replay = new ReplayCheck(truth, request);
    this.publish(reader, request);
  }

  private steer(reader: Reader): void {
    const { random, truth } = this;
    const replay = reader.replay!;
    const draw = random.unit();
    if (draw < 0.1) return this.bad(reader);
    if (draw < 0.15) return this.ping(reader);
    const isSteered = [...reader.asked.values()].some(
      (r) => r.kind === 'replay' && r.id !== replay.startId,
    );
    if (isSteered) return; // one request at a time, so that each answer belongs to the newest request
    const id = ++this.lastId;
    const request: MessageOf<'replay'> = {
      type: 'replay',
      id,
      action: 'pause',
      topics: [],
      ...NO_RANGE,
      shard: null,
    };
    if (draw < 0.35) {
      request.action = 'seek';
      const seq = random.int(1, truth.lastSeq);
      if (random.chance(0.3)) request.from = truth.timeAt(seq);
      else request.fromSeq = seq;
      replay.seek(request);
    } else if (draw < 0.45) {
      request.action = 'stop';
      replay.isStopping = true;
    } else if (draw < 0.8) {
      request.action = 'continue';
      replay.isPaused = false;
    }
    this.ask(reader, { kind: 'replay', id, action: request.action });
    this.publish(reader, request);
  }

  /** Continues the replay that the reader has paused. */
  goOn(reader: Reader): void {
    const { replay } = reader;
    if (replay === null || !replay.isPaused) return;
    replay.isPaused = false;
    const id = ++this.lastId;
    this.ask(reader, { kind: 'replay', id, action: 'continue' });
    this.publish(reader, {
      type: 'replay',
      id,
      action: 'continue',
      topics: [],
      ...NO_RANGE,
      shard: null,
    });
  }

  // ── parts ────────────────────────────────────────────────────────────────────────────────────

  drawNames(share: number): string[] {
    const { random } = this;
    const names: string[] = [];
    for (const channel of CHANNELS) {
      if (random.chance(share / 2)) names.push(nameOf(channel, '*', random));
      for (const symbol of this.symbols) {
        if (random.chance(share)) names.push(nameOf(channel, symbol, random));
      }
    }
    if (random.chance(share)) names.push('status');
    return names;
  }

  private ask<R extends Request>(reader: Reader, request: R): R {
    reader.asked.set(request.id, request);
    return request;
  }

  private publish(reader: Reader, message: Message): void {
    const scalesOf = () => undefined;
    const { wire, isText } = reader;
    wire!.publish(isText ? encodeTextFrame([message], scalesOf) : this.encoder.encode([message]));
  }
}

function nameOf(channel: string, symbol: string, random: Prng): string {
  if (channel !== 'bar') return `${channel}:${symbol}`;
  return `bar:${symbol}:${random.chance(0.7) ? '1s' : '1m'}`;
}

function topicRequest(
  kind: TopicRequest['kind'],
  id: number,
  names: readonly string[],
  position = 0,
  resetBy: string | null = null,
): TopicRequest {
  return { kind, id, names: new Set(names), cut: new Set(), reset: new Set(), position, resetBy };
}
