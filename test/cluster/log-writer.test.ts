/** The log writer: what goes into a frame, when it is sent again, when it stops, and what it says of itself. */

import { describe, expect, test } from 'bun:test';

import { decodeLogBatches, decodeLogFrame, type LogFrame } from '../../protocol/log-frame';
import type { WireBatch } from '../../protocol/batch';
import { Prng } from '../../src/base/prng';
import { LogWriter, startAt, type WriterEnd } from '../../src/cluster/log-writer';
import { tradesBatch } from '../support/log-batches';
import { VirtualLog, type VirtualBroker } from '../support/virtual-broker';
import { VirtualTime } from '../support/virtual-time';

const EPOCH = 7;

class Setup {
  readonly time = new VirtualTime();
  readonly log = new VirtualLog(this.time, new Prng(1));
  readonly broker: VirtualBroker = this.log.connect();
  readonly acknowledged: number[] = [];
  readonly said: string[] = [];
  readonly ends: WriterEnd[] = [];
  opened = 0;
  readonly writer: LogWriter;

  constructor(
    more: { start?: { sequence: number; epoch: number; seq: number }; name?: string } = {},
  ) {
    const say = (_: object, message: string): void => void this.said.push(message);
    this.writer = this.writerOf(more.start ?? { sequence: 0, epoch: 0, seq: 0 }, say);
    this.time.every(20, () => this.writer.look());
  }

  /** The frames of the log, of a kind. */
  frames(kind?: LogFrame['kind']): LogFrame[] {
    const all = this.log.stored.map(({ bytes }) => decodeLogFrame(bytes) as LogFrame);
    return all.filter((frame) => kind === undefined || frame.kind === kind);
  }

  private writerOf(
    start: { sequence: number; epoch: number; seq: number },
    say: (detail: object, message: string) => void,
  ): LogWriter {
    return new LogWriter(
      {
        broker: this.broker,
        clock: this.time.clock,
        log: { info: say, warn: say, error: say },
        shard: 'main',
        epoch: EPOCH,
        writer: 'w',
        start,
        queueBytesMax: 6_000,
        queueBatchesMax: 20,
      },
      {
        opened: () => (this.opened += 1),
        acknowledged: (seq) => this.acknowledged.push(seq),
        stopped: (end) => this.ends.push(end),
      },
    );
  }
}

/** The numbers of a frame. */
const rangeOf = ({ firstSeq, lastSeq, batches }: LogFrame): number[] => [
  firstSeq,
  lastSeq,
  batches.length,
];

describe('the log writer', () => {
  test('opens its epoch behind what the log ends with, and says when it leads', () => {
    const { time, writer, frames, ...setup } = bound(new Setup());
    expect(writer.figures().state).toBe('opening');
    time.run(10);
    expect(writer.figures().state).toBe('leading');
    expect(setup.of.opened).toBe(1);
    expect(frames()).toMatchObject([
      { kind: 'epoch', epoch: EPOCH, prevEpoch: 0, firstSeq: 1, lastSeq: 0, prevLastSeq: 0 },
    ]);
  });

  test('has one frame in flight, and what comes meanwhile goes together into the next', () => {
    const { time, writer, frames, of } = bound(new Setup());
    time.run(10);
    for (let i = 0; i < 9; i++) writer.accept(tradesBatch(EPOCH, 1 + 2 * i, 2));
    expect(of.acknowledged).toEqual([]);
    time.run(10);
    expect(frames('batches').map(rangeOf)).toEqual([
      [1, 2, 1],
      [3, 18, 8],
    ]);
    expect(of.acknowledged).toEqual([2, 18]);
    const [, second] = frames('batches');
    expect((decodeLogBatches(second!) as WireBatch[])[0]).toEqual(tradesBatch(EPOCH, 3, 2));
    expect(of.log.stored.map(({ id }) => id)).toEqual(['main.7.w.0', 'main.7.w.1', 'main.7.w.2']);
    expect(writer.figures()).toMatchObject({ frames: 3, batches: 9, heartbeats: 0, sequence: 3 });
    expect(writer.figures().acks.count).toBe(3);
  });

  test('a frame stays below the limit of the broker; a larger batch goes in parts', () => {
    const { time, writer, frames, of } = bound(new Setup());
    time.run(10);
    writer.accept(tradesBatch(EPOCH, 1, 1));
    writer.accept(tradesBatch(EPOCH, 2, 40));
    writer.accept(tradesBatch(EPOCH, 42, 40));
    time.run(20);
    writer.accept(tradesBatch(EPOCH, 82, 300));
    time.run(2);
    expect(of.acknowledged.at(-1)).toBe(81); // not with its first part
    time.run(50);
    for (const { bytes } of of.log.stored) {
      expect(bytes.length).toBeLessThanOrEqual(of.broker.frameBytesMax);
    }
    const parts = frames('batches').filter(({ parts }) => parts > 1);
    expect(parts.map(({ part }) => part)).toEqual([0, 1, 2, 3].slice(0, parts[0]!.parts));
    for (const part of parts) expect(rangeOf(part)).toEqual([82, 381, 1]);
    expect(of.acknowledged.slice(-2)).toEqual([81, 381]);
    expect(writer.figures()).toMatchObject({ queuedBytes: 0, queuedBatches: 0 });
  });

  test('numbers that are missing are declared, and what lies behind them begins a frame', () => {
    const { time, writer, frames } = bound(new Setup({ start: { sequence: 0, epoch: 3, seq: 5 } }));
    writer.accept(tradesBatch(EPOCH, 8, 1));
    writer.accept(tradesBatch(EPOCH, 9, 1));
    writer.accept(tradesBatch(EPOCH, 11, 1));
    time.run(20);
    expect(frames('batches').map((f) => rangeOf(f).concat(f.prevLastSeq))).toEqual([
      [8, 9, 2, 5],
      [11, 11, 1, 9],
    ]);
    expect(() => writer.accept(tradesBatch(EPOCH, 11, 1))).toThrow('batch 11 behind 11');
    expect(() => writer.accept(tradesBatch(6, 12, 1))).toThrow('a batch of epoch 6 in epoch 7');
    expect(writer.accept(tradesBatch(EPOCH, 12, 0))).toBe('taken');
    expect(writer.position).toBe(11);
  });

  test('is full at its bounds, and has room again when the log has taken frames', () => {
    const { time, writer, of } = bound(new Setup());
    time.run(10);
    of.broker.cut();
    let next = 1;
    while (writer.accept(tradesBatch(EPOCH, next, 1)) === 'taken') next += 1;
    expect([next, writer.position, writer.hasRoom]).toEqual([21, 20, false]);
    expect(writer.figures()).toMatchObject({ queuedBatches: 20 });
    time.run(500);
    expect(writer.figures().queuedMs).toBeGreaterThanOrEqual(500);
    expect(writer.figures().inFlightMs).toBeGreaterThanOrEqual(500);
    of.broker.heal();
    time.run(100);
    expect(writer.hasRoom).toBe(true);
    expect(of.acknowledged.at(-1)).toBe(20);
    of.broker.cut();
    while (writer.accept(tradesBatch(EPOCH, next, 50)) === 'taken') next += 50;
    expect(writer.figures().queuedBytes).toBeGreaterThanOrEqual(6_000);
    expect(writer.figures().queuedBatches).toBeLessThan(20);
  });

  test('proves that it leads by a frame that it appends afterwards', async () => {
    const { time, writer, frames, of } = bound(new Setup());
    const answers: unknown[] = [];
    const ask = (seq: number): void => {
      void writer.proven(seq).then((isProven) => answers.push([seq, isProven]));
    };
    const answered = async (): Promise<unknown[]> => {
      await Promise.resolve();
      return answers.splice(0);
    };
    ask(0);
    time.run(30); // the frame of the epoch was sent before: a heartbeat follows at once
    expect(await answered()).toEqual([[0, true]]);
    expect(frames().map(({ kind }) => kind)).toEqual(['epoch', 'heartbeat']);
    writer.accept(tradesBatch(EPOCH, 1, 1));
    ask(1); // the frame in flight has the event, and was sent before
    ask(2); // nobody has numbered it yet
    time.run(2);
    expect(await answered()).toEqual([]);
    time.run(200);
    expect(await answered()).toEqual([[1, true]]);
    expect(frames('heartbeat')).toHaveLength(2);
    writer.accept(tradesBatch(EPOCH, 2, 1));
    time.run(50);
    expect(await answered()).toEqual([[2, true]]);
    of.broker.cut();
    ask(2);
    time.run(1_000);
    expect(await answered()).toEqual([]);
    writer.abandon();
    expect(await answered()).toEqual([[2, false]]);
    ask(2);
    expect(await answered()).toEqual([[2, false]]);
  });

  test('beats when it is idle, and only then', () => {
    const { time, writer, frames } = bound(new Setup());
    time.run(10);
    for (let i = 1; i <= 50; i++) {
      writer.accept(tradesBatch(EPOCH, i, 1));
      time.run(40);
    }
    expect(frames('heartbeat')).toEqual([]);
    time.run(2_600);
    expect(frames('heartbeat').length).toBeWithin(9, 11);
    expect(frames('heartbeat')[0]).toMatchObject({ epoch: EPOCH, firstSeq: 51, lastSeq: 50 });
  });

  test('sends the same bytes and id until there is an answer', () => {
    const { time, writer, of, frames } = bound(new Setup());
    time.run(10);
    of.log.faults.lostAnswer = 1;
    writer.accept(tradesBatch(EPOCH, 1, 1));
    time.run(10);
    expect(of.acknowledged).toEqual([]);
    expect(frames('batches')).toHaveLength(1);
    time.run(5_000);
    expect(of.said).toEqual(['the batch log takes no frame']);
    of.log.faults.lostAnswer = 0;
    time.run(2_500);
    expect(of.acknowledged).toEqual([1]);
    expect(frames('batches')).toHaveLength(1);
    expect(of.said).toEqual(['the batch log takes no frame', 'the batch log takes frames again']);
    const { resends, unavailables, duplicates } = writer.figures();
    expect(duplicates).toBe(1);
    expect([resends, unavailables].every((count) => count >= 2)).toBe(true);
  });

  test('waits while the broker has no room', () => {
    const { time, writer, of } = bound(new Setup());
    time.run(10);
    of.log.isFull = true;
    writer.accept(tradesBatch(EPOCH, 1, 1));
    time.run(5_000);
    expect(writer.figures().refusals).toBeWithin(4, 7);
    expect([of.acknowledged, of.ends]).toEqual([[], []]);
    of.log.isFull = false;
    time.run(1_100);
    expect(of.acknowledged).toEqual([1]);
  });

  test('stops for good when another has taken over, and acknowledges nothing more', () => {
    const { time, writer, of } = bound(new Setup());
    time.run(10);
    of.log.append({ id: 'main.8.v.0', bytes: new Uint8Array(1) }, 1, () => {});
    time.run(10);
    writer.accept(tradesBatch(EPOCH, 1, 1));
    writer.accept(tradesBatch(EPOCH, 2, 1));
    time.run(100);
    expect(of.ends).toEqual([{ reason: 'deposed', last: 2 }]);
    expect(of.acknowledged).toEqual([]);
    expect(of.log.last).toBe(2);
    expect(writer.accept(tradesBatch(EPOCH, 3, 1))).toBe('stopped');
    expect(writer.hasRoom).toBe(false);
    time.run(5_000);
    expect(of.log.last).toBe(2);
    expect(writer.figures()).toMatchObject({ state: 'stopped', queuedBytes: 0, inFlightMs: 0 });
  });

  test('one that loses the contest for the epoch never leads', () => {
    const { time, of } = bound(new Setup());
    of.log.append({ id: 'main.7.v.0', bytes: new Uint8Array(1) }, 0, () => {});
    time.run(100);
    expect(of.ends).toEqual([{ reason: 'deposed', last: 1 }]);
    expect(of.opened).toBe(0);
  });

  test('close waits until the log has everything; abandon does not', () => {
    const closed = bound(new Setup());
    closed.writer.accept(tradesBatch(EPOCH, 1, 1));
    closed.writer.close();
    expect(closed.writer.accept(tradesBatch(EPOCH, 2, 1))).toBe('stopped');
    closed.time.run(20);
    expect(closed.of.acknowledged).toEqual([1]);
    expect(closed.of.ends).toEqual([{ reason: 'closed' }]);
    const abandoned = bound(new Setup());
    abandoned.writer.accept(tradesBatch(EPOCH, 1, 1));
    abandoned.writer.abandon();
    abandoned.time.run(20);
    expect([abandoned.of.acknowledged, abandoned.of.ends]).toEqual([[], [{ reason: 'closed' }]]);
  });

  test('a stream that is not what it was stops it', () => {
    const { time, writer, of } = bound(new Setup({ start: { sequence: 9, epoch: 1, seq: 4 } }));
    time.run(20);
    expect(of.ends).toEqual([{ reason: 'refused', message: 'wrong-stream: shorter' }]);
    expect(writer.figures().state).toBe('stopped');
  });

  test('where a writer begins follows from the last frame', () => {
    const { time, writer, of } = bound(new Setup());
    expect(startAt({ sequence: 0, frame: null })).toEqual({ sequence: 0, epoch: 0, seq: 0 });
    expect(startAt({ sequence: 5, frame: null })).toBeNull();
    time.run(10);
    writer.accept(tradesBatch(EPOCH, 1, 3));
    time.run(10);
    const frame = of.log.frameAt(of.log.last);
    expect(startAt({ sequence: 2, frame })).toEqual({ sequence: 2, epoch: EPOCH, seq: 3 });
    // A batch of which not all parts are there is not in the log.
    writer.accept(tradesBatch(EPOCH, 4, 300));
    time.run(1.2);
    const part = of.log.frameAt(of.log.last);
    expect((decodeLogFrame(part!.bytes) as LogFrame).parts).toBeGreaterThan(1);
    expect(startAt({ sequence: 3, frame: part })).toMatchObject({ epoch: EPOCH, seq: 3 });
    const damaged = { sequence: 3, id: '', bytes: new Uint8Array(99) };
    expect(startAt({ sequence: 3, frame: damaged })).toMatchObject({ field: 'frame.magic' });
  });
});

/** What the tests use of a setup. */
function bound(setup: Setup): {
  time: VirtualTime;
  writer: LogWriter;
  frames: (kind?: LogFrame['kind']) => LogFrame[];
  of: Setup;
} {
  const { time, writer } = setup;
  return { time, writer, frames: (kind) => setup.frames(kind), of: setup };
}
