/** What every broker of a batch log does, the real one and the virtual one. */

import { afterEach, describe, expect, test } from 'bun:test';

import type { Answer, AppendResult, LogBroker, StoredFrame } from '../../src/cluster/broker';

export interface BrokerUnderTest {
  /** A connection to a log that is the same for all calls until `fresh`, and holds nothing at first. */
  open(): Promise<LogBroker>;
  /** The next `open` is of another log. */
  fresh(): void;
  /** Lets time pass until a promise settles. */
  settle<T>(promise: Promise<T>): Promise<T>;
  /** Lets time pass until a condition holds. */
  until(holds: () => boolean): Promise<void>;
}

export function valueOf<T>(answer: Answer<T>): T {
  if (answer.outcome === 'ok') return answer.value;
  throw new Error(`unavailable: ${answer.reason}`);
}

/** Bytes that differ from others of their length. */
export function bytesOf(n: number, length = 100): Uint8Array {
  return new Uint8Array(length).fill(n);
}

export function brokerContract(name: string, broker: () => BrokerUnderTest): void {
  describe(`the broker contract: ${name}`, () => {
    const opened: LogBroker[] = [];
    const open = async (): Promise<LogBroker> => {
      const log = await broker().open();
      opened.push(log);
      return log;
    };
    const settle = <T>(promise: Promise<T>): Promise<T> => broker().settle(promise);
    /** Asks again while nobody can say: a new stream may not have a leader yet. */
    const sure = async <T extends { readonly outcome: string }>(
      question: () => Promise<T>,
    ): Promise<T> => {
      for (;;) {
        const answer = await settle(question());
        if (answer.outcome !== 'unavailable') return answer;
      }
    };
    const append = (
      log: LogBroker,
      bytes: Uint8Array,
      id: string,
      last: number,
    ): Promise<AppendResult> => sure(() => log.append(bytes, id, last));
    const value = async <T>(question: () => Promise<Answer<T>>): Promise<T> =>
      valueOf(await sure(question));
    /** Appends frames 1 to n to an empty log. */
    const filled = async (log: LogBroker, n: number): Promise<void> => {
      for (let i = 1; i <= n; i++) {
        const result = await append(log, bytesOf(i), `a.1.${i}`, i - 1);
        expect(result).toMatchObject({ outcome: 'stored', sequence: i });
      }
    };
    /** All frames, as soon as the replica that answers has them. */
    const all = async (log: LogBroker): Promise<StoredFrame[]> => {
      const { sequence } = await value(() => log.last());
      for (;;) {
        const frames = await value(() => log.read(1, 1_000, 1e6));
        if ((frames.at(-1)?.sequence ?? 0) >= sequence) return frames;
      }
    };

    afterEach(async () => {
      for (const log of opened.splice(0)) await settle(log.close());
      broker().fresh();
    });

    test('an empty log ends at 0', async () => {
      const log = await open();
      expect(await value(() => log.last())).toEqual({ sequence: 0, frame: null });
      expect(await value(() => log.info())).toMatchObject({
        firstSequence: 1,
        lastSequence: 0,
        frames: 0,
        deleted: 0,
      });
      expect(await all(log)).toEqual([]);
    });

    test('what is appended is stored once, in order, and read back', async () => {
      const log = await open();
      await filled(log, 5);
      const expected = [1, 2, 3, 4, 5].map((n) => ({
        sequence: n,
        id: `a.1.${n}`,
        bytes: bytesOf(n),
      }));
      expect(await all(log)).toEqual(expected);
      expect(await value(() => log.last())).toEqual({ sequence: 5, frame: expected[4]! });
      expect(await value(() => log.get(2))).toEqual(expected[1]!);
      expect(await value(() => log.get(6))).toBeNull();
      const info = await value(() => log.info());
      expect(info).toMatchObject({ firstSequence: 1, lastSequence: 5, frames: 5 });
      const part = await value(() => log.read(3, 2, 1e6));
      expect(part).toEqual(expected.slice(2, 4));
      // One frame comes even if it has more bytes than were asked for.
      expect(await value(() => log.read(2, 10, 1))).toEqual(expected.slice(1, 2));
      expect(await value(() => log.read(6, 10, 1e6))).toEqual([]);
      expect(await value(() => log.read(99, 10, 1e6))).toEqual([]);
    });

    test('an append that expects another end is refused, and nothing is stored', async () => {
      const log = await open();
      await filled(log, 3);
      for (const expected of [0, 1, 2]) {
        const result = await append(log, bytesOf(9), `b.2.${expected}`, expected);
        expect(result).toEqual({ outcome: 'deposed', last: 3 });
      }
      expect(await append(log, bytesOf(9), 'b.2.9', 7)).toMatchObject({
        outcome: 'refused',
        reason: 'wrong-stream',
      });
      expect(await all(log)).toHaveLength(3);
    });

    test('the same bytes and id again are stored once, and the answer says where', async () => {
      const log = await open();
      await filled(log, 3);
      for (const n of [3, 3, 2, 1]) {
        const result = await append(log, bytesOf(n), `a.1.${n}`, n - 1);
        expect(result).toEqual({ outcome: 'stored', sequence: n, isDuplicate: true });
      }
      expect(await all(log)).toHaveLength(3);
    });

    test('of two members that append behind the same frame, one is stored and one deposed', async () => {
      const [one, other] = [await open(), await open()];
      await filled(one, 1);
      for (let last = 1; last < 20; last++) {
        const ids = [`a.1.${last}x`, `b.2.${last}`];
        let pair: readonly ({ outcome: string } & { last?: number })[] = [];
        const tries = [one, other].map(async (log, i) => {
          for (;;) {
            const result = await log.append(bytesOf(last + i), ids[i]!, last);
            if (result.outcome !== 'unavailable') return result;
          }
        });
        pair = await settle(Promise.all(tries));
        expect(pair.map(({ outcome }) => outcome).sort()).toEqual(['deposed', 'stored']);
        expect(pair.find(({ outcome }) => outcome === 'deposed')?.last).toBe(last + 1);
      }
      expect(await all(one)).toHaveLength(20);
    });

    test('the caller may use its buffer again at once', async () => {
      const log = await open();
      for (let i = 0; i < 20; i++) {
        const result = await sure(() => {
          const bytes = bytesOf(i + 1);
          const answer = log.append(bytes, `a.1.${i}`, i);
          bytes.fill(0xee);
          return answer;
        });
        expect(result).toMatchObject({ outcome: 'stored' });
      }
      expect((await all(log)).map(({ bytes }) => bytes)).toEqual(
        Array.from({ length: 20 }, (_, i) => bytesOf(i + 1)),
      );
    });

    test('followers get each frame after it was stored, until they stop', async () => {
      const [writer, reader] = [await open(), await open()];
      const got: StoredFrame[] = [];
      const frame = (stored: StoredFrame): void => void got.push(stored);
      const stop = reader.follow({ frame, reconnected: () => {} });
      // Behind an answer on the same connection the broker knows of the follower.
      await settle(reader.last());
      await filled(writer, 5);
      await broker().until(() => got.length >= 5);
      expect(got).toEqual(await all(writer));
      stop();
      await settle(writer.append(bytesOf(6), 'a.1.6', 5));
      await settle(reader.last());
      expect(got).toHaveLength(5);
    });

    test('a frame that is too large is refused', async () => {
      const log = await open();
      const most = await append(log, bytesOf(1, log.frameBytesMax), 'a.1.0', 0);
      expect(most).toMatchObject({ outcome: 'stored' });
      const large = await append(log, bytesOf(1, log.frameBytesMax + 2_048), 'a.1.1', 1);
      expect(large).toMatchObject({ outcome: 'refused', reason: 'too-large' });
    });

    test('checkpoints: the newest first, by position, and only a few are kept', async () => {
      const log = await open();
      const { checkpoints } = log;
      expect(await value(() => checkpoints.list())).toEqual([]);
      expect(await value(() => checkpoints.get('1.1'))).toBeNull();
      for (const [epoch, seq] of [
        [1, 90],
        [2, 100],
        [2, 95],
        [1, 80],
        [2, 1_000],
      ] as const) {
        const content = bytesOf(seq & 0xff, 300_000);
        const put = await value(() => checkpoints.put({ epoch, seq }, content));
        expect(put).toMatchObject({ epoch, seq, bytes: 300_000 });
      }
      const kept = await value(() => checkpoints.list());
      expect(kept.map(({ epoch, seq }) => [epoch, seq])).toEqual([
        [2, 1_000],
        [2, 100],
        [2, 95],
      ]);
      const content = await value(() => checkpoints.get(kept[1]!.name));
      expect(content).toEqual(bytesOf(100, 300_000));
      expect(await value(() => checkpoints.get('1.90'))).toBeNull();
    });

    test('after the end of the connection everything is unavailable', async () => {
      const log = await open();
      await filled(log, 1);
      const underWay = log.append(bytesOf(2), 'a.1.2', 1);
      await settle(log.close());
      expect(['unavailable', 'stored']).toContain((await settle(underWay)).outcome);
      expect((await settle(log.append(bytesOf(3), 'a.1.3', 2))).outcome).toBe('unavailable');
      expect((await settle(log.last())).outcome).toBe('unavailable');
      expect((await settle(log.get(1))).outcome).toBe('unavailable');
      expect((await settle(log.read(1, 1, 1))).outcome).toBe('unavailable');
      expect((await settle(log.info())).outcome).toBe('unavailable');
      expect((await settle(log.checkpoints.list())).outcome).toBe('unavailable');
    });
  });
}
