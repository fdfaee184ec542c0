/**
 * Intake: what a connection sends, on its way to be handled: counted against the limits, refused where
 * it comes too fast, each in its place, and handed on a little at a time, in the share of its client. Frames of
 * those who may publish or trade are read in a share of their own, and wait for it unread (held-frames.ts).
 */

import { fault, type Fault } from '../../../protocol/codes';
import type { Subprotocol } from '../../../protocol/codec';
import type { Message } from '../../../protocol/messages';
import type { ScalesOf } from '../../../protocol/units';
import type { Meter } from '../../base/byte-account';
import type { Clock } from '../../base/clock';
import type { SliceQueue } from '../../base/slice-queue';
import { Inbound, type GatewayLimits } from '../auth/limits';
import { clientAt } from '../auth/addresses';
import type { Principal } from '../auth/principal';
import { HeldFrames, SOURCE_WORK } from './held-frames';
import { LongFrames } from './long-frames';
import type { Share, Shares } from '../auth/shares';
import { Slices } from './slices';
import { SocketGate, type Pausable } from './socket-gate';
import { orderWork, WORK } from '../auth/work';

/** Of the records behind a resume or replay so much at once: whoever leaves before it is done pays no more. */
const RECORDS_WORK_MAX = 1_000;
/** A connection for which no more than this waits is not refused for what others of its client ask. */
const MODEST = 16;
/** A longer frame is not read for a client that owes a second's worth, as reading it is work that cannot wait. */
const SMALL_BYTES = 512;

/** What a message that waits takes in memory, of its bytes in its frame. */
const HELD_FACTOR = 4;

/** A message as it came, what was no message, or one that came too fast. */
export type Asked = Message | Fault | TooFast;

interface TooFast {
  readonly id: number | null;
  readonly over: Fault;
}

/** The connection behind. */
interface Handler {
  readonly principal: Principal;
  /** Name of the key that it has shown; null without one. */
  readonly key: string | null;
  readonly address: string;
  readonly form: Subprotocol;
  readonly scalesOf: ScalesOf;
  /** Whether anybody wants what is still to come. */
  isServed(): boolean;
  counted(messages: number): void;
  handle(asked: Asked): void;
  /** It is handled later; what comes behind it is read before that. */
  foresee(asked: Asked): void;
  /** It does not slow down; what waits is not handled any more. */
  flooded(id: number | null, over: Fault): void;
}

interface Stages {
  readonly limits: GatewayLimits;
  readonly clock: Clock;
  readonly shares: Shares;
  readonly slices: SliceQueue;
  /** How many topics these names stand for. */
  topicsIn(names: readonly string[]): number;
  /** Since the start, to one session alone: the answers, not the topics. */
  sentBytes(): number;
  lastSeq(): number;
  readonly connections: { ofKey(name: string): number };
}

export class Intake {
  private readonly inbound: Inbound;
  private readonly slices: Slices<Asked>;
  private readonly held: HeldFrames;
  private readonly frames: LongFrames;
  private meter: Meter | undefined;
  private readonly stages: Stages;
  private readonly handler: Handler;

  constructor(stages: Stages, handler: Handler) {
    this.inbound = new Inbound(stages.limits);
    this.stages = stages;
    this.handler = handler;
    this.slices = new Slices(
      () => this.share,
      (asked) => this.costOf(asked),
      (asked) => this.handle(asked),
      (bytes) => this.meter?.add('requests', bytes),
    );
    this.held = new HeldFrames(
      () => this.sourceShare,
      (data, bytes) => this.frames.read(data, bytes),
    );
    const { form, scalesOf } = handler;
    this.frames = new LongFrames(stages.slices, form, {
      scalesOf,
      isServed: () => handler.isServed(),
      taken: (items, bytes, goesOn) => {
        handler.counted(items.length);
        this.take(items, bytes, goesOn);
      },
    });
  }

  /** @param meter of the session, which counts what is held */
  open(socket: Pausable, meter: Meter): void {
    this.meter = meter;
    const gate = new SocketGate(socket);
    this.held.open(gate, meter);
    this.frames.open(gate);
  }

  /** Somebody at its address was closed for a flood just now. */
  suspect(): void {
    this.inbound.suspect(this.mayPublish, this.stages.clock.monotonicMs());
  }

  /** A frame of so many bytes has come: it is read, now or in its turn, or refused. */
  frame(data: string | Uint8Array, bytes: number): void {
    const nowMs = this.stages.clock.monotonicMs();
    const { isSource } = this; // which what is in it may change
    const over =
      this.inbound.frame(bytes, this.mayPublish, nowMs) ??
      this.crowded(nowMs) ??
      (isSource ? this.hold(data, bytes, nowMs) : this.unread(bytes, nowMs));
    if (over !== undefined) return this.refuseFrame(over);
    if (isSource) return;
    this.share.spend(bytes * WORK.byte);
    this.frames.read(data, bytes);
  }

  /** Frames of it wait to be read, and its socket is not read. */
  get isHolding(): boolean {
    return this.held.isHolding;
  }

  /** What was held is read before what comes behind it, whoever it is by then. */
  private get isSource(): boolean {
    return this.mayPublish || this.handler.principal.roles.has('trade') || this.held.isHolding;
  }

  private hold(data: string | Uint8Array, bytes: number, nowMs: number): Fault | undefined {
    const why = this.held.take(data, bytes);
    if (why === 'crowded') return this.inbound.crowdedSource(this.payer, nowMs);
    return (
      why && fault('overloaded', `${bytes} bytes more than may wait now; the frame was not read`)
    );
  }

  private get mayPublish(): boolean {
    return this.handler.principal.roles.has('publish');
  }

  private get sourceShare(): Share {
    return this.stages.shares.ofSource(this.handler.key, this.payer);
  }

  /** What was in a frame, or in a part of it. */
  private take(items: readonly (Message | Fault)[], bytes: number, goesOn: boolean): void {
    const nowMs = this.stages.clock.monotonicMs();
    if (items.length === 0) return this.emptyFrame(nowMs);
    if (!this.mayPublish) this.share.spend(items.length * WORK.read);
    let taken: Asked[] | undefined;
    let events = 0;
    for (const [i, item] of items.entries()) {
      if ('events' in item && item.type === 'publish') events += item.events.length;
      // What waits of its own frame refuses none of it.
      const over = this.inbound.message(nowMs) ?? (goesOn ? undefined : this.crowded(nowMs));
      if (over === undefined) {
        taken?.push(item);
        continue;
      }
      this.share.spend(WORK.refused);
      const id = 'id' in item ? (item.id ?? null) : null;
      if (this.inbound.isFlood) return this.handler.flooded(id, over);
      taken ??= items.slice(0, i);
      taken.push({ id, over });
    }
    if (events > 0 && this.mayPublish) this.sourceShare.spend(events * SOURCE_WORK.event);
    const asked = taken ?? items;
    const done = this.slices.take(asked, (bytes * HELD_FACTOR) / items.length);
    for (const later of asked.slice(done)) this.handler.foresee(later);
  }

  /** An empty array costs what a message costs. As nothing of it waits, it is refused for the debt alone. */
  private emptyFrame(nowMs: number): void {
    this.share.spend(WORK.read);
    const over =
      this.inbound.message(nowMs) ??
      (this.share.isOver ? this.inbound.crowded(this.payer, nowMs) : undefined);
    if (over !== undefined) this.refuseFrame(over);
  }

  private refuseFrame(over: Fault): void {
    this.share.spend(WORK.refused);
    if (this.inbound.isFlood) this.handler.flooded(null, over);
    else this.handler.handle({ id: null, over });
  }

  /** These were asked for or left. */
  topics(names: readonly string[]): void {
    this.inbound.topics(this.stages.topicsIn(names), this.stages.clock.monotonicMs());
  }

  /**
   * A ping or a pong of WebSocket itself. Who sends too many is closed, and who does not read what Bun answers.
   * @param unreadBytes what is not read of all that it was sent
   */
  controlFrame(unreadBytes: number, meter: Meter): void {
    this.share.spend(WORK.control);
    meter.set('sockets', unreadBytes);
    const nowMs = this.stages.clock.monotonicMs();
    const over = this.inbound.controlFrame(nowMs) ?? this.inbound.unread(unreadBytes);
    if (over !== undefined) this.handler.flooded(null, over);
  }

  /** Whose connection it is. */
  private get payer(): string {
    return this.handler.key ?? clientAt(this.handler.address);
  }

  private get share(): Share {
    const { payer } = this;
    const { shares } = this.stages;
    return this.handler.key === null ? shares.ofStranger(payer) : shares.ofKey(payer);
  }

  private handle(asked: Asked): void {
    if ('type' in asked) this.stages.clock.turns.says(asked.type);
    const before = this.stages.sentBytes();
    this.handler.handle(asked);
    const sent = this.stages.sentBytes() - before;
    if (sent > 0) this.share.spend(sent * WORK.sentByte);
  }

  private unread(bytes: number, nowMs: number): Fault | undefined {
    if (bytes <= SMALL_BYTES || !this.share.isOver) return undefined;
    return this.inbound.crowded(this.payer, nowMs);
  }

  private crowded(nowMs: number): Fault | undefined {
    if (this.slices.waiting < MODEST || !this.share.isOver) return undefined;
    return this.inbound.crowded(this.payer, nowMs);
  }

  /** Forgets what waits. */
  clear(): void {
    this.slices.clear();
    this.held.clear();
  }

  /** Of what a source publishes other queues take care; of others it is refused. */
  private costOf(asked: Asked): number {
    if ('over' in asked) return WORK.message;
    if (!('type' in asked)) return WORK.fault;
    if (asked.type === 'resume') return WORK.resume + this.topicsOf(asked) + this.behind(asked.seq);
    if (asked.type === 'replay') {
      const { action, topics, fromSeq } = asked;
      const behind = action === 'start' ? this.behind(fromSeq ?? 0) : 0;
      return WORK.resume + this.topicsOf({ topics }) + behind;
    }
    if ('topics' in asked) return WORK.message + this.topicsOf(asked);
    if ('events' in asked && this.mayPublish) return 0;
    return 'clientOrderId' in asked
      ? orderWork(this.handler.key, this.stages.connections)
      : WORK.message;
  }

  private topicsOf({ topics }: { readonly topics: readonly string[] }): number {
    return this.stages.topicsIn(topics) * WORK.topic;
  }

  private behind(seq: number): number {
    const records = Math.max(0, this.stages.lastSeq() - seq);
    return Math.min(records * WORK.record, RECORDS_WORK_MAX);
  }
}
