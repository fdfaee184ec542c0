/**
 * Reader server: a real server whose data directory can be set back to a copy, forked and damaged, while the truth
 * is kept. The settings of each start are drawn at random.
 */

import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

import type { Prng } from '../../src/base/prng';
import { Branches, type Branch } from './reader-truth';
import { ManagedServer } from './managed-server';
import { SYMBOLS } from './reader-source';

const COPIES_MAX = 5;
const START_TRIES = 3;

/** A data directory that is not in use now. */
export interface Copy {
  readonly directory: string;
  readonly branch: Branch;
  readonly atMs: number;
}

export class ReaderServer {
  readonly process: ManagedServer;
  readonly branches = new Branches();
  /** Oldest first. */
  readonly copies: Copy[] = [];
  /** States from which the market continued differently. */
  readonly forks: Copy[] = [];
  readonly faults: string[] = [];
  starts = 0;
  private readonly directory: string;
  private readonly random: Prng;
  private count = 0;

  constructor(directory: string, random: Prng) {
    this.directory = directory;
    this.random = random;
    this.process = new ManagedServer(join(directory, 'server'), '');
    for (const name of ['copies', 'forks']) mkdirSync(join(directory, name));
  }

  get url(): string {
    return this.process.url;
  }

  get isAlive(): boolean {
    return this.process.isAlive;
  }

  /** @param from the branch to which the data belongs */
  async start(from: Branch = this.branches.present): Promise<void> {
    for (let tries = 1; ; tries++) {
      writeFileSync(join(this.directory, 'server', 'settings.toml'), settings(this.random));
      try {
        await this.process.start();
        break;
      } catch (e) {
        this.faults.push((e as Error).message);
        if (tries === START_TRIES) throw e;
      }
    }
    this.starts += 1;
    this.branches.begin(this.process.data, from);
    this.gather();
  }

  async kill(): Promise<void> {
    await this.process.stop('SIGKILL');
  }

  gather(): void {
    try {
      this.branches.gather(this.process.data);
    } catch (e) {
      if (!/lock|busy/i.test((e as Error).message)) throw e;
    }
  }

  /** Copies the directory at one instant: what a machine that stops has on its disk. */
  copy(): void {
    const directory = join(this.directory, 'copies', String((this.count += 1)));
    if (this.isAlive) this.process.signal('SIGSTOP');
    copyFiles(this.process.data, directory);
    if (this.isAlive) this.process.signal('SIGCONT');
    this.gather();
    this.copies.push({ directory, branch: this.branches.present, atMs: performance.now() });
    if (this.copies.length > COPIES_MAX) {
      rmSync(this.copies.shift()!.directory, { recursive: true, force: true });
    }
  }

  /** Replaces the data of the stopped server by a copy. @param keep it as a fork */
  setBack({ directory }: Copy, keep: boolean): void {
    const { data } = this.process;
    const { present } = this.branches;
    const old = join(this.directory, 'forks', String((this.count += 1)));
    renameSync(data, old);
    this.gatherDead(old);
    if (keep) this.forks.push({ directory: old, branch: present, atMs: performance.now() });
    else rmSync(old, { recursive: true, force: true });
    if (this.forks.length > COPIES_MAX) {
      rmSync(this.forks.shift()!.directory, { recursive: true, force: true });
    }
    copyFiles(directory, data);
  }

  has(name: string): boolean {
    return existsSync(join(this.process.data, name));
  }

  remove(name: string): void {
    rmSync(join(this.process.data, name), { force: true });
  }

  /** Reads what it committed last; that moves its WAL into the file, which does no harm now. */
  private gatherDead(directory: string): void {
    try {
      this.branches.gather(directory);
    } catch (e) {
      this.faults.push(`${directory}: ${(e as Error).message}`);
    }
  }
}

function copyFiles(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(from)) {
    // The index of the WAL is rebuilt, and a lock is not copied with its file.
    if (name.endsWith('-shm') || name.startsWith('lock')) continue;
    cpSync(join(from, name), join(to, name), { recursive: true });
  }
}

function settings(random: Prng): string {
  const pick = <T>(...values: T[]): T => values[random.int(0, values.length - 1)]!;
  const instruments = SYMBOLS.map(
    (symbol) =>
      `[[instruments]]\nsymbol = "${symbol}"\nmarket = "feed"\npriceScale = 2\nquantityScale = 3\n`,
  );
  return `
[journal]
durability = "${pick('async', 'async', 'commit')}"
commitEveryMs = ${pick(20, 20, 500)}
checkpointEveryEvents = ${pick(1_000, 5_000)}
[journal.retention]
bytes = ${pick(0, 1_500_000, 6_000_000)}
[cache]
memtableEventsMax = ${pick(1_000, 50_000)}
[push]
heartbeatMs = ${pick(1_000, 5_000)}
[log]
level = "info"
${instruments.join('')}`;
}
