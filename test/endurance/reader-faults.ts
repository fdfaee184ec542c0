/** Reader faults: faults of the server, its disk, the line and the reader, drawn by a seed. */

import type { Prng } from '../../src/base/prng';
import { StreamClient } from '../support/stream-client';
import type { Copy, ReaderServer } from './reader-server';
import type { ReaderProxy } from './reader-proxy';
import { join } from 'node:path';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';

export const FAULTS = [
  'kill',
  'stop',
  'pause',
  'rollback',
  'rollback-without-head',
  'rollback-under-head',
  'no-wal',
  'no-wal-no-head',
  'fork',
  'return',
  'cut',
  'stall',
  'slow',
  'reader-pause',
  'storm',
] as const;
export type Fault = (typeof FAULTS)[number];

const SLOW_BYTES_PER_SECOND = 20_000;
/** Some waits are this many times the longest usual one: longer than a server waits for a pong. */
const UNRESPONSIVE = 5;
const STORM_READERS = 25;

export interface Happened {
  readonly fault: Fault;
  readonly line: number;
  readonly detail: string;
}

export interface FaultParts {
  readonly server: ReaderServer;
  readonly proxy: ReaderProxy;
  readonly random: Prng;
  /** The longest usual wait, in ms. */
  readonly longMs: number;
  readonly signalReader: (signal: NodeJS.Signals) => void;
  /** The number of the newest line that the reader wrote. */
  readonly line: () => number;
}

export class Faults {
  readonly happened: Happened[] = [];
  private readonly server: ReaderServer;
  private readonly proxy: ReaderProxy;
  private readonly random: Prng;
  private readonly longMs: number;
  private readonly parts: FaultParts;
  private slowTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(parts: FaultParts) {
    this.parts = parts;
    ({ server: this.server, proxy: this.proxy, random: this.random, longMs: this.longMs } = parts);
  }

  /** The newest three before a line of the reader, each with the number of the line at which it occurred. */
  before(line: number): string[] {
    return this.happened
      .filter((h) => h.line <= line)
      .slice(-3)
      .map(({ fault, detail, line: at }) => `${fault} at ${at}${detail && `: ${detail}`}`);
  }

  count(): Record<string, number> {
    return Object.fromEntries(
      [...Map.groupBy(this.happened, ({ fault }) => fault)].map(([fault, of]) => [
        fault,
        of.length,
      ]),
    );
  }

  async run(fault: Fault): Promise<void> {
    const { server, random } = this;
    switch (fault) {
      case 'kill':
        this.note(fault);
        return this.again(
          () => server.kill(),
          () => {},
        );
      case 'stop':
        this.note(fault);
        return this.again(
          () => server.process.stop('SIGTERM').then(() => {}),
          () => {},
        );
      case 'pause':
        return this.pause();
      case 'rollback':
      case 'rollback-without-head':
      case 'rollback-under-head':
      case 'fork':
        return this.setBack(fault, await this.copy());
      case 'return':
        return this.setBack(fault, server.forks.at(-1));
      case 'no-wal':
      case 'no-wal-no-head':
        this.note(fault, `head ${headOf(server.process.data)}`);
        return this.again(
          () => server.kill(),
          () => this.dropWal(fault === 'no-wal-no-head'),
        );
      case 'cut':
        return this.cut();
      case 'stall':
        this.slow(fault, 0, random.chance(0.1) ? UNRESPONSIVE * this.longMs : this.long());
        return;
      case 'slow':
        this.slow(fault, SLOW_BYTES_PER_SECOND, 4 * this.long());
        return;
      case 'reader-pause':
        this.note(fault);
        this.parts.signalReader('SIGSTOP');
        await Bun.sleep(this.long());
        this.parts.signalReader('SIGCONT');
        return;
      case 'storm':
        return this.storm();
    }
  }

  /** Ends all slowness. */
  heal(): void {
    clearTimeout(this.slowTimer);
    this.proxy.bytesPerSecond = Infinity;
  }

  private note(fault: Fault, detail = ''): void {
    this.happened.push({ fault, line: this.parts.line(), detail });
  }

  private long(): number {
    return this.random.int(Math.ceil(this.longMs / 8), this.longMs);
  }

  private async again(end: () => Promise<void>, change: () => void): Promise<void> {
    const before = this.server.branches.present;
    await end();
    change();
    if (this.random.chance(0.5)) await Bun.sleep(this.random.int(0, this.longMs / 4));
    await this.server.start(before);
  }

  private async pause(): Promise<void> {
    this.note('pause');
    this.server.process.signal('SIGSTOP');
    await Bun.sleep(this.long());
    this.server.process.signal('SIGCONT');
  }

  private async setBack(fault: Fault, copy: Copy | undefined): Promise<void> {
    const { server } = this;
    if (copy === undefined) return;
    const { data } = server.process;
    const ageMs = Math.round(performance.now() - copy.atMs);
    await server.kill();
    const head = headFile(data);
    this.note(fault, `head ${headOf(data)}, back to ${headOf(copy.directory)}, ${ageMs} ms old`);
    server.setBack(copy, fault === 'fork' || fault === 'return');
    if (fault === 'return') {
      rmSync(server.forks.splice(server.forks.indexOf(copy), 1)[0]!.directory, { recursive: true });
    }
    if (fault === 'rollback-without-head') server.remove('head');
    if (fault === 'rollback-under-head' && head !== undefined)
      writeFileSync(join(data, 'head'), head);
    if (this.random.chance(0.5)) await Bun.sleep(this.random.int(0, this.longMs / 4));
    await server.start(copy.branch);
  }

  /** An older copy, or one that is hardly older than what the reader has. */
  private async copy(): Promise<Copy> {
    const { server, random } = this;
    if (random.chance(0.6)) {
      server.copy();
      await Bun.sleep(random.int(50, 1_500));
      return server.copies.at(-1)!;
    }
    return server.copies[random.int(0, server.copies.length - 1)]!;
  }

  private dropWal(alsoHead: boolean): void {
    for (const name of ['journal.sqlite-wal', 'journal.sqlite-shm']) this.server.remove(name);
    if (alsoHead) this.server.remove('head');
  }

  private async cut(): Promise<void> {
    this.note('cut');
    for (let n = this.random.int(1, 4); n > 0; n--) {
      this.proxy.cutAfter(this.random.chance(0.3) ? 0 : this.random.int(1, 20_000));
      await Bun.sleep(this.random.int(50, 1_500));
    }
  }

  /** Slow for a while, during which other faults occur. */
  private slow(fault: Fault, bytesPerSecond: number, forMs: number): void {
    this.note(fault, `${forMs} ms`);
    clearTimeout(this.slowTimer);
    this.proxy.bytesPerSecond = bytesPerSecond;
    this.slowTimer = setTimeout(() => this.heal(), forMs);
  }

  /** Other readers connect, subscribe or resume, and are cut off; so is the reader. */
  private async storm(): Promise<void> {
    this.note('storm');
    const { url } = this.server;
    const topics = ['trade:*', 'book:*', 'bbo:*', 'status'];
    const visit = async (): Promise<void> => {
      const client = await StreamClient.open(url);
      const { epoch, seq } = client.seen[0] as unknown as { epoch: number; seq: number };
      const back = Math.max(0, seq - this.random.int(0, 20_000));
      if (this.random.chance(0.5)) client.send({ type: 'resume', id: 1, epoch, seq: back, topics });
      else client.send({ type: 'subscribe', id: 1, topics, intervalMs: null });
      await Bun.sleep(this.random.int(0, 1_000));
      await client.close();
    };
    for (let n = 0; n < 3; n++) {
      this.proxy.cutAfter(0);
      const visits = Array.from({ length: STORM_READERS }, () => visit().catch(() => {}));
      await Promise.all(visits);
    }
  }
}

function headFile(directory: string): Buffer | undefined {
  try {
    return readFileSync(join(directory, 'head'));
  } catch {
    return undefined;
  }
}

function headOf(directory: string): string {
  const bytes = headFile(directory);
  if (bytes?.length !== 24) return 'absent';
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return `${view.getFloat64(8, true)}/${view.getFloat64(16, true)}`;
}
