/**
 * Intake: what a connection sends, on its way to be handled: counted against the limits, refused where
 * it comes too fast, each in its place, and handed on a little at a time.
 */

import type { Fault } from '../../protocol/codes';
import type { Message } from '../../protocol/messages';
import type { Clock } from '../base/clock';
import { Inbound, type GatewayLimits } from './limits';
import { Slices } from './slices';

/** A message as it came, what was no message, or one that came too fast. */
export type Asked = Message | Fault | TooFast;

interface TooFast {
  readonly id: number | null;
  readonly over: Fault;
}

/** The connection behind. */
interface Handler {
  readonly mayPublish: boolean;
  handle(asked: Asked): void;
  /** It is handled later; what comes behind it is read before that. */
  foresee(asked: Asked): void;
  /** It does not slow down; what waits is not handled any more. */
  flooded(id: number | null, over: Fault): void;
}

export class Intake {
  private readonly inbound: Inbound;
  private readonly slices: Slices<Asked>;
  private readonly clock: Clock;
  private readonly handler: Handler;

  constructor(limits: GatewayLimits, clock: Clock, handler: Handler) {
    this.inbound = new Inbound(limits);
    this.clock = clock;
    this.handler = handler;
    const handle = (asked: Asked): void => {
      if ('type' in asked) clock.turns.says(asked.type);
      handler.handle(asked);
    };
    this.slices = new Slices(clock, (asked) => this.costOf(asked), handle);
  }

  /** Somebody at its address was closed for a flood just now. */
  suspect(): void {
    this.inbound.suspect(this.handler.mayPublish, this.clock.monotonicMs());
  }

  /** A frame of so many bytes has come. @returns whether it is to be read; if not, that was answered */
  frame(bytes: number): boolean {
    const over = this.inbound.frame(bytes, this.handler.mayPublish, this.clock.monotonicMs());
    if (over === undefined) return true;
    if (this.inbound.isFlood) this.handler.flooded(null, over);
    else this.handler.handle({ id: null, over });
    return false;
  }

  /** What was in a frame. */
  take(items: readonly (Message | Fault)[]): void {
    const nowMs = this.clock.monotonicMs();
    let taken: Asked[] | undefined;
    for (const [i, item] of items.entries()) {
      const over = this.inbound.message(nowMs);
      if (over === undefined) {
        taken?.push(item);
        continue;
      }
      const id = 'id' in item ? (item.id ?? null) : null;
      if (this.inbound.isFlood) return this.handler.flooded(id, over);
      taken ??= items.slice(0, i);
      taken.push({ id, over });
    }
    const asked = taken ?? items;
    for (const later of asked.slice(this.slices.take(asked, nowMs))) this.handler.foresee(later);
  }

  /** So many topics were asked for or left. */
  topics(count: number): void {
    this.inbound.topics(count, this.clock.monotonicMs());
  }

  /** Forgets what waits. */
  clear(): void {
    this.slices.clear();
  }

  /** Of what a source publishes other queues take care; of others it is refused. */
  private costOf(asked: Asked): number {
    if ('topics' in asked) return 1 + asked.topics.length;
    return 'events' in asked && this.handler.mayPublish ? 0 : 1;
  }
}
