/**
 * The other process of bench `ring`: sends each record back by the transport that brought it, or reads as many as
 * it can. It receives jobs as messages, one after the other.
 */

import { rmSync } from 'node:fs';

import { StartFault } from '../../src/base/start-fault';
import { RingReader } from '../../src/ipc/ring-reader';
import { LAST, openTicks, publishTicks, RingLine, WORD, wordsOfFile } from './ring-lines';

export type RingPeerJob =
  /** Opens the ring `to`, and makes one of its own. */
  | { readonly act: 'open'; readonly to: string; readonly back: string }
  /** The same with iceoryx2 services; `opened` when the parent can subscribe. */
  | { readonly act: 'publish' | 'subscribe'; readonly to: string; readonly back: string }
  | { readonly act: 'echo'; readonly way: 'ring' | 'iceoryx2' }
  /** The same with one address in a file. */
  | { readonly act: 'echo-word'; readonly path: string }
  /** Listens on a Unix socket, and sends back or counts what arrives. */
  | { readonly act: 'listen'; readonly path: string; readonly echo: boolean }
  /** Opens a ring; `read` then reads it to its end. */
  | { readonly act: 'attach'; readonly path: string }
  | { readonly act: 'read' }
  | { readonly act: 'count' }
  /** Removes everything. */
  | { readonly act: 'close' };

export interface RingPeerDone {
  /** Records read a second, from the first to the last. */
  readonly perSecond: number;
}

const NOTHING: RingPeerDone = { perSecond: 0 };
/** How often it checks the clock while nothing arrives. */
const IDLE_MS = 1;

class Peer {
  private line: RingLine | null = null;
  private reader: RingReader | null = null;
  private out: ReturnType<typeof publishTicks> | null = null;
  private input: ReturnType<typeof openTicks> | null = null;
  private bytes = 0;
  private firstAt = 0;
  private lastAt = 0;

  async do(job: RingPeerJob): Promise<RingPeerDone> {
    switch (job.act) {
      case 'open':
        this.reader = must(RingReader.open(job.to));
        this.line = new RingLine(job.back);
        return NOTHING;
      case 'publish':
        this.out = publishTicks(job.back);
        return NOTHING;
      case 'subscribe':
        this.input = openTicks(job.to);
        return NOTHING;
      case 'echo':
        if (job.way === 'ring') this.echoRing();
        else this.echoIceoryx2();
        return NOTHING;
      case 'echo-word':
        echoWord(job.path);
        return NOTHING;
      case 'listen':
        this.listen(job.path, job.echo);
        return NOTHING;
      case 'attach':
        this.reader = must(RingReader.open(job.path));
        return NOTHING;
      case 'read':
        return this.read(this.reader!);
      case 'close':
        this.line?.close();
        this.input?.close();
        this.out?.close();
        return NOTHING;
      case 'count': {
        const perSecond = (this.bytes / 128 / (this.lastAt - this.firstAt)) * 1e9;
        this.bytes = 0;
        return { perSecond };
      }
    }
  }

  private echoRing(): void {
    const { record } = this.reader!;
    do {
      while (this.reader!.poll() !== 'record');
      this.line!.send(record.last);
    } while (record.last !== LAST);
  }

  private echoIceoryx2(): void {
    const input = this.input!;
    do {
      while (!input.receive());
      this.out!.send(input.last);
    } while (input.last !== LAST);
  }

  private listen(path: string, echo: boolean): void {
    rmSync(path, { force: true });
    Bun.listen({
      unix: path,
      socket: {
        data: (socket, data) => {
          if (echo) {
            socket.write(data);
            return;
          }
          this.lastAt = Bun.nanoseconds();
          if (this.bytes === 0) this.firstAt = this.lastAt;
          this.bytes += data.length;
        },
      },
    });
  }

  /** Reads to the end, polling; the rate is that of the time in which records arrived. */
  private async read(reader: RingReader): Promise<RingPeerDone> {
    while (reader.poll() === 'empty') await Bun.sleep(IDLE_MS);
    const start = Bun.nanoseconds();
    let returned = 1;
    for (;;) {
      const sign = reader.poll();
      if (sign === 'record') returned += 1;
      else if (sign === 'ended') break;
    }
    return { perSecond: (returned / (Bun.nanoseconds() - start)) * 1e9 };
  }
}

function echoWord(path: string): void {
  const words = wordsOfFile(path);
  let last = Atomics.load(words, WORD.back); // the next one may have arrived already
  do {
    while (Atomics.load(words, WORD.to) === last);
    last = Atomics.load(words, WORD.to);
    Atomics.store(words, WORD.back, last);
  } while (last !== LAST);
}

function must<T>(made: T | StartFault): T {
  if (made instanceof StartFault) throw new Error(made.message);
  return made;
}

const peer = new Peer();
const answer = async (job: RingPeerJob): Promise<void> => {
  process.send!(await peer.do(job));
};
process.on('message', (job: RingPeerJob) => void answer(job));
