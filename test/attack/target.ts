/**
 * Target: a server in its own process, and what can be observed of it from outside: metrics, memory, descriptors,
 * log. It is used by tests and by programs that are run by hand.
 */

import type { Subprocess } from 'bun';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { changeKeys, storedKey, type Role } from '../../src/gateway/auth/stored-keys';
import { PROGRAM } from '../support/program';

/** Where the system supports it, a server ends with the process that started it. */
const WITH_PARENT = Bun.which('setpriv') === null ? [] : ['setpriv', '--pdeathsig', 'KILL'];
const START_MS_MAX = 30_000;

export interface TargetOptions {
  /** Settings in TOML. */
  readonly config?: string;
  /** Limit of its descriptors. */
  readonly descriptors?: number;
}

/** The key of a role, or of `all` roles. */
export function keyOf(name: Role | 'all'): string {
  const digest = createHash('sha256').update(`attack ${name}`).digest();
  return `tk_${digest.toString('hex').slice(0, 12)}_${digest.toString('base64url')}`;
}

const KEYS: Readonly<Record<Role | 'all', readonly Role[]>> = {
  read: ['read'],
  publish: ['publish'],
  trade: ['trade'],
  admin: ['admin'],
  all: ['read', 'publish', 'trade'],
};

export class Target {
  readonly url: string;
  readonly pid: number;
  private readonly child: Subprocess<'ignore', 'pipe', 'pipe'>;
  private readonly directory: string;
  private log = '';

  private constructor(url: string, child: Subprocess<'ignore', 'pipe', 'pipe'>, directory: string) {
    this.url = url;
    this.child = child;
    this.pid = child.pid;
    this.directory = directory;
    void this.readLog();
  }

  static async start({ config = '', descriptors }: TargetOptions = {}): Promise<Target> {
    const directory = mkdtempSync(join(tmpdir(), 'tapedeck-attack-'));
    const data = join(directory, 'data');
    const keys = (Object.keys(KEYS) as Role[]).map((name) =>
      storedKey(
        keyOf(name),
        { name, roles: KEYS[name], symbols: ['*'], expiresAt: null },
        0,
        '5a'.repeat(16),
      ),
    );
    const fault = changeKeys(data, () => keys);
    if (fault !== undefined) throw new Error(fault.message);
    const settings = join(directory, 'settings.toml');
    writeFileSync(settings, `${config}\n[log]\nlevel = "warn"\n`);
    const bounded =
      descriptors === undefined ? [] : ['sh', '-c', `ulimit -n ${descriptors}; exec "$@"`, 'sh'];
    const call = [...PROGRAM, 'serve', '--port', '0', '--data', data, '--config', settings];
    const child = Bun.spawn([...WITH_PARENT, ...bounded, ...call], {
      env: { PATH: process.env['PATH'] ?? '' },
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'pipe',
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), START_MS_MAX);
    let text = '';
    for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      if (text.includes('/v1/stream')) break;
    }
    clearTimeout(timer);
    const url = /Tapedeck (https?:\/\/\S+)/.exec(text)?.[1];
    if (url === undefined) throw new Error(`no server: ${await new Response(child.stderr).text()}`);
    return new Target(url, child, directory);
  }

  get isAlive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Log lines that must not occur: faults of the program, not of its clients. */
  get defects(): string[] {
    const lines = this.log.split('\n').filter((line) => line !== '');
    return lines.filter(
      (line) => !/^\{"level":(30|40)/.test(line) || /"stack"|a request failed/.test(line),
    );
  }

  /** A figure of `/metrics`, with its labels in braces. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const line = text.split('\n').find((l) => l.startsWith(`${name} `));
    if (line === undefined) throw new Error(`no metric ${name}`);
    return Number(line.slice(name.length + 1));
  }

  ask(path: string, role?: Role, init: RequestInit = {}): Promise<Response> {
    const headers = role === undefined ? {} : { authorization: `Bearer ${keyOf(role)}` };
    return fetch(`${this.url}${path}`, { ...init, headers });
  }

  /** Publishes the lines of a tape. */
  async ingest(lines: string): Promise<void> {
    const response = await this.ask('/v1/ingest', 'publish', { method: 'POST', body: lines });
    if (response.status !== 200) throw new Error(await response.text());
  }

  /** Resident memory. Linux only. */
  get memoryBytes(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) * 1_024;
  }

  /** Open descriptors. Linux only. */
  get descriptors(): number {
    return readdirSync(`/proc/${this.pid}/fd`).length;
  }

  async remove(): Promise<void> {
    if (this.isAlive) this.child.kill('SIGKILL');
    await this.child.exited;
    rmSync(this.directory, { recursive: true, force: true });
  }

  private async readLog(): Promise<void> {
    for await (const chunk of this.child.stderr.pipeThrough(new TextDecoderStream())) {
      this.log = (this.log + chunk).slice(-1_000_000);
    }
  }
}
