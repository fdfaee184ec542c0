/**
 * Verify pool: checks all records of a journal in stretches of whole blocks, on as many threads as
 * there are cores. A small journal is checked on the thread of the caller.
 *
 * Each thread takes the next stretch when it has finished one; the first thread begins with
 * SQLite's own check of the file. Stretches are independent, so the fault with the lowest seq is
 * the first one. What retention deletes meanwhile is not checked any more. Bounded: one stretch for
 * each thread.
 */

import type { Database } from 'bun:sqlite';
import { availableParallelism } from 'node:os';

import type { JournalReading } from '../recover/reading';
import { idOf, KIND, seqOf, SLOT, SLOTS } from '../schema';
import type { Definition, Fault, FromVerifier, StretchTask, Task, ToVerifier } from './messages';
import { watchUnchanged } from '../read-connection';
import { startThread } from '../threads';
import { StretchCheck } from './stretch';
import { structureFault } from './structure';

export interface RecordsFound {
  /** What is wrong with the file itself. */
  readonly structure: string | undefined;
  /** The first fault. */
  readonly fault: string | undefined;
  readonly events: number;
  /** The newest definition of each instrument, by its id. */
  readonly definitions: ReadonlyMap<number, Definition>;
  /** The seq up to which retention has deleted records since the verification began; 0: nothing. */
  readonly cutSeq: number;
}

const STRETCH_BLOCKS = 64;
/** With fewer records, a thread takes longer to start than the check. */
const THREADED_RECORDS = 200_000;
const THREADS_MAX = 8;

/**
 * @param db a connection for this check alone
 * @param onRecords called with the number of records checked so far
 * @param threadedRecords from this number on, threads are used
 * @throws Error when the journal cannot be read
 */
export async function checkRecords(
  reading: JournalReading,
  db: Database,
  onRecords: (records: number) => void,
  threadedRecords = THREADED_RECORDS,
): Promise<RecordsFound> {
  const work = new Work(reading, db, onRecords);
  const threads = Math.min(availableParallelism(), THREADS_MAX);
  if (threads > 1 && reading.seqLast - reading.seqFirst >= threadedRecords) {
    await runThreads(threads, work, reading);
  } else {
    runHere(work, reading, db);
  }
  return work.found();
}

function runHere(work: Work, { path, instruments }: JournalReading, db: Database): void {
  const check = new StretchCheck(db, instruments);
  for (let task = work.next(); task !== undefined; task = work.next()) {
    if (task === 'structure') work.take({ task, fault: structureFault(db, path) });
    else work.take({ task, found: check.run(task) });
  }
  check.close();
}

async function runThreads(count: number, work: Work, reading: JournalReading): Promise<void> {
  const workers = Array.from({ length: count }, () => startThread('verify'));
  const { path, instruments } = reading;
  try {
    await Promise.all(
      workers.map((worker) => drive(worker, work, { open: { path, instruments } })),
    );
  } finally {
    for (const worker of workers) worker.terminate();
  }
}

/** Gives a thread one task after another, until none is left. */
function drive(worker: Worker, work: Work, open: ToVerifier): Promise<void> {
  return new Promise((resolve, reject) => {
    const give = (): void => {
      try {
        const task = work.next();
        if (task === undefined) resolve();
        else worker.postMessage({ task } satisfies ToVerifier, []);
      } catch (e) {
        reject(e);
      }
    };
    worker.onmessage = ({ data }: MessageEvent<FromVerifier>): void => {
      work.take(data);
      give();
    };
    worker.onerror = (e): void => reject(new Error(e.message));
    worker.postMessage(open, []);
    give();
  });
}

/** The tasks that are left, and what was found. */
class Work {
  private readonly reading: JournalReading;
  private readonly db: Database;
  private readonly onRecords: (records: number) => void;
  private readonly checkUnchanged: () => void;
  private readonly again: StretchTask[] = [];
  /** Id of the last record that a task covers so far. */
  private givenId = -1;
  private isStructureGiven = false;
  private isTailGiven = false;
  private cutSeq = 0;
  private readonly cutBefore: number;
  private structure: string | undefined;
  private fault: Fault | undefined;
  private events = 0;
  private readonly definitions = new Map<number, Definition>();

  constructor(reading: JournalReading, db: Database, onRecords: (records: number) => void) {
    this.reading = reading;
    this.db = db;
    this.onRecords = onRecords;
    this.checkUnchanged = watchUnchanged(reading.path);
    this.cutBefore = reading.gaps.findLast(({ reason }) => reason === 'retention')?.to ?? 0;
  }

  next(): Task | undefined {
    if (!this.isStructureGiven) {
      this.isStructureGiven = true;
      return 'structure';
    }
    const again = this.again.pop();
    if (again !== undefined) return again;
    if (this.isTailGiven) return undefined;
    const end = idOf(this.reading.seqLast, SLOTS - 1);
    const ids = this.db
      .query<{ id: number }, [number, number]>(
        `SELECT last_id AS id FROM block WHERE last_id > ? AND last_id <= ? ORDER BY last_id LIMIT ${STRETCH_BLOCKS}`,
      )
      .all(this.givenId, end);
    const afterId = this.givenId;
    const lastId = ids.at(-1)?.id ?? end;
    this.givenId = lastId;
    this.isTailGiven = ids.length === 0;
    return { afterId, lastId, isSealed: !this.isTailGiven };
  }

  take(answer: FromVerifier): void {
    if (answer.task === 'structure') {
      this.structure = answer.fault;
      return;
    }
    const { events, definitions, fault } = answer.found;
    if (fault !== undefined) {
      if (this.isCutOff(fault)) {
        const afterId = idOf(this.cutSeq, SLOT.gap);
        if (afterId < answer.task.lastId) this.again.push({ ...answer.task, afterId });
        return;
      }
      if (this.fault === undefined || fault.seq < this.fault.seq) this.fault = fault;
    }
    this.events += events;
    for (const definition of definitions) {
      const newest = this.definitions.get(definition.instrument);
      if (newest === undefined || newest.seq < definition.seq) {
        this.definitions.set(definition.instrument, definition);
      }
    }
    this.checkUnchanged();
    this.onRecords(this.events);
  }

  found(): RecordsFound {
    const { structure, events, definitions, cutSeq } = this;
    return { structure, fault: this.fault?.message, events, definitions, cutSeq };
  }

  /** Whether retention has deleted the faulty records since the verification began. */
  private isCutOff({ seq }: Fault): boolean {
    const cut = this.db
      .query<{ id: number }, []>(
        `SELECT r.id FROM note n JOIN record r ON r.id = n.id
           WHERE n.kind = ${KIND.gap} AND r.text = 'retention' ORDER BY n.id DESC LIMIT 1`,
      )
      .get();
    const cutSeq = cut === null ? 0 : seqOf(cut.id);
    if (cutSeq <= this.cutBefore) return false;
    this.cutSeq = cutSeq;
    return seq <= cutSeq;
  }
}
