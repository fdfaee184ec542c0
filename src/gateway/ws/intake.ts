/**
 * Intake: receives what a connection sends. It counts everything against the limits, refuses what exceeds
 * them (in order), and hands the rest on in small pieces, within the share of the client. Frames of clients
 * that may publish or trade have a share of their own. They wait undecoded until that share allows them
 * (held-frames.ts).
 */

import { fault, type Fault } from '../../../protocol/codes';
import type { Subprotocol } from '../../../protocol/codec';
import type { Message, MessageOf } from '../../../protocol/messages';
import type { ScalesOf } from '../../../protocol/units';
import type { Meter } from '../../base/byte-account';
import type { Clock } from '../../base/clock';
import type { SliceQueue } from '../../base/slice-queue';
import { Inbound, type GatewayLimits } from '../auth/limits';
import { clientAt } from '../auth/addresses';
import type { Principal } from '../auth/principal';
import type { StreamNumberings } from './hub';
import { HeldFrames, SOURCE_WORK } from './held-frames';
import { LongFrames } from './long-frames';
import type { Share, Shares } from '../auth/shares';
import { Slices } from './slices';
import { SocketGate, type Pausable } from './socket-gate';
import { orderWork, WORK } from '../auth/work';

/**
 * Number of records of a resume or replay that are charged at once. A client that leaves early pays for no
 * more.
 */
const RECORDS_WORK_MAX = 1_000;
/**
 * A connection with at most this many waiting messages is not refused because of its client's other
 * connections.
 */
const MODEST = 16;
/**
 * Decoding cannot be postponed, so a longer frame of a client whose share is a second behind is not decoded.
 */
const SMALL_BYTES = 512;

/** Memory that a waiting message takes in addition to its bytes in the frame. */
const HELD_FACTOR = 4;

/** A message as it was received, a fault in its stead, or a message over the rate limit. */
export type Asked = Message | Fault | TooFast;

interface TooFast {
  readonly id: number | null;
  readonly over: Fault;
}

/** The connection that handles the messages. */
interface Handler {
  readonly principal: Principal;
  /** Name of the key that the client presented; null without one. */
  readonly key: string | null;
  readonly address: string;
  readonly form: Subprotocol;
  readonly scalesOf: ScalesOf;
  /** Whether the connection still handles messages. */
  isServed(): boolean;
  counted(messages: number): void;
  handle(asked: Asked): void;
  /** Announces a message that is handled later. What follows it is decoded before that. */
  foresee(asked: Asked): void;
  /** The client ignores the refusals. Waiting messages are no longer handled. */
  flooded(id: number | null, over: Fault): void;
}

interface Stages {
  readonly limits: GatewayLimits;
  readonly clock: Clock;
  readonly shares: Shares;
  readonly slices: SliceQueue;
  /** Number of topics that these names stand for. */
  topicsIn(names: readonly string[]): number;
  /** Bytes of answers (not of topics) that were sent to single sessions since the start. */
  sentBytes(): number;
  readonly numberings: Pick<StreamNumberings, 'behind'>;
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

  /** @param meter the session's meter, which counts the held bytes */
  open(socket: Pausable, meter: Meter): void {
    this.meter = meter;
    const gate = new SocketGate(socket);
    this.held.open(gate, meter);
    this.frames.open(gate);
  }

  /** A connection of the same address was closed for a flood recently. */
  suspect(): void {
    this.inbound.suspect(this.mayPublish, this.stages.clock.monotonicMs());
  }

  /** A frame was received: decodes it now, queues it, or refuses it. */
  frame(data: string | Uint8Array, bytes: number): void {
    const nowMs = this.stages.clock.monotonicMs();
    const { isSource } = this; // read first: handling the frame may change it
    const over =
      this.inbound.frame(bytes, this.mayPublish, nowMs) ??
      this.crowded(nowMs) ??
      (isSource ? this.hold(data, bytes, nowMs) : this.unread(bytes, nowMs));
    if (over !== undefined) return this.refuseFrame(over);
    if (isSource) return;
    this.share.spend(bytes * WORK.byte);
    this.frames.read(data, bytes);
  }

  /** Whether frames wait to be decoded and the socket is not read. */
  get isHolding(): boolean {
    return this.held.isHolding;
  }

  /** Held frames are decoded before later frames, even if the roles have changed in between. */
  private get isSource(): boolean {
    return this.mayPublish || this.handler.principal.roles.has('trade') || this.held.isHolding;
  }

  private hold(data: string | Uint8Array, bytes: number, nowMs: number): Fault | undefined {
    const why = this.held.take(data, bytes);
    if (why === 'crowded') return this.inbound.crowdedSource(this.payer, nowMs);
    return (
      why && fault('overloaded', `${bytes} bytes exceed what may wait now; the frame was not read`)
    );
  }

  private get mayPublish(): boolean {
    return this.handler.principal.roles.has('publish');
  }

  private get sourceShare(): Share {
    return this.stages.shares.ofSource(this.handler.key, this.payer);
  }

  /** Takes the messages of a frame, or of a part of it. */
  private take(items: readonly (Message | Fault)[], bytes: number, goesOn: boolean): void {
    const nowMs = this.stages.clock.monotonicMs();
    if (items.length === 0) return this.emptyFrame(nowMs);
    if (!this.mayPublish) this.share.spend(items.length * WORK.read);
    let taken: Asked[] | undefined;
    let events = 0;
    for (const [i, item] of items.entries()) {
      if ('events' in item && item.type === 'publish') events += item.events.length;
      // The waiting messages of a frame do not cause refusals within the same frame.
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

  /**
   * An empty array costs as much as one message. Nothing of it can wait, so only a debt of the share refuses
   * it.
   */
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

  /** Charges the topics of a subscribe or unsubscribe. */
  topics(names: readonly string[]): void {
    this.inbound.topics(this.stages.topicsIn(names), this.stages.clock.monotonicMs());
  }

  /**
   * Counts a ping or pong of WebSocket itself. A client that sends too many is closed, and so is one that
   * does not read the pongs that Bun sends.
   * @param unreadBytes sent bytes that the client has not read yet
   */
  controlFrame(unreadBytes: number, meter: Meter): void {
    this.share.spend(WORK.control);
    meter.set('sockets', unreadBytes);
    const nowMs = this.stages.clock.monotonicMs();
    const over = this.inbound.controlFrame(nowMs) ?? this.inbound.unread(unreadBytes);
    if (over !== undefined) this.handler.flooded(null, over);
  }

  /** The client that the work is charged to. */
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

  /** Discards what waits. */
  clear(): void {
    this.slices.clear();
    this.held.clear();
  }

  /**
   * Cost of a message. Publishes of a source have queues of their own; from other clients a publish is
   * refused.
   */
  private costOf(asked: Asked): number {
    if ('over' in asked) return WORK.message;
    if (!('type' in asked)) return WORK.fault;
    if (asked.type === 'resume') return WORK.resume + this.topicsOf(asked) + this.behind(asked);
    if (asked.type === 'replay') {
      const { action, topics } = asked;
      const behind = action === 'start' ? this.behind(asked) : 0;
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

  private behind(asked: MessageOf<'resume'> | MessageOf<'replay'>): number {
    return Math.min(this.stages.numberings.behind(asked) * WORK.record, RECORDS_WORK_MAX);
  }
}
