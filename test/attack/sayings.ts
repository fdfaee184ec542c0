/** Sayings: what an intruder sends in a frame: valid, arbitrary, or impossible as a frame. */

import { encodeTextFrame, FrameEncoder } from '../../protocol/codec';
import type { Message } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import type { Prng } from '../../src/base/prng';
import { SCALES } from '../support/stream-client';
import type { Form } from './codec-fuzz';
import { MessageMaker } from './message-maker';
import { rawFrame } from './raw-socket';
import { keyOf } from './target';

const TOPICS = [
  'trade:ACME',
  'book:ACME',
  'bbo:ACME',
  'tick:ACME',
  'bar:ACME:1s',
  'bar:ACME:1m',
  'stats:ACME',
  'status',
  'trade:DESK',
  'book:DESK',
  'tick:DESK',
  'trade:*',
  'book:*',
  'bar:*:1s',
  'stats:*',
];
const NO_TOPICS = ['trade:NONE', 'nonsense'];
const BAD_CLOSE_CODES = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535];
const NOTHING = Buffer.alloc(0);

export class Sayings {
  private readonly random: Prng;
  private readonly form: Form;
  private readonly nextId: () => number;
  private readonly maker: MessageMaker;
  private readonly encoder = new FrameEncoder();

  constructor(random: Prng, form: Form, nextId: () => number) {
    this.random = random;
    this.form = form;
    this.nextId = nextId;
    this.maker = new MessageMaker(random);
  }

  ping(id: number): string | Uint8Array {
    return this.encoded([{ type: 'ping', id, time: Nanos.ZERO }]);
  }

  /** Valid requests, not all of them sensible. */
  right(): string | Uint8Array {
    return this.encoded(Array.from({ length: this.random.int(0, 3) }, () => this.request()));
  }

  /** A message of any type and content. */
  any(): string | Uint8Array {
    const message = this.maker.message();
    return this.encoded(message.type === 'hello' ? [] : [message]);
  }

  /** Ways to end a connection, some of them correct. */
  goodbye(): [name: string, bytes: Buffer] {
    const { random } = this;
    switch (random.int(0, 5)) {
      case 0:
        return ['close 1000', close(1000)];
      case 1:
        return ['close 4999 with a reason', close(4999, Buffer.from('enough'))];
      case 2:
        return ['close without a code', rawFrame(8, NOTHING)];
      case 3:
        return ['close with half a code', rawFrame(8, Buffer.from([3]))];
      case 4:
        return ['close with bytes that are not UTF-8', close(1000, Buffer.from([0xff, 0xfe]))];
      default:
        return ['close with a code that none may send', close(this.pick(BAD_CLOSE_CODES))];
    }
  }

  /** Frames that RFC 6455 forbids, and false lengths. */
  broken(): [name: string, bytes: Buffer] {
    const { random } = this;
    const data = this.form === 'json' ? 1 : 2;
    const payload = Buffer.from('[]');
    const start = rawFrame(data, payload, { fin: false });
    switch (random.int(0, 12)) {
      case 0:
        return ['opcode 3–7', rawFrame(random.int(3, 7), payload)];
      case 1:
        return ['opcode 11–15', rawFrame(random.int(11, 15), payload)];
      case 2:
        return ['reserved bits', rawFrame(data, payload, { reserved: random.int(1, 7) })];
      case 3:
        return ['unmasked', rawFrame(data, Buffer.from('[[[[[[[[]'), { isMasked: false })];
      case 4:
        return ['a control frame in pieces', rawFrame(9, payload, { fin: false })];
      case 5:
        return ['a long control frame', rawFrame(9, Buffer.alloc(200), { lengthBytes: 2 })];
      case 6:
        return ['a continuation of nothing', rawFrame(0, payload)];
      case 7:
        return ['a message within a message', Buffer.concat([start, rawFrame(data, payload)])];
      case 8:
        return ['text that is not UTF-8', rawFrame(1, Buffer.from([0x22, 0xc0, 0xaf, 0xff, 0x22]))];
      case 9:
        return ['a length of 2^63', rawFrame(data, payload, { claimed: 1n << 63n })];
      case 10:
        return ['a length of 2^32', rawFrame(data, payload, { claimed: 1n << 32n })];
      case 11:
        return ['a length in too many bytes', rawFrame(data, payload, { lengthBytes: 8 })];
      default:
        return ['data after a close', Buffer.concat([close(1000), rawFrame(data, payload)])];
    }
  }

  private request(): Message {
    const id = this.nextId();
    const { random } = this;
    switch (random.int(0, 15)) {
      case 0:
      case 1:
      case 2:
        return {
          type: 'subscribe',
          id,
          topics: this.topics(),
          intervalMs: this.pick([null, null, 0, 20, 1_000]),
        };
      case 3:
      case 4:
        return { type: 'unsubscribe', id, topics: this.topics() };
      case 5:
        return {
          type: 'resume',
          id,
          epoch: this.pick([0, 1, 2 ** 50]),
          seq: this.position(),
          topics: this.topics(),
          newest: this.pick([null, this.position()]),
          positions: null,
        };
      case 6:
      case 7:
        return this.replay(id);
      case 8:
        return this.order(id);
      case 9:
        return {
          type: 'cancel',
          id,
          symbol: 'DESK',
          orderId: random.int(0, 2_000),
          clientOrderId: null,
        };
      case 10:
        return {
          type: 'amend',
          id,
          symbol: 'DESK',
          orderId: random.int(0, 2_000),
          clientOrderId: null,
          price: this.pick([null, 10_000]),
          quantity: this.pick([null, 5]),
        };
      case 11:
        return {
          type: 'publish',
          id,
          events: [this.event(), this.event()].filter((e) => e !== null),
          continues: null,
        };
      case 12:
        return { type: 'received', seq: this.position() };
      case 13:
        return random.chance(0.995)
          ? {
              type: 'hello',
              version: 1,
              client: 'intruder',
              key: this.pick([null, null, keyOf('trade'), keyOf('all')]),
            }
          : { type: 'hello', version: random.int(1, 3), client: '', key: 'tk_no' };
      default:
        return { type: 'ping', id, time: new Nanos(random.int(0, 99), 7) };
    }
  }

  private replay(id: number): Message {
    const { random } = this;
    const action = this.pick([
      'start',
      'start',
      'pause',
      'continue',
      'seek',
      'stop',
      'stop',
    ] as const);
    const fromSeq = random.chance(0.5) ? this.position() : null;
    return {
      type: 'replay',
      id,
      action,
      topics: action === 'start' ? this.topics() : [],
      from:
        fromSeq === null && random.chance(0.5) ? new Nanos(random.int(0, 0x7fff_ffff), 0) : null,
      to: null,
      fromSeq,
      toSeq: random.chance(0.7) ? (fromSeq ?? 1) + random.int(0, 300) : null,
      speed: this.pick([null, 0, 100, 1_000_000]),
      shard: null,
    };
  }

  private order(id: number): Message {
    const { random } = this;
    return {
      type: 'order',
      id,
      symbol: 'DESK',
      clientOrderId: this.pick(['', `i-${random.int(0, 50)}`]),
      side: this.pick(['buy', 'sell']),
      kind: this.pick(['limit', 'limit', 'market']),
      price: this.pick([null, 9_990 + random.int(0, 20), 10_000]),
      quantity: random.int(0, 50),
      timeInForce: this.pick(['gtc', 'gtc', 'ioc', 'fok']),
      postOnly: random.chance(0.1),
    };
  }

  /** An event of an instrument that only intruders publish. */
  private event(): Extract<Message, { type: 'trade' | 'book' }> | null {
    const { random } = this;
    if (random.chance(0.2)) return null;
    const opening = {
      symbol: this.pick(['PREY', 'PREY', 'ACME', 'DESK']),
      seq: random.int(0, 9),
      prevSeq: random.int(0, 9),
      eventTime: new Nanos(400_000_000, random.uint32()),
      receiveTime: Nanos.ZERO,
    };
    if (random.chance(0.5))
      return {
        type: 'trade',
        ...opening,
        price: 10_000,
        quantity: 1,
        aggressor: 'buy',
        tradeId: 0,
        timing: null,
      };
    const levels = (from: number): number[] => [from, random.int(0, 3), from + 1, random.int(0, 3)];
    return {
      type: 'book',
      ...opening,
      form: this.pick(['snapshot', 'delta', 'incomplete']),
      bids: levels(9_990).toSpliced(random.chance(0.2) ? 0 : 4, 4),
      asks: levels(10_010),
      crc: null,
      count: 1,
      mark: null,
    };
  }

  private position(): number {
    return this.pick([0, 1, 100, 1_000, this.random.int(0, 20_000), 2 ** 40]);
  }

  private topics(): string[] {
    return Array.from({ length: this.random.int(0, 4) }, () =>
      this.pick(this.random.chance(0.02) ? NO_TOPICS : TOPICS),
    );
  }

  private encoded(messages: readonly Message[]): string | Uint8Array {
    return this.form === 'json'
      ? encodeTextFrame(messages, () => SCALES)
      : this.encoder.encode(messages);
  }

  private pick<T>(from: readonly T[]): T {
    return this.maker.pick(from);
  }
}

function close(code: number, reason: Uint8Array = NOTHING): Buffer {
  return rawFrame(8, Buffer.concat([Buffer.from([code >> 8, code & 255]), reason]));
}
