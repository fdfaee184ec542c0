/** Sources of a member that follows, with a leader and a log that the test steers. */

import { describe, expect, test } from 'bun:test';

import type { Receipt } from '../../protocol/batch';
import type { SourceEvent } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { RemoteSources } from '../../src/app/remote-sources';
import type { SubmitOptions, SubmitResult } from '../../src/base/contracts/submission';
import {
  decodeEvents,
  decodePublishRequest,
  encodePublishAnswer,
  ENTRY_HEAD_BYTES,
  entryHead,
  outcomeOf,
  type PublishAnswer,
} from '../../src/cluster/publish-messages';
import type { Asked } from '../../src/cluster/writes';
import { VirtualTime } from '../support/virtual-time';

const LEADER_WAIT_MS = 2_000;
const WAITING_MAX = 640;
const NO_INTAKE = { repeated: 0, waiting: 0 };

interface Message {
  readonly epoch: number;
  readonly stream: number;
  readonly number: number;
  /** Of each entry that begins in it: the ids of its trades, or the type of its first event. */
  readonly entries: readonly (readonly (number | string)[])[];
  readonly continues: readonly (boolean | null)[];
  answer(answer: PublishAnswer): void;
  end(outcome: 'nobody' | 'unknown'): void;
}

function trade(tradeId: number, symbol = 'AA'): SourceEvent {
  const eventTime = Nanos.fromMillis(1_700_000_000_000);
  const common = { seq: 0, prevSeq: 0, eventTime, receiveTime: Nanos.ZERO, timing: null };
  return {
    type: 'trade',
    symbol,
    ...common,
    price: 1,
    quantity: 1,
    aggressor: 'buy',
    tradeId,
  };
}

const DEFINITION: SourceEvent = {
  type: 'instrument',
  symbol: 'AA',
  seq: 0,
  market: 'feed',
  priceScale: 2,
  quantityScale: 0,
  priceIncrement: 1,
  quantityIncrement: 1,
  previousClose: null,
  rules: null,
  shard: null,
};

function publishedNumbers(): SourceEvent {
  const eventTime = Nanos.fromMillis(1_700_000_000_000);
  const of = { seq: 0, prevSeq: 0, eventTime, receiveTime: Nanos.ZERO };
  return { type: 'renumber', symbol: 'AA', ...of, numbers: 'published' };
}

class Edge {
  readonly time = new VirtualTime();
  readonly sources: RemoteSources;
  readonly messages: Message[] = [];
  readonly results: [name: number | string, result: SubmitResult][] = [];
  readonly challenged: number[] = [];
  /** Kinds of the other requests. */
  readonly asked: string[] = [];
  wanted: number[] = [];
  epoch = 1;
  /** Whether the leader of the present epoch says where it began. */
  base: number | null = 0;
  private seq = 0;
  private epochBase = 0;
  private readonly ends = new Map<number, number>();
  private readonly waiting: (() => boolean)[] = [];

  constructor() {
    const { time } = this;
    const endOf = (epoch: number): number =>
      epoch === this.epoch ? Infinity : (this.ends.get(epoch) ?? -1);
    this.sources = new RemoteSources({
      transport: { ask: (epoch, bytes) => this.ask(epoch, bytes), serve: () => () => {} },
      writer: 'm',
      epoch: () => this.epoch,
      epochBase: () => this.epochBase,
      endOf,
      has: (epoch, seq) =>
        new Promise((resolve) => {
          const look = (): boolean => {
            const isOver = seq > endOf(epoch);
            if (!isOver && seq > this.seq) return false;
            resolve(!isOver);
            return true;
          };
          if (!look()) this.waiting.push(look);
        }),
      leaderWaitMs: LEADER_WAIT_MS,
      waitingEventsMax: WAITING_MAX,
      nowMs: () => time.nowMs,
      now: () => time.clock.now(),
      challenge: (source) => void this.challenged.push(source),
      later: (ms, act) => {
        let isMeant = true;
        time.after(ms, () => isMeant && act());
        return () => (isMeant = false);
      },
    });
  }

  publish(name: number, options: SubmitOptions = {}, events = [trade(name)]): void {
    const done = (result: SubmitResult): void => void this.results.push([name, result]);
    this.sources.submit(1, events, done, { owner: 'ada', ...options });
    this.time.run(0);
  }

  /** The log has come up to a number, with receipts. */
  logged(seq: number, stream = 1, receipts: readonly Partial<Receipt>[] = []): void {
    const all = receipts.map((one) => ({ isWhole: true, repeated: 0, waiting: 0, ...one }));
    this.sources.logged(this.epoch, [{ member: 'm', stream, receipts: all as Receipt[] }]);
    this.seq = seq;
    this.look();
  }

  takeOver(base: number | null = this.seq): void {
    this.ends.set(this.epoch, this.seq);
    this.epochBase = this.seq;
    this.epoch += 1;
    this.base = base;
    this.look();
    this.sources.epochBegan();
    this.time.run(0);
  }

  /** Codes, or sequence numbers, of the outcomes in their order. */
  get outcomes(): (string | number)[][] {
    return this.results.map(([name, result]) => [
      name,
      'fault' in result ? result.fault.code : result.seq,
    ]);
  }

  /** Messages that were asked for the first time, of the newest stream. */
  get sent(): Message[] {
    const newest = this.messages.at(-1)?.stream;
    const numbers = new Map<number, Message>();
    for (const message of this.messages) {
      if (message.stream === newest) numbers.set(message.number, message);
    }
    return [...numbers.values()];
  }

  private look(): void {
    for (const look of this.waiting.splice(0)) if (!look()) this.waiting.push(look);
    this.time.run(0);
  }

  private ask(epoch: number, bytes: Uint8Array): Promise<Asked> {
    const request = decodePublishRequest(bytes);
    if ('code' in request) throw new Error(request.message);
    if (request.kind !== 'publish') {
      this.asked.push(request.kind);
      const { base } = this;
      if (base === null) return Promise.resolve({ outcome: 'nobody', reason: '' });
      const answer = encodePublishAnswer({
        kind: 'alive',
        is: { epoch, base, wanted: this.wanted },
      });
      return Promise.resolve({ outcome: 'answered', bytes: answer });
    }
    const { stream, number } = request.is;
    const { entries, continues } = entriesOf(request.bytes);
    return new Promise((resolve) => {
      const answer = (of: PublishAnswer): void => {
        resolve({ outcome: 'answered', bytes: encodePublishAnswer(of) });
        this.time.run(0);
      };
      const end = (outcome: 'nobody' | 'unknown'): void => {
        resolve({ outcome, reason: '' });
        this.time.run(0);
      };
      this.messages.push({ epoch, stream, number, entries, continues, answer, end });
    });
  }
}

function entriesOf(bytes: Uint8Array): Pick<Message, 'entries' | 'continues'> {
  const entries: (number | string)[][] = [];
  const continues: (boolean | null)[] = [];
  for (let at = 0; at < bytes.length;) {
    const head = entryHead(bytes, at);
    if ('code' in head) throw new Error(head.message);
    at += ENTRY_HEAD_BYTES;
    const body = bytes.subarray(at, at + head.length);
    at += head.length;
    if (head.kind === 'yield' || head.kind === 'release') {
      entries.push([head.kind]);
      continue;
    }
    const read = decodeEvents(body);
    if ('code' in read) throw new Error(read.message);
    continues.push(read.continues);
    entries.push(read.events.map((e) => (e.type === 'trade' ? e.tradeId : e.type)));
  }
  return { entries, continues };
}

function taken(epoch: number, ...seqs: number[]): PublishAnswer {
  const outcomes = seqs.map((seq) => outcomeOf({ seq, intake: NO_INTAKE }));
  return { kind: 'outcomes', is: { epoch, outcomes } };
}

function refusedFor(epoch: number, code: 'definition-conflict' | 'symbol-in-use'): PublishAnswer {
  const outcome = outcomeOf({ index: 0, fault: { code, message: 'no', field: 'symbol' } });
  return { kind: 'outcomes', is: { epoch, outcomes: [outcome] } };
}

describe('on the way', () => {
  test('four messages are under way; what comes meanwhile goes together; the log makes the acknowledgement', () => {
    const edge = new Edge();
    for (let id = 1; id <= 7; id++) edge.publish(id);
    expect(edge.sent.map(({ entries }) => entries)).toEqual([[[1]], [[2]], [[3]], [[4]]]);
    edge.messages[0]!.answer(taken(1, 11));
    expect(edge.sent.at(-1)!.entries).toEqual([[5], [6], [7]]);
    expect(edge.outcomes).toEqual([]);
    edge.messages[1]!.answer(taken(1, 12));
    edge.logged(11);
    expect(edge.outcomes).toEqual([[1, 11]]);
    edge.logged(12);
    expect(edge.outcomes).toEqual([
      [1, 11],
      [2, 12],
    ]);
    expect(edge.sources.holderOf('AA')).toBe(1);
  });

  test('outcomes come in order, also a refusal behind what the log does not have yet', () => {
    const edge = new Edge();
    edge.publish(1);
    edge.publish(2);
    edge.messages[1]!.answer(refusedFor(1, 'symbol-in-use'));
    edge.messages[0]!.answer(taken(1, 11));
    expect(edge.outcomes).toEqual([]);
    edge.logged(11);
    expect(edge.outcomes).toEqual([
      [1, 11],
      [2, 'symbol-in-use'],
    ]);
    expect(edge.results[1]![1]).toEqual({
      index: 0,
      fault: { code: 'symbol-in-use', message: 'no', field: 'symbol' },
    });
  });

  test('a message without an answer is asked again under its number', () => {
    const edge = new Edge();
    edge.publish(1);
    edge.time.run(1_600);
    expect(edge.messages.map(({ stream, number }) => [stream, number])).toEqual(
      edge.messages.map(() => [1, 1]),
    );
    expect(edge.messages.length).toBeGreaterThan(2);
  });

  test('without a leader each is refused in time and never asked again', () => {
    const edge = new Edge();
    const answer = (): void => {
      for (const message of edge.messages.splice(0)) message.end('nobody');
    };
    edge.publish(1);
    for (let ms = 0; ms < LEADER_WAIT_MS + 200; ms += 20) {
      answer();
      edge.time.run(20);
    }
    expect(edge.outcomes).toEqual([[1, 'no-leader']]);
    answer();
    edge.publish(2);
    expect(edge.messages.at(-1)!.entries).toEqual([[2]]);
  });

  test('a client is crowded with a quarter of the bound, and refused beyond it; others have room', () => {
    const edge = new Edge();
    const many = Array.from({ length: WAITING_MAX / 4 }, (_, i) => trade(i));
    for (let n = 0; n < 4; n++) {
      edge.publish(n, {}, many);
      expect(edge.sources.isCrowded('ada')).toBe(true);
    }
    edge.publish(4, {}, many);
    expect(edge.outcomes).toEqual([[4, 'overloaded']]);
    expect(edge.sources.isCrowded('bob')).toBe(false);
    edge.publish(5, { owner: 'bob' });
    expect(edge.outcomes).toHaveLength(1);
    expect(edge.sources.figures()).toMatchObject({ waiting: WAITING_MAX + 1 });
  });
});

describe('when the leader is gone', () => {
  test('what the log has is acknowledged, the rest goes to the next leader, once and in order', () => {
    const edge = new Edge();
    for (let id = 1; id <= 4; id++) edge.publish(id);
    const receipts = [
      { publish: 1, firstSeq: 10, lastSeq: 10 },
      { publish: 2, firstSeq: 11, lastSeq: 12, waiting: 5 },
    ];
    edge.logged(12, 1, receipts);
    edge.messages[2]!.answer(taken(1, 13)); // the log never has it
    edge.takeOver();
    expect(edge.results).toEqual([
      [1, { seq: 10, intake: NO_INTAKE }],
      [2, { seq: 12, intake: { repeated: 0, waiting: 5 } }],
    ]);
    expect(edge.sent.map(({ epoch, stream, entries }) => [epoch, stream, entries])).toEqual([
      [2, 2, [[3], [4]]],
    ]);
    edge.messages.find(({ stream }) => stream === 1)!.answer(taken(1, 99)); // too late
    expect(edge.results).toHaveLength(2);
  });

  test('of a publish whose beginning the log has, the outcome is unknown', () => {
    const edge = new Edge();
    edge.publish(1);
    edge.publish(2);
    edge.logged(15, 1, [{ publish: 1, firstSeq: 10, lastSeq: 12, isWhole: false }]);
    edge.takeOver();
    expect(edge.outcomes).toEqual([[1, 'unknown-outcome']]);
    expect(edge.sent.map(({ entries }) => entries)).toEqual([[[2]]]);
  });

  test('one that the leader has passed over is not sent behind a later one', () => {
    const edge = new Edge();
    edge.publish(1);
    edge.publish(2);
    edge.logged(10, 1, [{ publish: 2, firstSeq: 10, lastSeq: 10 }]);
    edge.takeOver();
    expect(edge.outcomes).toEqual([
      [1, 'unknown-outcome'],
      [2, 10],
    ]);
  });

  test('nothing is decided before the next leader says where it began; if that was behind the log, the outcome is unknown', () => {
    const edge = new Edge();
    edge.publish(1);
    edge.logged(9);
    edge.takeOver(null);
    edge.time.run(300);
    expect([edge.outcomes, edge.sent.at(-1)!.epoch]).toEqual([[], 1]);
    edge.base = 12;
    edge.time.run(100);
    expect(edge.outcomes).toEqual([[1, 'unknown-outcome']]);
  });

  test('a leader between that brought numbers of nobody knows what makes the outcome unknown', () => {
    const edge = new Edge();
    edge.publish(1);
    edge.takeOver(null);
    edge.sources.logged(edge.epoch, null);
    edge.takeOver();
    expect(edge.outcomes).toEqual([[1, 'unknown-outcome']]);
  });

  test('of a leader that does not know the stream, the log decides once it has come', () => {
    const edge = new Edge();
    edge.publish(1);
    edge.publish(2);
    edge.messages[1]!.answer({ kind: 'gone', is: { epoch: 1, seq: 20 } });
    edge.logged(19, 1, [{ publish: 1, firstSeq: 19, lastSeq: 19 }]);
    expect(edge.sent.at(-1)!.stream).toBe(1);
    edge.logged(20);
    expect(edge.outcomes).toEqual([[1, 19]]);
    expect(edge.sent.map(({ stream, entries }) => [stream, entries])).toEqual([[2, [[2]]]]);
  });
});

describe('the next leader is given what the one before knew', () => {
  test('numbers continue only of symbols that were fed before', () => {
    const edge = new Edge();
    edge.publish(1);
    edge.messages[0]!.answer(taken(1, 10));
    edge.logged(10);
    edge.publish(2);
    expect(edge.messages[1]!.continues).toEqual([false]);
    edge.takeOver();
    expect(edge.messages.at(-1)!.continues).toEqual([true]);
    edge.publish(3, {}, [trade(3, 'BB')]);
    expect(edge.messages.at(-1)!.continues).toEqual([false]);
  });

  test('definitions that were refused go first, so the integers of the symbol are not misread', () => {
    const edge = new Edge();
    edge.publish(1, {}, [DEFINITION]);
    edge.messages[0]!.answer(refusedFor(1, 'definition-conflict'));
    edge.takeOver();
    edge.publish(2);
    expect(edge.sent.map(({ entries }) => entries)).toEqual([[['instrument'], [2]]]);
    edge.sent[0]!.answer(taken(2, 20, 21)); // now it is taken
    edge.logged(21);
    edge.takeOver();
    edge.publish(3);
    expect(edge.sent.map(({ entries }) => entries)).toEqual([[[3]]]);
  });

  test('that the numbers are those of a server', () => {
    const edge = new Edge();
    edge.publish(1, {}, [publishedNumbers()]);
    edge.messages[0]!.answer(taken(1, 10));
    edge.logged(10);
    edge.takeOver();
    edge.publish(2);
    expect(edge.sent.map(({ entries }) => entries)).toEqual([[['renumber'], [2]]]);
  });
});

test('a member that stops refuses what is new, answers what is under way, and leaves', async () => {
  const edge = new Edge();
  edge.publish(1);
  let isSettled = false;
  const settled = edge.sources.settle(1_000).then(() => (isSettled = true));
  edge.publish(2);
  edge.messages[0]!.answer(taken(1, 10));
  expect(isSettled).toBe(false);
  edge.logged(10);
  await settled;
  expect(edge.outcomes).toEqual([
    [2, 'shutting-down'],
    [1, 10],
  ]);
  edge.sources.end();
  expect(edge.asked.at(-1)).toBe('leave');
});

test('a member that stops without a leader says that the outcome is not known, and refuses what was not sent', async () => {
  const edge = new Edge();
  for (let id = 1; id <= 5; id++) edge.publish(id);
  const settled = edge.sources.settle(1_000);
  edge.time.run(1_000);
  await settled;
  edge.sources.end();
  const unknown = [1, 2, 3, 4].map((id) => [id, 'unknown-outcome']);
  expect(edge.outcomes).toEqual([...unknown, [5, 'shutting-down']]);
});

test('sources that are wanted elsewhere are asked for a sign of life, if there are any', () => {
  const edge = new Edge();
  edge.wanted = [1, 2];
  edge.publish(1);
  edge.time.run(1_100);
  expect(edge.challenged).toContain(1);
  expect(edge.challenged).not.toContain(2);
});

test('a source that has ended is released at a leader that may know it, however long that takes', async () => {
  const edge = new Edge();
  edge.publish(1);
  edge.messages[0]!.answer(taken(1, 10));
  edge.logged(10);
  edge.sources.release(1, 'ada');
  let isOver = false;
  void edge.sources.behind(1).then(() => (isOver = true));
  for (let ms = 0; ms < 30_000; ms += 1_000) {
    for (const message of edge.messages.splice(0)) message.end('nobody');
    edge.time.run(1_000);
  }
  expect([isOver, edge.messages.at(-1)!.entries]).toEqual([false, [['release']]]);
  edge.messages.at(-1)!.answer(taken(1, 10));
  await edge.sources.behind(1);
  expect([isOver, edge.sources.figures().sources, edge.sources.holderOf('AA')]).toEqual([
    true,
    0,
    0,
  ]);
});
