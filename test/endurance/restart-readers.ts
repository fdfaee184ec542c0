/**
 * The readers of the rolling restart: clients of the SDK, each on some topics, which reconnect by themselves. They
 * record everything received, and how long each was without data; at the end they compare it with the journal. It
 * is a separate process that receives jobs.
 */

import { TapedeckClient } from '../../src/client';
import { spread } from '../bench/spread';
import { addTo, compare, Entries, type Compared, type Entry } from './restart-truth';

export type ReadersJob =
  | {
      readonly act: 'start';
      readonly url: string;
      readonly topics: readonly string[];
      readonly readers: number;
    }
  /** From now on measures the longest time that each was without data. */
  | { readonly act: 'begin' }
  | { readonly act: 'end' }
  /** Compares everything received with the journal, which does not grow any more. */
  | { readonly act: 'check'; readonly url: string };

export interface ReadersDone {
  /** For each reader, since `begin`. */
  readonly withoutDataMs: readonly number[];
  /** Time since the last item, of the reader that has waited longest. */
  readonly quietMs: number;
  readonly resumed: number;
  /** The result of `check`. */
  readonly compared: Compared;
}

const readers: Reader[] = [];
let resumed = 0;

class Reader {
  readonly client: TapedeckClient;
  readonly entries = new Entries();
  lastMs = performance.now();
  withoutDataMs = 0;

  constructor(client: TapedeckClient) {
    this.client = client;
    client.on('resumed', () => (resumed += 1));
  }

  begin(): void {
    this.lastMs = performance.now();
    this.withoutDataMs = 0;
  }

  async read(topics: readonly string[], ready: () => void): Promise<void> {
    // Queued items of this process are read sooner or later, so they must not be dropped here.
    const subscription = this.client.subscribe(topics, { queueMax: 1_000_000 });
    void subscription.ready.then(ready);
    for await (const item of subscription) {
      const nowMs = performance.now();
      this.withoutDataMs = Math.max(this.withoutDataMs, nowMs - this.lastMs);
      this.lastMs = nowMs;
      this.entries.take(item);
    }
  }
}

async function start(job: Extract<ReadersJob, { act: 'start' }>): Promise<void> {
  const begun: Promise<void>[] = [];
  for (const topics of spread(job.topics, job.readers)) {
    const client = await TapedeckClient.connect(job.url, { client: 'endurance reader' });
    const reader = new Reader(client);
    readers.push(reader);
    begun.push(new Promise((resolve) => void reader.read(topics, resolve)));
  }
  await Promise.all(begun);
}

async function check(url: string): Promise<Compared> {
  const sum: Compared = { messages: 0, lost: 0, repeated: 0, gaps: 0, resets: 0, beyond: 0 };
  const topics = [...new Set(readers.flatMap(({ entries }) => [...entries.ofTopic.keys()]))];
  const journal = new Entries();
  using client = await TapedeckClient.connect(url);
  for await (const item of client.replay({ topics, fromSeq: 1 })) {
    if (item.type !== 'gap' && item.type !== 'reset') journal.take(item);
  }
  for (const { entries } of readers) {
    for (const [topic, taken] of entries.ofTopic) {
      addTo(sum, compare(taken, placesOf(journal.ofTopic.get(topic) ?? [])));
    }
  }
  return sum;
}

function placesOf(entries: readonly Entry[]): number[] {
  return entries.flatMap((entry) => (entry.is === 'message' ? [entry.seq] : []));
}

async function run(job: ReadersJob): Promise<void> {
  let compared: Compared = { messages: 0, lost: 0, repeated: 0, gaps: 0, resets: 0, beyond: 0 };
  if (job.act === 'start') await start(job);
  else if (job.act === 'begin') for (const reader of readers) reader.begin();
  else if (job.act === 'check') compared = await check(job.url);
  const nowMs = performance.now();
  process.send!({
    withoutDataMs: readers.map((r) => Math.max(r.withoutDataMs, nowMs - r.lastMs)),
    quietMs: Math.max(...readers.map((r) => nowMs - r.lastMs)),
    resumed,
    compared,
  } satisfies ReadersDone);
}

process.on('message', (job: ReadersJob) => void run(job));
process.on('disconnect', () => process.exit(0));
