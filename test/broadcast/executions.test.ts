/**
 * Executions for an owner with many sessions, over virtual sockets: what each session gets and in which order, and
 * to how many sessions a turn sends when sending takes time (by a manual clock).
 */

import { describe, expect, test } from 'bun:test';

import {
  decodeFrame,
  decodeTextFrame,
  isFault,
  SUBPROTOCOL_JSON,
  SUBPROTOCOL_MSGPACK,
} from '../../protocol/codec';
import { CLOSES } from '../../protocol/codes';
import type { Execution, Message } from '../../protocol/messages';
import { ManualClock } from '../../src/base/clock';
import { Broadcaster } from '../../src/broadcast/broadcaster';
import { Session } from '../../src/broadcast/sessions/session';
import { at, instrument } from '../support/market-events';
import { LIMITS, socketWith } from '../support/sockets';

const SEND_NANOS = 100_000;
/** How many sessions one turn serves: a turn sends for about 2 ms. */
const SENT_A_TURN = 21;
const SESSIONS = 100;
const TIME = at(1);
const ACK: Message = { type: 'ack', id: 1, seq: 5, repeated: 0, waiting: 0, shards: null };

interface Reader {
  readonly session: Session;
  readonly frames: (string | Uint8Array)[];
}

class Pit {
  readonly clock = new ManualClock();
  readonly broadcaster: Broadcaster;
  readonly readers: Reader[] = [];
  onSend: (frames: Reader['frames']) => void = () => {};
  /** Frames sent to all sessions together. */
  sent = 0;
  private seq = 2;

  constructor(count = SESSIONS) {
    const options = { topicsMax: 100, sessionBoundary: 0 };
    this.broadcaster = new Broadcaster(options, { publish: () => 1 }, this.clock);
    this.broadcaster.hydrate([instrument('ONE', { seq: 1 }), instrument('TWO', { seq: 2 })], 2);
    for (let i = 0; i < count; i++) this.readers.push(this.enter(i));
  }

  private enter(i: number): Reader {
    const frames: (string | Uint8Array)[] = [];
    const socket = socketWith({
      send: (frame) => {
        frames.push(frame);
        this.clock.advance(SEND_NANOS);
        this.onSend(frames);
        return (this.sent += 1);
      },
    });
    const form = i % 2 === 0 ? SUBPROTOCOL_MSGPACK : SUBPROTOCOL_JSON;
    const session = new Session(`s${i}`, form, socket, this.broadcaster.encoders, LIMITS);
    this.broadcaster.enter(session);
    this.broadcaster.executions.set(session, 'desk');
    return { session, frames };
  }

  /** A command of the owner caused this many executions. */
  execute(symbol: string, count = 3): void {
    const executions = Array.from({ length: count }, () => ({
      owner: 'desk',
      message: executed(symbol, ++this.seq),
    }));
    this.broadcaster.accept({ lastSeq: this.seq, events: [], executions });
  }

  /** What a reader was sent: the symbols of definitions, the seqs of executions, the types of all else. */
  seen({ frames, session }: Reader): (string | number)[] {
    const { scalesOf } = this.broadcaster.encoders;
    const messages = frames.flatMap((frame) =>
      session.isText
        ? decodeTextFrame(frame as string, scalesOf)
        : decodeFrame(frame as Uint8Array),
    );
    return messages.map((m) => {
      if (isFault(m)) throw new Error(m.message);
      return m.type === 'instrument' ? m.symbol : m.type === 'execution' ? m.seq : m.type;
    });
  }
}

function executed(symbol: string, seq: number): Execution {
  return {
    type: 'execution',
    symbol,
    seq,
    prevSeq: 0,
    eventTime: TIME,
    receiveTime: TIME,
    id: null,
    orderId: 7,
    clientOrderId: 'a',
    event: 'traded',
    side: 'buy',
    price: 100,
    open: 1,
    tradePrice: 100,
    tradeQuantity: 1,
    code: null,
  };
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

describe('executions of an owner with many sessions', () => {
  test('a turn sends to some sessions, the next turns to the others, and each gets everything in order', async () => {
    const pit = new Pit();
    pit.execute('ONE');
    expect(pit.sent).toBeWithin(SENT_A_TURN - 2, SENT_A_TURN + 1);
    pit.execute('TWO');
    for (let before = pit.sent; before < SESSIONS; before = pit.sent) {
      await turn();
      // Both groups wait for these executions; by now the first sessions have them.
      expect(pit.sent - before).toBeLessThanOrEqual(SENT_A_TURN + 1);
    }
    for (let i = 0; i < 20; i++) await turn();
    for (const reader of pit.readers)
      expect(pit.seen(reader)).toEqual(['ONE', 3, 4, 5, 'TWO', 6, 7, 8]);
  });

  test('they are encoded once for each form', async () => {
    const pit = new Pit();
    pit.execute('ONE');
    for (let i = 0; i < 20; i++) await turn();
    pit.execute('ONE');
    for (let i = 0; i < 20; i++) await turn();
    expect(new Set(pit.readers.map(({ frames }) => frames.at(-1))).size).toBe(2);
  });

  test('a session that ends in the middle gets no more, and the others still get everything', async () => {
    const pit = new Pit();
    pit.execute('ONE');
    pit.execute('TWO');
    const last = pit.readers.at(-1)!;
    pit.onSend = (frames) => {
      if (frames === last.frames) pit.broadcaster.leave(last.session);
    };
    pit.broadcaster.executions.settle(last.session);
    for (let i = 0; i < 20; i++) await turn();
    expect(pit.seen(last)).toEqual(['ONE', 3, 4, 5]);
    expect(pit.seen(pit.readers.at(-2)!)).toEqual(['ONE', 3, 4, 5, 'TWO', 6, 7, 8]);
  });

  test('they are sent before the reply to a command, the shutdown notice, and executions of another owner', async () => {
    const pit = new Pit();
    const { executions } = pit.broadcaster;
    pit.execute('ONE');
    const [answered, moved, gone] = pit.readers.slice(-3) as [Reader, Reader, Reader];
    for (const reader of [answered, moved, gone]) expect(pit.seen(reader)).toEqual([]);
    executions.settle(answered.session);
    answered.session.send([ACK]);
    executions.set(moved.session, 'other');
    pit.broadcaster.leave(gone.session);
    for (let i = 0; i < 20; i++) await turn();
    expect(pit.seen(answered)).toEqual(['ONE', 3, 4, 5, 'ack']);
    expect(pit.seen(moved)).toEqual(['ONE', 3, 4, 5]);
    expect(pit.seen(gone)).toEqual([]);

    pit.execute('ONE');
    pit.broadcaster.goAway({ int: () => 250 } as never);
    for (let i = 0; i < 20; i++) await turn();
    expect(pit.seen(answered).slice(5)).toEqual([6, 7, 8, 'closing']);
    expect(pit.seen(moved).slice(4)).toEqual(['closing']);
    expect(CLOSES['going-away'].reconnect).toBe(true);
  });
});
