/**
 * Ordered requests: requests of a connection about topics are handled in order. While one is being answered,
 * the others wait. Bounded: by number and by bytes; a request beyond that is refused.
 */

import { fault, type Fault } from '../../../protocol/codes';
import type { Message } from '../../../protocol/messages';
import type { Meter } from '../../base/byte-account';

export const HELD_MAX = 1_000;
/** Estimated memory of a request, and of each topic that it names. */
const REQUEST_BYTES = 256;
const TOPIC_BYTES = 64;

/** Requests about topics. */
export const ORDERED: ReadonlySet<Message['type']> = new Set([
  'subscribe',
  'unsubscribe',
  'resume',
  'replay',
]);

export class OrderedRequests {
  /** The session's meter, which counts the bytes that wait. */
  meter: Meter | undefined;
  private readonly limits: { readonly heldBytesMax: number };
  private readonly handle: (request: Message) => unknown;
  private waiting: Message[] = [];
  private taken = 0;
  private isAnswering = false;
  private isGoing = false;

  constructor(limits: { readonly heldBytesMax: number }, handle: (request: Message) => unknown) {
    this.limits = limits;
    this.handle = handle;
  }

  /** Whether a request is being answered, so that others have to wait. */
  get isHolding(): boolean {
    return this.isAnswering;
  }

  /** Queues a request. @returns why it is refused */
  hold(request: Message): Fault | undefined {
    if (this.waiting.length - this.taken >= HELD_MAX) {
      return fault('overloaded', `${HELD_MAX} requests wait for an answer`);
    }
    const bytes = bytesOf(request);
    const before = this.meter?.of('requests') ?? 0;
    const { heldBytesMax } = this.limits;
    if (before + bytes > heldBytesMax) {
      const message = `requests of ${before} bytes wait for an answer, and this one is of ${bytes}; at most ${heldBytesMax}`;
      return fault('overloaded', message);
    }
    this.meter?.add('requests', bytes);
    this.waiting.push(request);
    return undefined;
  }

  /** A request is being answered from now on. */
  begin(): void {
    this.isAnswering = true;
  }

  /** A request was answered: handles those that wait, up to the next one that is answered asynchronously. */
  end(): void {
    this.isAnswering = false;
    if (this.isGoing) return;
    this.isGoing = true;
    while (!this.isAnswering && this.taken < this.waiting.length) {
      const request = this.waiting[this.taken++]!;
      this.meter?.add('requests', -bytesOf(request));
      this.handle(request);
    }
    this.isGoing = false;
    if (this.taken === this.waiting.length) this.clear();
  }

  private clear(): void {
    this.waiting = [];
    this.taken = 0;
  }
}

function bytesOf(request: Message): number {
  let bytes = REQUEST_BYTES;
  if ('topics' in request) for (const topic of request.topics) bytes += TOPIC_BYTES + topic.length;
  return bytes;
}
