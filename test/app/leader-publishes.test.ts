/** The leader's end of what sources publish at other members: taken once and in order, bounded, and given back. */

import { describe, expect, test } from 'bun:test';

import type { SourceEvent } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { LeaderPublishes, LEASE_MS } from '../../src/app/leader-publishes';
import { Receipts } from '../../src/app/receipts';
import type { SourceEntry } from '../../src/base/contracts/core';
import type { SubmitOptions, SubmitResult } from '../../src/base/contracts/submission';
import { Prng } from '../../src/base/prng';
import {
  decodePublishAnswer,
  encodeAlive,
  encodeEntry,
  encodeLeave,
  encodePublish,
  ENTRY_BYTES_MAX,
  resultOf,
  type EntryKind,
  type PublishAnswer,
} from '../../src/cluster/publish-messages';
import { readSeed } from '../support/seed';
import { deep } from '../support/tier';

const EPOCH = 7;
const BASE = 100;

interface Submitted {
  readonly source: number;
  readonly ids: readonly number[];
  readonly options: SubmitOptions | undefined;
  readonly done: (result: SubmitResult) => void;
}

function trades(firstId: number, count: number): SourceEvent[] {
  return Array.from({ length: count }, (_, i) => ({
    type: 'trade',
    symbol: 'AA',
    seq: 0,
    prevSeq: 0,
    eventTime: Nanos.fromMillis(1_700_000_000_000),
    receiveTime: Nanos.ZERO,
    price: 1,
    quantity: 1,
    aggressor: 'buy',
    tradeId: firstId + i,
    timing: null,
  }));
}

function entry(kind: EntryKind, events: readonly SourceEvent[] = []): Uint8Array {
  const bytes = encodeEntry(kind, events, false);
  if ('code' in bytes) throw new Error(bytes.message);
  return bytes;
}

class Leader {
  readonly submitted: Submitted[] = [];
  readonly released: number[] = [];
  readonly challenged: number[] = [];
  readonly clients = new Map<number, string>();
  holder = 0;
  readonly receipts = new Receipts(BASE);
  readonly publishes: LeaderPublishes;
  nowMs = 0;
  seq = BASE;
  isProven = true;
  mayRead: Promise<void> = Promise.resolve();
  /** Whether submissions are taken at once. */
  takes = true;
  private sources = 0;

  constructor() {
    const entry: SourceEntry = {
      refusal: () => undefined,
      submit: (source, events, done, options) => {
        const ids = events.map((event) => (event as { tradeId: number }).tradeId);
        this.submitted.push({ source, ids, options, done });
        if (this.takes) this.take(this.submitted.at(-1)!);
      },
      behind: () => Promise.resolve(),
      yield: () => {},
      release: (source) => void this.released.push(source),
      holderOf: () => this.holder,
      isCrowded: () => false,
    };
    this.publishes = new LeaderPublishes({
      entry,
      epoch: EPOCH,
      lastSeq: () => this.seq,
      base: BASE,
      receipts: this.receipts,
      isProven: () => Promise.resolve(this.isProven),
      addSource: (client) => {
        this.clients.set(++this.sources, client());
        return this.sources;
      },
      endSource: () => {},
      clientOf: (source) => this.clients.get(source) ?? '',
      challenge: (source) => void this.challenged.push(source),
      slices: { run: (work) => this.read(work) },
      nowMs: () => this.nowMs,
    });
  }

  /** Reads a long entry, once `mayRead` resolves. */
  private async read<T>(work: Generator<undefined, T>): Promise<T> {
    await this.mayRead;
    for (;;) {
      const { done, value } = work.next();
      if (done === true) return value;
    }
  }

  take({ ids, options, done }: Submitted): void {
    const firstSeq = this.seq + 1;
    this.seq += ids.length;
    const intake = { repeated: 0, waiting: 0 };
    options?.worked?.({ firstSeq, lastSeq: this.seq, intake });
    done({ seq: this.seq, intake });
  }

  async ask(bytes: Uint8Array): Promise<PublishAnswer> {
    const answer = decodePublishAnswer(await this.publishes.handle(bytes));
    if ('code' in answer) throw new Error(answer.message);
    return answer;
  }

  send(
    number: number,
    bytes: Uint8Array,
    { source = 1, stream = 1, member = 'm' } = {},
  ): Promise<PublishAnswer> {
    return this.ask(encodePublish({ member, source, stream, number, owner: 'ada' }, bytes));
  }

  get ids(): number[] {
    return this.submitted.flatMap(({ ids }) => ids);
  }
}

function resultsOf(answer: PublishAnswer): SubmitResult[] {
  if (answer.kind !== 'outcomes') throw new Error(answer.kind);
  return answer.is.outcomes.map(resultOf);
}

describe('messages of a stream', () => {
  test('are taken in order, and a repeated one gets the first answer', async () => {
    const leader = new Leader();
    const first = entry('publish', trades(1, 2));
    expect(await leader.send(2, entry('publish', trades(3, 1)))).toMatchObject({ kind: 'gone' });
    const stream = { stream: 2 };
    const answer = await leader.send(1, first, stream);
    expect(resultsOf(answer)).toEqual([{ seq: BASE + 2, intake: { repeated: 0, waiting: 0 } }]);
    expect(await leader.send(3, first, stream)).toEqual({ kind: 'early', is: { epoch: EPOCH } });
    expect(await leader.send(1, first, stream)).toEqual(answer);
    await leader.send(2, entry('decimals', trades(3, 1)), stream);
    expect(leader.ids).toEqual([1, 2, 3]);
    expect(leader.submitted.map(({ options }) => options?.isDecimal)).toEqual([false, true]);
    expect(leader.publishes.figures()).toMatchObject({ entries: 2, repeated: 1, sources: 1 });
  });

  test('may cut entries anywhere but in their heads', async () => {
    const whole = Buffer.concat([
      entry('publish', trades(1, 40)),
      entry('publish', trades(41, 1)),
      entry('publish', trades(42, 40)),
    ]);
    for (let cut = 10; cut < whole.length; cut += 97) {
      const leader = new Leader();
      const first = await leader.send(1, whole.subarray(0, cut)).catch(() => null);
      if (first?.kind !== 'outcomes') continue; // it cuts a head
      const second = await leader.send(2, whole.subarray(cut));
      expect(resultsOf(first).length + resultsOf(second).length).toBe(3);
      expect(leader.ids).toEqual(Array.from({ length: 81 }, (_, i) => i + 1));
    }
  });

  test('what comes behind a long entry waits until that is read; if the source ends before, nothing is taken', async () => {
    for (const isReleased of [false, true]) {
      const leader = new Leader();
      const { promise, resolve } = Promise.withResolvers<void>();
      leader.mayRead = promise;
      const long = entry('publish', trades(1, 2_500));
      expect(long.length).toBeGreaterThan(48 * 1024);
      await leader.send(1, long.subarray(0, 20_000));
      const asked = [
        leader.send(2, long.subarray(20_000, 60_000)),
        leader.send(3, Buffer.concat([long.subarray(60_000), entry('publish', trades(2_501, 1))])),
      ];
      await asked[0];
      expect(leader.ids).toEqual([]);
      if (isReleased) {
        leader.nowMs += 500;
        leader.publishes.look();
        for (; leader.nowMs < 2 * LEASE_MS; leader.nowMs += 500) leader.publishes.look();
      }
      resolve();
      const results = resultsOf(await asked[1]!);
      expect(leader.ids).toEqual(isReleased ? [] : Array.from({ length: 2_501 }, (_, i) => i + 1));
      expect(results.map((one) => ('fault' in one ? one.fault.code : 'taken'))).toEqual(
        isReleased ? ['no-leader', 'no-leader'] : ['taken', 'taken'],
      );
    }
  });

  test('have one outcome each: a bad entry is refused, and those beside it are taken', async () => {
    const leader = new Leader();
    const bad = entry('publish', [{ ...trades(1, 1)[0]!, quantity: -1 } as SourceEvent]);
    const answer = await leader.send(1, Buffer.concat([bad, entry('publish', trades(2, 1))]));
    expect(resultsOf(answer)).toMatchObject([
      { index: -1, fault: { code: expect.any(String) } },
      { seq: BASE + 1 },
    ]);
  });

  test('a refusal is answered once the log has proven it, and not by a leader that was replaced', async () => {
    const leader = new Leader();
    leader.takes = false;
    leader.isProven = false;
    const asked = leader.send(1, entry('publish', trades(1, 1)));
    leader.submitted[0]!.done({ index: 0, fault: { code: 'symbol-in-use', message: 'taken' } });
    expect(await asked).toMatchObject({ kind: 'refused', is: { code: 'no-leader' } });
  });
});

describe('streams', () => {
  test('one that was replaced or released never begins again', async () => {
    const leader = new Leader();
    await leader.send(1, entry('publish', trades(1, 1)));
    await leader.send(1, entry('publish', trades(2, 1)), { stream: 2 });
    expect(leader.submitted.map(({ source }) => source)).toEqual([1, 1]);
    expect(await leader.send(1, entry('publish', trades(9, 1)))).toMatchObject({ kind: 'gone' });
    await leader.send(2, entry('release'), { stream: 2 });
    expect(leader.released).toEqual([1]);
    const gone = await leader.send(1, entry('publish', trades(9, 1)), { stream: 2 });
    expect(gone).toEqual({ kind: 'gone', is: { epoch: EPOCH, seq: BASE + 2 } });
    await leader.send(1, entry('publish', trades(3, 1)), { stream: 3 });
    expect(leader.submitted.at(-1)!.source).toBe(2);
  });

  test('the sources of a member that was silent are released; one that is alive keeps them', async () => {
    const leader = new Leader();
    await leader.send(1, entry('publish', trades(1, 1)), { member: 'a' });
    await leader.send(1, entry('publish', trades(2, 1)), { member: 'b' });
    for (leader.nowMs = 500; leader.nowMs <= LEASE_MS; leader.nowMs += 500) {
      expect(await leader.ask(encodeAlive('b'))).toEqual({
        kind: 'alive',
        is: { epoch: EPOCH, base: BASE, wanted: [] },
      });
      leader.publishes.look();
    }
    expect(leader.released).toEqual([1]);
    const late = await leader.send(1, entry('publish', trades(1, 1)), { member: 'a' });
    expect(late).toMatchObject({ kind: 'gone' });
    leader.nowMs += 10 * LEASE_MS; // this leader stood still, and cannot say who was silent
    leader.publishes.look();
    expect(leader.released).toEqual([1]);
  });

  test('a member that leaves gives back all its sources, and none of its streams begins again', async () => {
    const leader = new Leader();
    await leader.send(1, entry('publish', trades(1, 1)), { source: 1, stream: 1 });
    await leader.send(1, entry('publish', trades(2, 1)), { source: 2, stream: 2 });
    await leader.ask(encodeLeave('m'));
    expect(leader.released).toEqual([1, 2]);
    const late = await leader.send(2, entry('publish', trades(3, 1)), { source: 2, stream: 2 });
    expect(late.kind).toBe('gone');
  });

  test('a holder of the same client that is elsewhere has to show that it is alive', async () => {
    const refuse = async (leader: Leader, member: string): Promise<void> => {
      leader.takes = false;
      const asked = leader.send(1, entry('publish', trades(9, 1)), { member });
      const fault = { code: 'symbol-in-use', message: 'taken' } as const;
      leader.submitted.at(-1)!.done({ index: 0, fault });
      await asked;
    };
    const leader = new Leader();
    await leader.send(1, entry('publish', trades(1, 1)), { member: 'a', source: 5 });
    leader.holder = 1;
    await refuse(leader, 'b');
    expect(await leader.ask(encodeAlive('b'))).toMatchObject({ is: { wanted: [] } });
    expect(await leader.ask(encodeAlive('a'))).toMatchObject({ is: { wanted: [5] } });
    expect(await leader.ask(encodeAlive('a'))).toMatchObject({ is: { wanted: [] } });
    leader.holder = 77; // a connection of the leader itself
    leader.clients.set(77, 'bob');
    await refuse(leader, 'c');
    expect(leader.challenged).toEqual([]);
    leader.clients.set(77, 'ada');
    await refuse(leader, 'd');
    expect(leader.challenged).toEqual([77]);
  });

  test('a publish has its receipt before its answer, and no longer than until the log has it', async () => {
    const leader = new Leader();
    await leader.send(1, entry('publish', trades(1, 2)), { stream: 4 });
    const receipt = { publish: 1, firstSeq: BASE + 1, lastSeq: BASE + 2, isWhole: true };
    expect(leader.receipts.of(BASE + 1, BASE + 9)).toMatchObject([
      { member: 'm', stream: 4, receipts: [receipt] },
    ]);
    expect(leader.receipts.of(BASE + 2, BASE + 9)).toBeUndefined();
    expect(leader.receipts.of(BASE, BASE + 9)).toBeNull();
    leader.receipts.acknowledged(BASE + 1);
    expect(leader.receipts.length).toBe(0);
  });
});

describe('bounds', () => {
  test('memory for entries that have not come whole is reserved, refused, and freed', async () => {
    const leader = new Leader();
    const head = new Uint8Array(6);
    new DataView(head.buffer).setUint32(0, ENTRY_BYTES_MAX);
    const begin = (source: number): Promise<PublishAnswer> =>
      leader.send(1, head, { source, stream: source });
    for (let source = 1; source <= 8; source++) {
      expect(resultsOf(await begin(source))).toEqual([]);
    }
    expect(await begin(9)).toMatchObject({ kind: 'refused', is: { code: 'overloaded' } });
    // Nothing was done with it: it may come again when another entry has gone.
    await leader.send(1, entry('publish', trades(1, 1)), { source: 8, stream: 10 });
    expect(await leader.send(1, head, { source: 9, stream: 11 })).toMatchObject({
      kind: 'outcomes',
    });
  });

  test('hostile bytes are answered, within the bounds', async () => {
    const leader = new Leader();
    const random = new Prng(readSeed());
    const good = encodePublish(
      { member: 'm', source: 1, stream: 1, number: 1, owner: 'ada' },
      Buffer.concat([entry('publish', trades(1, 3)), entry('yield'), entry('release')]),
    );
    const runs = deep(100_000, 10_000);
    for (let i = 0; i < runs; i++) {
      const bytes = Uint8Array.from(good);
      for (let n = random.int(1, 4); n > 0; n--) {
        bytes[random.int(0, bytes.length - 1)] = random.int(0, 255);
      }
      const cut = random.chance(0.2) ? bytes.subarray(0, random.int(0, bytes.length)) : bytes;
      expect(decodePublishAnswer(await leader.publishes.handle(cut))).not.toHaveProperty('field');
    }
    for (const { ids } of leader.submitted) expect(ids.length).toBeLessThanOrEqual(3);
    const { members, sources } = leader.publishes.figures();
    expect(members).toBeLessThanOrEqual(1_000);
    expect(sources).toBeLessThanOrEqual(20_000);
  });
});
