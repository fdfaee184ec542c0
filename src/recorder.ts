/**
 * Recorder: the part of the way that `serve` and an offline `replay` share.
 *
 *     submissions ─► sequencer ─► market ─► batch ─► journal ─► accept
 */

import type { BatchEvent } from '../protocol/records';
import type { Clock } from './base/clock';
import { StartFault } from './base/start-fault';
import type { Config, InstrumentSettings } from './config';
import { SnapshotPolicy, type SnapshotOptions } from './journal/snapshot-policy';
import { openJournal, type SqliteJournal } from './journal/sqlite-journal';
import { readCheckpoint, writeCheckpoint } from './market/checkpoint';
import { Market } from './market/market';
import type { Batch } from './sequencer/batch';
import { Sequencer, type SequencedMarket } from './sequencer/sequencer';
import { Statistics } from './statistics';

export interface Recorder {
  readonly market: Market;
  readonly sequencer: Sequencer;
  readonly journal: SqliteJournal;
  /** At the newest place of the market, as is the market itself. */
  readonly statistics: Statistics;
  /** Takes what still waits, and closes the journal in order. */
  close(): void;
}

/** Takes every event on before the journal has it; at a start those of the tail, as they pass. */
export interface Follower {
  accept(events: readonly BatchEvent[]): void;
  tap(events: Iterable<BatchEvent>): Iterable<BatchEvent>;
}

/**
 * @param accept takes each batch once it is as durable as was chosen
 * @param fail ends the process: the journal cannot be written, and what is not in it must not be shown
 * @param recent answers with what the journal may not have yet
 */
export function openRecorder(
  config: Config,
  clock: Clock,
  accept: (batch: Batch) => void,
  fail: (fault: StartFault) => never = throwFault,
  recent?: Follower,
): Recorder | StartFault {
  const opened = openJournal(config.journal, clock);
  if (opened instanceof StartFault) return opened;
  const { journal, recovered } = opened;
  journal.failed = (e) => fail(unwritable(config.journal.directory, e));
  const market = new Market(config.limits);
  const statistics = new Statistics(config.market.sessionBoundary);
  try {
    const checkpoint = recovered.checkpoint === null ? null : readCheckpoint(recovered.checkpoint);
    statistics.restore(checkpoint?.statistics ?? {});
    const tail = statistics.tap(dense(recovered.tail));
    market.restore(checkpoint, recent?.tap(tail) ?? tail);
  } catch (e) {
    journal.abandon();
    return new StartFault(
      'journal-damaged',
      `the journal in ${config.journal.directory} does not read: ${(e as Error).message}`,
      'Move the directory away to start with an empty journal.',
    );
  }
  journal.captureState = () =>
    writeCheckpoint({ ...market.checkpoint(), statistics: statistics.state() });
  const sequencer = new Sequencer(
    {
      epoch: recovered.epoch,
      lastSeq: recovered.lastSeq,
      waitingEventsMax: config.limits.waitingEventsMax,
      batchEventsMax: config.limits.batchEventsMax,
      schedule: (turn) => void setImmediate(turn),
    },
    withSnapshots(market, snapshotPolicy(config)),
    clock,
    (batch, answer) => {
      statistics.accept(batch.events); // before the journal, which may write a checkpoint now
      recent?.accept(batch.events);
      journal.append(batch, () => {
        accept(batch);
        answer();
      });
    },
  );
  return {
    market,
    sequencer,
    journal,
    statistics,
    close: () => {
      sequencer.drain();
      journal.close();
    },
  };
}

/** When books are written whole: by what the journal is told, or the instrument of its own. */
function snapshotPolicy({ journal, instruments }: Config): SnapshotPolicy {
  const optionsOf = (own: Partial<InstrumentSettings>): SnapshotOptions => ({
    everyMs: own.snapshotEveryMs ?? journal.snapshotEveryMs,
    changeShare: (own.snapshotChangePercent ?? journal.snapshotChangePercent) / 100,
  });
  return new SnapshotPolicy(
    optionsOf({}),
    new Map(instruments.map((own) => [own.symbol, optionsOf(own)])),
  );
}

/** The market, with snapshots behind each submission that makes them due. */
function withSnapshots(market: Market, policy: SnapshotPolicy): SequencedMarket {
  for (const instrument of market.all()) {
    policy.hydrate(Array.from(instrument.newest()).filter((event) => event.type === 'book'));
  }
  return {
    check: (source, events) => market.check(source, events),
    apply: (source, event, out) => market.apply(source, event, out),
    settle: (out, events, from) => {
      for (const due of policy.accept(events, from)) {
        out.push({ type: 'snapshot', seq: out.nextSeq(), ...due });
      }
    },
    seal: () => market.seal(),
  };
}

function throwFault(fault: StartFault): never {
  throw new Error(fault.message);
}

function unwritable(directory: string, e: unknown): StartFault {
  return new StartFault(
    'journal-unwritable',
    `the journal in ${directory} cannot be written: ${(e as Error).message}`,
    'Make room on its disk, or mend it, and start again: everything acknowledged is in the journal.',
  );
}

/** The events as they are. @throws Error when a place between them is empty: each has its record */
function* dense(events: Iterable<BatchEvent>): Iterable<BatchEvent> {
  let last = 0;
  for (const event of events) {
    if (last !== 0 && event.seq !== last + 1) throw new Error(`record ${last + 1} is missing`);
    last = event.seq;
    yield event;
  }
}
