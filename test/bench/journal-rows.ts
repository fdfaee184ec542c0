/**
 * Journal rows: batches of a generated market of five instruments, as a recorder makes them (ticks, trades, deltas,
 * snapshots, bbo), repeated: each lap has new seqs.
 *
 * A lap reuses the same objects and advances their seqs. New objects would cost the thread that feeds the journal
 * more than the journal itself. A receiver of a batch must keep nothing of it.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { BatchEvent } from '../../protocol/records';
import { Nanos } from '../../protocol/time';
import { SystemClock } from '../../src/base/clock';
import { StartFault } from '../../src/base/start-fault';
import { openRecorder } from '../../src/app/recorder';
import type { Batch } from '../../src/base/contracts/batch';
import { createDiscardingWriter } from './discarding-writer';
import { generateMarket, settings } from './generated-market';

export const SYMBOLS: readonly string[] = ['BTCUSDT', 'ETHUSDT', 'SOLUSDT', 'XRPUSDT', 'ADAUSDT'];
/** Source events in a submission. */
const SUBMISSION = 10;
const START = Nanos.fromSeconds(1_723_161_253, 0);

type Movable = { -readonly [K in 'seq' | 'prevSeq']?: number };

export class JournalRows {
  /** Records in a lap. */
  readonly count: number;
  readonly sourceEvents: number;
  private readonly batches: readonly Batch[];
  private offset = 0;

  /** @param sourceEvents in a lap @param batchEvents of them in a turn of the sequencer */
  constructor(sourceEvents: number, batchEvents: number) {
    const source = generateMarket({
      symbols: SYMBOLS,
      events: sourceEvents,
      seed: 9,
      start: START,
    });
    const directory = mkdtempSync(join(tmpdir(), 'tapedeck-bench-'));
    const batches: Batch[] = [];
    const recorder = openRecorder(settings({ journal: { directory } }), new SystemClock(), {
      createWriter: createDiscardingWriter,
    });
    if (recorder instanceof StartFault) throw new Error(recorder.message);
    recorder.follow((batch) => void batches.push(batch));
    const { sequencer, journal } = recorder;
    let receiveTime = START;
    for (let i = 0; i < source.length; i += SUBMISSION) {
      const events = source.slice(i, i + SUBMISSION);
      // As if they had arrived when they happened: what is due each second is decided by this time.
      const last = events.at(-1)!;
      if ('eventTime' in last) receiveTime = last.eventTime;
      sequencer.submit(1, events, checkTaken, { receiveTime });
      if ((i + SUBMISSION) % batchEvents === 0) sequencer.drain();
    }
    sequencer.drain();
    this.batches = batches;
    this.count = batches.at(-1)!.lastSeq;
    this.sourceEvents = source.length;
    journal.abandon();
    rmSync(directory, { recursive: true, force: true });
  }

  /** A lap whose first seq is after `seq`. */
  *lapBehind(seq: number): Iterable<Batch> {
    const shift = seq - this.offset;
    this.offset = seq;
    for (const { events } of this.batches) for (const event of events) move(event, shift);
    for (const batch of this.batches) {
      yield { ...batch, firstSeq: batch.firstSeq + seq, lastSeq: batch.lastSeq + seq };
    }
  }
}

function move(event: BatchEvent, shift: number): void {
  const movable = event as Movable;
  movable.seq! += shift;
  // The first event of a topic in a lap has no previous one.
  if (movable.prevSeq !== undefined && movable.prevSeq > 0) movable.prevSeq += shift;
}

function checkTaken(result: object): void {
  if ('fault' in result) throw new Error('the generated market is refused');
}
