/** The log reader: where it begins, what it takes for a hole, and what it repairs. */

import { describe, expect, test } from 'bun:test';

import { BatchEncoder } from '../../protocol/batch';
import { encodeLogFrame, type LogFrame } from '../../protocol/log-frame';
import { Prng } from '../../src/base/prng';
import { ok } from '../../src/cluster/broker';
import type { LogHole, LogPosition } from '../../src/cluster/frame-chain';
import { findEvent, locate } from '../../src/cluster/locate';
import { LogReader, type ReaderFigures } from '../../src/cluster/log-reader';
import { tradesBatch } from '../support/log-batches';
import { VirtualLog, type VirtualBroker } from '../support/virtual-broker';
import { VirtualTime } from '../support/virtual-time';
import { valueOf } from './broker-contract';

const encoder = new BatchEncoder();

/** A log that is written by hand, frame by frame. */
class Written {
  readonly time = new VirtualTime();
  readonly log = new VirtualLog(this.time, new Prng(1));
  private epoch = 0;
  private seq = 0;

  /** Opens an epoch where the log is, or behind a position that the caller gives. */
  opens(epoch: number, seq = this.seq): this {
    const frame = { kind: 'epoch', epoch, prevEpoch: this.epoch, firstSeq: seq + 1 } as const;
    this.put({ ...frame, lastSeq: seq, prevLastSeq: seq });
    this.epoch = epoch;
    this.seq = seq;
    return this;
  }

  /** Batches of so many events each, in one frame; `skipped` numbers before them were never logged. */
  has(counts: readonly number[], skipped = 0): this {
    const { epoch } = this;
    const firstSeq = this.seq + skipped + 1;
    let next = firstSeq;
    const batches = counts.map((count) => {
      const batch = encoder.encode(tradesBatch(epoch, next, count));
      next += count;
      return batch;
    });
    const frame = {
      kind: 'batches',
      epoch,
      prevEpoch: epoch,
      firstSeq,
      lastSeq: next - 1,
    } as const;
    this.put({ ...frame, prevLastSeq: this.seq, batches });
    this.seq = next - 1;
    return this;
  }

  beats(): this {
    const { epoch, seq } = this;
    const frame = { kind: 'heartbeat', epoch, prevEpoch: epoch, firstSeq: seq + 1 } as const;
    this.put({ ...frame, lastSeq: seq, prevLastSeq: seq });
    return this;
  }

  /** A batch in parts, of which only some are there. */
  parts(count: number, parts: number, there: readonly number[]): this {
    const { epoch, seq } = this;
    const bytes = encoder.encode(tradesBatch(epoch, seq + 1, count));
    const size = Math.ceil(bytes.length / parts);
    for (const part of there) {
      const frame = { kind: 'batches', epoch, prevEpoch: epoch, firstSeq: seq + 1 } as const;
      const batches = [bytes.subarray(part * size, (part + 1) * size)];
      this.put({ ...frame, lastSeq: seq + count, prevLastSeq: seq, part, parts, batches });
    }
    if (there.at(-1) === parts - 1) this.seq += count;
    return this;
  }

  put(frame: Omit<LogFrame, 'shard' | 'part' | 'parts' | 'batches'> & Partial<LogFrame>): this {
    return this.putBytes(
      encodeLogFrame({ shard: 'main', part: 0, parts: 1, batches: [], ...frame }),
    );
  }

  /** Appends whatever bytes. */
  putBytes(bytes: Uint8Array): this {
    const { log, time } = this;
    log.append({ id: `x${log.last}`, bytes }, log.last, () => {});
    time.run(2);
    return this;
  }

  /** From now on no replica has a frame that was stored, or only the leader. */
  loses(sequence: number, leaderHasIt = false): this {
    const { log } = this;
    const read = (broker: VirtualBroker): void => {
      const original = broker.read.bind(broker);
      const get = broker.get.bind(broker);
      if (!leaderHasIt) {
        broker.get = (at) => (at === sequence ? Promise.resolve(ok(null)) : get(at));
      }
      broker.read = async (from, framesMax, bytesMax) => {
        const answer = await original(from, framesMax + 1, bytesMax);
        if (answer.outcome !== 'ok') return answer;
        return {
          outcome: 'ok',
          value: answer.value.filter((frame) => frame.sequence !== sequence),
        };
      };
    };
    const connect = log.connect.bind(log);
    log.connect = () => {
      const broker = connect();
      read(broker);
      return broker;
    };
    return this;
  }

  reads(start: LogPosition | 'checkpoint', heldBytesMax = 10_000): Read {
    return new Read(this, start, heldBytesMax);
  }
}

/** What a reader handed over, in words. */
class Read {
  readonly got: string[] = [];
  readonly holes: LogHole[] = [];
  readonly broker: VirtualBroker;
  readonly reader: LogReader;

  constructor(written: Written, start: LogPosition | 'checkpoint', heldBytesMax: number) {
    const { time, log } = written;
    this.broker = log.connect();
    const silent = { info: () => {}, warn: () => {}, error: () => {} };
    const options = { broker: this.broker, clock: time.clock, log: silent, shard: 'main' };
    this.reader = new LogReader(
      { ...options, start, heldBytesMax },
      {
        checkpoint: ({ epoch, seq }, content) =>
          this.got.push(`checkpoint ${epoch}.${seq} ${content.length}`),
        batch: ({ epoch, firstSeq, lastSeq }) => this.got.push(`${epoch}.${firstSeq}-${lastSeq}`),
        epoch: ({ epoch, seq }, before) => this.got.push(`epoch ${before} to ${epoch} at ${seq}`),
        hole: (hole) => {
          this.holes.push(hole);
          this.got.push(`hole ${hole.after.seq} to ${hole.next.seq} ${hole.reason}`);
        },
        caughtUp: () => this.got.push('live'),
      },
    );
    time.every(20, () => this.reader.look());
    time.run(1_000);
  }

  get figures(): ReaderFigures {
    return this.reader.figures();
  }
}

const BEGINNING = { epoch: 0, seq: 0 };

describe('where a reader begins', () => {
  const written = (): Written =>
    new Written().opens(3).has([2, 1]).beats().has([4]).opens(5).has([1]).has([1, 1]).beats();

  test('at the beginning it gets everything', () => {
    const { got, figures } = written().reads(BEGINNING);
    const all = ['3.1-2', '3.3-3', '3.4-7', 'epoch 3 to 5 at 7', '5.8-8', '5.9-9', '5.10-10'];
    expect(got).toEqual(['epoch 0 to 3 at 0', ...all, 'live']);
    expect(figures).toMatchObject({ position: { epoch: 5, seq: 10 }, isLive: true, holes: 0 });
  });

  test('at a position it gets what lies behind it, whole batches', () => {
    const from = (epoch: number, seq: number): string[] => written().reads({ epoch, seq }).got;
    const last = ['epoch 3 to 5 at 7', '5.8-8', '5.9-9', '5.10-10', 'live'];
    expect(from(3, 0)).toEqual(['3.1-2', '3.3-3', '3.4-7', ...last]);
    expect(from(3, 1)).toEqual(['3.1-2', '3.3-3', '3.4-7', ...last]);
    expect(from(3, 2)).toEqual(['3.3-3', '3.4-7', ...last]);
    expect(from(3, 3)).toEqual(['3.4-7', ...last]);
    expect(from(3, 7)).toEqual(last);
    expect(from(5, 7)).toEqual(last.slice(1));
    expect(from(5, 9)).toEqual(['5.10-10', 'live']);
    expect(from(5, 10)).toEqual(['live']);
  });

  test('at a position that the log does not have it says where the log goes on', () => {
    const from = (epoch: number, seq: number): string[] => written().reads({ epoch, seq }).got;
    // A leader had numbered 8 and 9 in its epoch; the log has it up to 7.
    expect(from(3, 9).slice(0, 2)).toEqual(['hole 9 to 7 forked', 'epoch 3 to 5 at 7']);
    // Beyond the end, in the last epoch and in one that was never opened.
    expect(from(5, 12)).toEqual(['hole 12 to 10 forked', 'live']);
    expect(from(6, 10)).toEqual(['hole 10 to 10 forked', 'live']);
    // Of an epoch that the log never had.
    expect(from(4, 7)[0]).toBe('hole 7 to 7 forked');
  });

  test('what was trimmed is declared', () => {
    const log = written();
    log.log.trim(2);
    expect(log.reads(BEGINNING).got.slice(0, 2)).toEqual(['hole 0 to 3 missing', '3.4-7']);
    expect(log.reads({ epoch: 3, seq: 3 }).holes).toEqual([]);
    expect(log.reads({ epoch: 3, seq: 2 }).got.slice(0, 2)).toEqual([
      'hole 2 to 3 missing',
      '3.4-7',
    ]);
    log.log.trim(3);
    // Whether epoch 3 ended at 7 cannot be seen any more.
    expect(log.reads({ epoch: 3, seq: 7 }).got[0]).toBe('hole 7 to 7 forked');
  });

  test('with the newest checkpoint, or at the beginning if there is none', async () => {
    const log = written();
    expect(log.reads('checkpoint').got[0]).toBe('epoch 0 to 3 at 0');
    const { checkpoints } = log.log.connect();
    await log.time.settle(checkpoints.put({ epoch: 3, seq: 3 }, new Uint8Array(10)));
    await log.time.settle(checkpoints.put({ epoch: 5, seq: 8 }, new Uint8Array(20)));
    const { got } = log.reads('checkpoint');
    expect(got).toEqual(['checkpoint 5.8 20', '5.9-9', '5.10-10', 'live']);
  });

  test('the frame that holds an event is found', async () => {
    const { log, time } = written();
    const broker = log.connect();
    const at = async (seq: number): Promise<number | undefined> =>
      valueOf(await time.settle(findEvent(broker, seq)))?.sequence;
    expect([await at(1), await at(3), await at(4), await at(7)]).toEqual([2, 2, 4, 4]);
    expect([await at(8), await at(9), await at(10), await at(11)]).toEqual([6, 7, 7, undefined]);
    log.trim(2);
    expect([await at(3), await at(4)]).toEqual([undefined, 4]);
    const located = valueOf(await time.settle(locate(broker, { epoch: 3, seq: 9 })));
    expect(located).toEqual({ sequence: 5, position: { epoch: 3, seq: 7 } });
  });
});

describe('a reader that follows', () => {
  test('takes each frame as it comes, without asking', () => {
    const log = new Written().opens(3).has([1]);
    const { got, broker } = log.reads(BEGINNING);
    broker.read = () => Promise.reject(new Error('it asked'));
    log.has([1]).has([2, 2]).beats().opens(4).has([1]);
    expect(got.slice(3)).toEqual(['3.2-2', '3.3-4', '3.5-6', 'epoch 3 to 4 at 6', '4.7-7']);
  });

  test('voids what a deposed leader appends behind its successor', () => {
    const log = new Written().opens(3).has([1]).opens(4).has([1]);
    const zombie = { kind: 'batches', epoch: 3, prevEpoch: 3, firstSeq: 2, lastSeq: 2 } as const;
    const batches = [encoder.encode(tradesBatch(3, 2, 1, () => 666))];
    log.put({ ...zombie, prevLastSeq: 1, batches }).has([1]);
    const read = log.reads(BEGINNING);
    expect(read.got.slice(1)).toEqual(['3.1-1', 'epoch 3 to 4 at 1', '4.2-2', '4.3-3', 'live']);
    log.put({ ...zombie, prevLastSeq: 1, batches }).has([1]);
    expect(read.got.at(-1)).toBe('4.4-4');
    expect(read.figures).toMatchObject({ voided: 2, holes: 0 });
  });

  test('reads what it missed while it was cut off', () => {
    const log = new Written().opens(3).has([1]);
    const { got, broker, reader } = log.reads(BEGINNING);
    broker.cut();
    for (let i = 0; i < 10; i++) log.has([1]);
    expect(reader.figures().position.seq).toBe(1);
    broker.heal();
    log.time.run(20);
    expect(got.slice(3)).toEqual(Array.from({ length: 10 }, (_, i) => `3.${i + 2}-${i + 2}`));
    expect(reader.figures()).toMatchObject({ isLive: true, repairs: 1, holes: 0 });
  });

  test('reads after 750 ms without a frame, although nothing said that any is missing', () => {
    const log = new Written().opens(3).has([1]);
    const { got, reader } = log.reads(BEGINNING);
    log.log.faults.lostFollow = 1;
    log.has([1]);
    expect(got.at(-1)).toBe('live');
    log.time.run(800);
    expect(got.at(-1)).toBe('3.2-2');
    expect(reader.figures().isLive).toBe(true);
  });

  test('reads a frame that it was not sent as soon as the next one shows that', () => {
    const log = new Written().opens(3).has([1]);
    const { got } = log.reads(BEGINNING);
    log.log.faults.lostFollow = 1;
    log.has([1]);
    log.log.faults.lostFollow = 0;
    log.has([1]);
    log.time.run(10);
    expect(got.slice(3)).toEqual(['3.2-2', '3.3-3']);
  });

  test('holds no more than it may, and has everything all the same', () => {
    const log = new Written().opens(3).has([1]);
    const { got, broker, reader } = log.reads(BEGINNING, 400);
    const read = broker.read.bind(broker);
    broker.read = () => Promise.resolve({ outcome: 'unavailable', reason: 'not now' });
    log.log.faults.lostFollow = 1;
    log.has([1]);
    log.log.faults.lostFollow = 0;
    for (let i = 0; i < 20; i++) log.has([1]);
    expect(reader.figures().heldFrames).toBe(3);
    expect(reader.figures().heldBytes).toBeLessThanOrEqual(400);
    broker.read = read;
    log.time.run(200);
    expect(got.slice(3)).toEqual(Array.from({ length: 21 }, (_, i) => `3.${i + 2}-${i + 2}`));
    expect(reader.figures()).toMatchObject({ heldFrames: 0, heldBytes: 0 });
  });

  test('stops: nothing comes after that', () => {
    const log = new Written().opens(3).has([1]);
    const { got, reader } = log.reads(BEGINNING);
    const before = got.length;
    reader.stop();
    log.has([1]);
    log.time.run(2_000);
    expect(got).toHaveLength(before);
  });
});

describe('holes', () => {
  test('a frame that no replica has is declared', () => {
    const log = new Written().opens(3).has([1]).has([2]).has([1]).loses(3);
    const { got } = log.reads(BEGINNING);
    expect(got.slice(1)).toEqual(['3.1-1', 'hole 1 to 3 missing', '3.4-4', 'live']);
  });

  test('a frame that only the leader has is no hole', () => {
    const log = new Written().opens(3).has([1]).has([2]).has([1]).loses(3, true);
    const { got } = log.reads(BEGINNING);
    expect(got.slice(1)).toEqual(['3.1-1', '3.2-3', '3.4-4', 'live']);
  });

  test('numbers that were never logged are declared with the leader’s word', () => {
    const log = new Written().opens(3).has([1]).has([1, 1], 4);
    const { got } = log.reads(BEGINNING);
    expect(got.slice(1)).toEqual(['3.1-1', 'hole 1 to 5 never-logged', '3.6-6', '3.7-7', 'live']);
  });

  test('a damaged frame is a hole, and what follows is taken', () => {
    const log = new Written().opens(3).has([1]);
    const after = new Written().opens(3).has([1]).has([1]).has([1]).log;
    const [damaged, next] = [after.frameAt(3)!.bytes.slice(), after.frameAt(4)!.bytes];
    damaged[70]! ^= 1;
    log.putBytes(damaged).putBytes(next);
    const { got, figures } = log.reads(BEGINNING);
    expect(got.slice(1)).toEqual(['3.1-1', 'hole 1 to 2 missing', '3.3-3', 'live']);
    expect(figures.damaged).toBe(1);
  });

  test('batches that are not those of their frame are a hole', () => {
    const log = new Written().opens(3).has([1]);
    const frame = { kind: 'batches', epoch: 3, prevEpoch: 3, firstSeq: 2, lastSeq: 3 } as const;
    const batches = [encoder.encode(tradesBatch(3, 2, 1))];
    log.put({ ...frame, prevLastSeq: 1, batches });
    const { got } = log.reads(BEGINNING);
    expect(got.slice(1)).toEqual(['3.1-1', 'hole 1 to 3 damaged', 'live']);
  });

  test('a batch in parts comes with its last part', () => {
    const log = new Written().opens(3).parts(50, 3, [0, 1]);
    const { got } = log.reads(BEGINNING);
    expect(got).toEqual(['epoch 0 to 3 at 0', 'live']);
    log.parts(50, 3, [2]).has([1]);
    expect(got.slice(2)).toEqual(['3.1-50', '3.51-51']);
  });

  test('a batch in parts that was never completed is nothing, and its numbers are given again', () => {
    const log = new Written().opens(3).parts(50, 3, [0, 1]).opens(4).has([2]);
    const { got } = log.reads(BEGINNING);
    expect(got.slice(1)).toEqual(['epoch 3 to 4 at 0', '4.1-2', 'live']);
  });

  test('a batch whose first parts are gone is a hole once it is known to be one', () => {
    const log = new Written().opens(3).has([1]).parts(50, 3, [0, 1, 2]).has([1]);
    log.log.trim(3);
    const whole = log.reads({ epoch: 3, seq: 1 });
    expect(whole.got).toEqual(['hole 1 to 51 missing', '3.52-52', 'live']);
    const cut = new Written().opens(3).has([1]).parts(50, 3, [0, 1]).opens(4).has([1]);
    cut.log.trim(3);
    const never = cut.reads({ epoch: 3, seq: 1 });
    expect(never.got).toEqual(['epoch 3 to 4 at 1', '4.2-2', 'live']);
  });

  test('a log that was made again is noticed, and read from where it now begins', () => {
    const log = new Written().opens(3).has([1]).has([1]);
    const { got, reader } = log.reads(BEGINNING);
    log.log.stored = [];
    log.log.first = 1;
    log.opens(9, 0).has([1]);
    log.time.run(3_000);
    expect(got.slice(4)).toEqual(['hole 2 to 0 forked', 'epoch 3 to 9 at 0', '9.1-1']);
    expect(reader.position).toEqual({ epoch: 9, seq: 1 });
  });
});
