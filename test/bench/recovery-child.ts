/**
 * Children of the bench `recovery`; each is killed or ends by itself:
 *
 *     build DIR RECORDS LAP   a journal of so many records, closed in order; LAP source events repeat
 *     grow DIR RECORDS LAP    so many records more without a checkpoint; then it waits to be killed
 *     open DIR                prints the ms that recovery takes, as a server does it
 *     read DIR                prints the ms that reading the rows after the checkpoint takes, and how many
 */

import { Database } from 'bun:sqlite';
import { join } from 'node:path';

import type { SourceEvent } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { SystemClock } from '../../src/base/clock';
import { StartFault } from '../../src/base/start-fault';
import { JOURNAL_FILE } from '../../src/journal/recover/reading';
import { KIND, SELECT_RECORD } from '../../src/journal/schema';
import { createThreadWriter } from '../../src/journal/write/thread-writer';
import { openRecorder, type Recorder } from '../../src/app/recorder';
import { generateMarket, settings } from './generated-market';
import { SYMBOLS } from './journal-rows';

const SUBMISSION = 10;
/** Source events in a turn. */
const BATCH = 1000;
const START = Nanos.fromSeconds(1_723_161_253, 0);
/** How much is given to the writer before waiting for it. */
const WAITING_BYTES_MAX = 8 * 1_024 * 1_024;
const PAGE = 1024;

/** What a child prints. */
export interface RecoveryDone {
  readonly ms: number;
  readonly records: number;
}

function report(done: RecoveryDone): void {
  console.log(JSON.stringify(done));
}

async function write(directory: string, records: number, lap: number, isWhole: boolean) {
  const source = generateMarket({ symbols: SYMBOLS, events: lap, seed: 9, start: START });
  // Without the numbers of the source, so that it may send the same again.
  const events = source.map((event) => (event.type === 'instrument' ? event : unnumbered(event)));
  const journalSettings = { directory, ...(isWhole ? {} : { checkpointEveryEvents: 100_000_000 }) };
  const recorder = openSound({ journal: journalSettings });
  const { sequencer, journal } = recorder;
  const first = sequencer.lastSeq;
  for (let i = 0; sequencer.lastSeq - first < records; i += SUBMISSION) {
    const from = i % events.length;
    sequencer.submit(1, events.slice(from, from + SUBMISSION), checkTaken);
    if (i % BATCH === 0) sequencer.drain();
    if (journal.status().waitingBytes > WAITING_BYTES_MAX) await journal.flush();
  }
  sequencer.drain();
  await journal.flush();
  report({ ms: 0, records: sequencer.lastSeq - first });
  if (isWhole) recorder.close();
  else setInterval(() => {}, 60_000);
}

function openSound(changes: Record<string, unknown>): Recorder {
  const onDamage = (message: string): never => {
    throw new Error(message); // the journals of this bench are sound
  };
  const hooks = { createWriter: createThreadWriter, onDamage };
  const recorder = openRecorder(settings(changes), new SystemClock(), hooks);
  if (recorder instanceof StartFault) throw new Error(recorder.message);
  return recorder;
}

function unnumbered<E extends SourceEvent>(event: E): E {
  return { ...event, seq: 0, prevSeq: 0 };
}

function checkTaken(result: object): void {
  if ('fault' in result) throw new Error('the generated market is refused');
}

function open(directory: string): void {
  const start = performance.now();
  const recorder = openSound({ journal: { directory } });
  report({ ms: performance.now() - start, records: recorder.sequencer.lastSeq });
  process.kill(process.pid, 'SIGKILL'); // leaves the journal as it was
}

function read(directory: string): void {
  const start = performance.now();
  const db = new Database(join(directory, JOURNAL_FILE), { readonly: true });
  const newest = db
    .query<{ id: number }, [number]>('SELECT max(id) AS id FROM note WHERE kind = ?')
    .get(KIND.checkpoint)!;
  const page = db.query<{ id: number }, [number]>(
    `${SELECT_RECORD} WHERE id > ? ORDER BY id LIMIT ${PAGE}`,
  );
  let records = 0;
  let last = newest.id;
  for (;;) {
    const rows = page.all(last);
    if (rows.length === 0) break;
    records += rows.length;
    last = rows.at(-1)!.id;
  }
  report({ ms: performance.now() - start, records });
  db.close();
}

const [, , act, directory = '', records, lap] = process.argv;
if (act === 'build') await write(directory, Number(records), Number(lap), true);
else if (act === 'grow') await write(directory, Number(records), Number(lap), false);
else if (act === 'open') open(directory);
else read(directory);
