/**
 * The readers of the soak that keep up: clients of the SDK, each on all channels of some instruments, one of them
 * over JSON. Each proves that it got everything or a declaration of what is missing: by the SDK's own checks
 * (chains, heads, books) and by a check from outside. Latency is measured from the time that the source wrote into
 * a trade or book to the time when the item is taken; both are wall time of this machine.
 */

import { TapedeckClient, type Item } from '../../src/client';
import { Samples, type Figures } from '../bench/samples';
import { ItemCheck } from './item-check';

export type ReadersJob =
  | {
      readonly act: 'start';
      readonly url: string;
      readonly symbols: readonly string[];
      readonly venues: readonly string[];
      readonly readers: number;
    }
  /** Returns the latencies since the last call, and the counts since the start. */
  | { readonly act: 'look' };

export interface ReadersDone extends Figures {
  /** Messages missing without a declaration, repeated seqs, and books whose checksum failed. */
  readonly losses: number;
  readonly repeats: number;
  readonly mismatches: number;
  readonly gaps: number;
  readonly resets: number;
  readonly disconnects: number;
  /** A description of the first error. */
  readonly first: string | null;
}

const CHANNELS = ['tick', 'trade', 'bbo', 'book', 'stats'];
const SYMBOLS_EACH = 2;

let checks: ItemCheck[] = [];
const samples = new Samples();
const sum = { losses: 0, mismatches: 0, disconnects: 0 };
let first: string | null = null;

function note(what: string): void {
  first ??= what;
}

function take(item: Item): void {
  if (item.type !== 'trade' && item.type !== 'book') return;
  const nowMs = performance.timeOrigin + performance.now();
  const { seconds, nanosOfSecond } = item.eventTime;
  samples.add(nowMs - seconds * 1000 - nanosOfSecond / 1e6, 1);
}

async function read(client: TapedeckClient, topics: readonly string[]): Promise<void> {
  const check = new ItemCheck();
  checks.push(check);
  client.on('disconnected', ({ code, reason }) => {
    sum.disconnects += 1;
    note(`disconnected: ${code} ${reason}`);
  });
  client.on('chain-break', ({ topic, last, seq }) => {
    sum.losses += 1;
    note(`the SDK found that ${topic} lacks something between ${last} and ${seq}`);
  });
  client.on('book-mismatch', ({ topic, seq }) => {
    sum.mismatches += 1;
    note(`${topic} does not prove at ${seq}`);
  });
  const subscription = client.subscribe(topics);
  let isState = true;
  void subscription.ready.then(() => (isState = false));
  for await (const item of subscription) {
    check.take(item);
    // The latency of a state means nothing; that of later messages counts.
    if (!isState) take(item);
  }
}

async function start(job: Extract<ReadersJob, { act: 'start' }>): Promise<void> {
  const { url, symbols, venues, readers } = job;
  const all = [...symbols, ...venues];
  for (let i = 0; i < readers; i++) {
    const form = i === readers - 1 ? 'json' : 'msgpack';
    const client = await TapedeckClient.connect(url, { form, client: 'endurance reader' });
    const own = Array.from(
      { length: SYMBOLS_EACH },
      (_, k) => all[(i * SYMBOLS_EACH + k) % all.length]!,
    );
    const topics = own.flatMap((s) => CHANNELS.map((c) => `${c}:${s}`).concat(`bar:${s}:1m`));
    void read(client, ['status', ...new Set(topics)]);
  }
}

async function run(job: ReadersJob): Promise<void> {
  if (job.act === 'start') await start(job);
  const of = (pick: (check: ItemCheck) => number): number =>
    checks.reduce((total, check) => total + pick(check), 0);
  process.send!({
    ...samples.figures(),
    ...sum,
    losses: sum.losses + of((c) => c.losses),
    repeats: of((c) => c.repeats),
    gaps: of((c) => c.gaps),
    resets: of((c) => c.resets),
    first: first ?? checks.find((c) => c.first !== undefined)?.first ?? null,
  } satisfies ReadersDone);
  samples.clear();
}

process.on('message', (job: ReadersJob) => void run(job));
process.on('disconnect', () => process.exit(0));
