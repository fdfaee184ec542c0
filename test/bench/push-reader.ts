/**
 * The readers of the push cases: a process with sockets, each on topics of a server. Latency is measured from the
 * time that the server wrote into the message on receipt to the time when the frame was read here, including its
 * decoding; both are wall time, advanced by the monotonic clock.
 */

import { decodeFrame, isFault } from '../../protocol/codec';
import { QuickSocket } from './quick-socket';
import { Samples, type Figures } from './samples';

export type ReaderDone = Figures;

export type ReaderJob = { readonly url: string } & (
  | { readonly act: 'open'; readonly sockets: number }
  /** The list of topics for each socket. */
  | { readonly act: 'subscribe'; readonly topics: readonly (readonly string[])[] }
  /** Begins a measurement, or returns the figures of all together. */
  | { readonly act: 'begin' | 'sum' }
  /** Ends it; waits a while for late messages, of which at least one is expected. */
  | { readonly act: 'end'; readonly expected?: number }
);

const OPENING_MAX = 100;
const LATE_MS_MAX = 20_000;

function wallMs(): number {
  return performance.timeOrigin + performance.now();
}

/** The sockets of one server. */
class Reading {
  readonly sockets: QuickSocket[] = [];
  /** Received welcomes and acknowledgements. */
  answers = 0;
  isOn = false;
  /** What was sent before this time does not count. */
  private sinceMs = 0;
  readonly samples = new Samples();
  readonly all = new Samples();

  async open(url: string, sockets: number): Promise<void> {
    const before = this.answers;
    for (let i = 1; i <= sockets; i++) {
      this.sockets.push(await QuickSocket.open(url, (payload) => this.take(payload)));
      // A few at a time, so that they do not fill the server's queue of new connections.
      if (i % OPENING_MAX === 0 || i === sockets) await this.answered(before + i);
    }
  }

  async subscribe(topics: readonly (readonly string[])[]): Promise<void> {
    const before = this.answers;
    for (const [i, socket] of this.sockets.entries()) socket.subscribe(topics[i]!);
    await this.answered(before + topics.length);
  }

  begin(): void {
    this.samples.clear();
    this.sinceMs = wallMs();
    this.isOn = true;
  }

  async end(expected: number): Promise<ReaderDone> {
    const untilMs = wallMs() + LATE_MS_MAX;
    while (this.samples.count < expected && wallMs() < untilMs) await Bun.sleep(10);
    this.isOn = false;
    this.all.addAll(this.samples);
    return this.samples.figures();
  }

  private async answered(answers: number): Promise<void> {
    while (this.answers < answers) await Bun.sleep(1);
  }

  private take(payload: Uint8Array): void {
    const messages = decodeFrame(payload);
    const nowMs = wallMs();
    for (const m of messages) {
      if (isFault(m) || m.type === 'error') throw new Error(m.message);
      if (m.type === 'welcome' || m.type === 'ack') this.answers += 1;
      if (!this.isOn) continue;
      if (m.type !== 'tick' && m.type !== 'trade' && m.type !== 'book' && m.type !== 'bbo')
        continue;
      const sentMs = m.receiveTime.seconds * 1000 + m.receiveTime.nanosOfSecond / 1e6;
      if (sentMs >= this.sinceMs)
        this.samples.add(nowMs - sentMs, m.type === 'trade' ? 1 : m.count);
    }
  }
}

const readings = new Map<string, Reading>();

async function run(job: ReaderJob): Promise<void> {
  const reading = readings.get(job.url) ?? new Reading();
  readings.set(job.url, reading);
  let done = new Samples().figures();
  switch (job.act) {
    case 'open':
      await reading.open(job.url, job.sockets);
      break;
    case 'subscribe':
      await reading.subscribe(job.topics);
      break;
    case 'begin':
      reading.begin();
      break;
    case 'end':
      done = await reading.end(job.expected ?? 1);
      break;
    case 'sum':
      done = reading.all.figures();
  }
  process.send!(done);
}

process.on('message', (job: ReaderJob) => void run(job));
process.on('disconnect', () => process.exit(0));
