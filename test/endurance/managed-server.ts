/**
 * Server life: a server as an operator runs it (`tapedeck serve` with a file of settings and keys), as a process
 * that can be stopped, killed and restarted on the same port and data directory. Its log goes to a file beside the
 * data.
 */

import type { Subprocess } from 'bun';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { changeKeys, makeKey } from '../../src/gateway/auth/stored-keys';
import { PROGRAM, SOURCES } from '../support/program';

export class ManagedServer {
  readonly data: string;
  /** A key that may publish and trade. */
  readonly key: string;
  private readonly directory: string;
  private readonly preload: string | undefined;
  private child: Subprocess<'ignore', 'pipe', Bun.BunFile> | undefined;
  private port = 0;
  private starts = 0;

  /**
   * @param directory will be created, with data and settings in it
   * @param settings in TOML
   * @param preload a module that is loaded before the server, as `big-market-turns.ts`
   */
  constructor(directory: string, settings: string, preload?: string) {
    this.directory = directory;
    this.preload = preload;
    this.data = join(directory, 'data');
    mkdirSync(this.data, { recursive: true });
    writeFileSync(join(directory, 'settings.toml'), settings);
    const wish = {
      name: 'load',
      roles: ['publish', 'trade'],
      symbols: ['*'],
      expiresAt: null,
    } as const;
    const { token, stored } = makeKey(wish, 0, randomBytes);
    const fault = changeKeys(this.data, () => [stored]);
    if (fault !== undefined) throw new Error(fault.message);
    this.key = token;
  }

  /** Where `big-market-turns.ts` writes. */
  get turnsPath(): string {
    return join(this.directory, 'turns-cpu.json');
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.child!.pid;
  }

  get isAlive(): boolean {
    return this.child?.exitCode === null && this.child.signalCode === null;
  }

  /** Resolves when the server has announced itself; from the second start on it uses the same port. */
  async start(): Promise<void> {
    const { directory, data, port } = this;
    const settings = join(directory, 'settings.toml');
    const log = join(directory, `log-${(this.starts += 1)}.ndjson`);
    const args = ['serve', '--port', String(port), '--data', data, '--config', settings];
    const [bun, ...main] = SOURCES;
    const program =
      this.preload === undefined ? PROGRAM : [bun!, '--preload', this.preload, ...main];
    this.child = Bun.spawn([...program, ...args], {
      env: { ...process.env, BIG_MARKET_TURNS: this.turnsPath },
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: Bun.file(log),
    });
    let text = '';
    for await (const chunk of this.child.stdout.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      const found = /http:\/\/127\.0\.0\.1:(\d+)/.exec(text);
      if (found === null || !text.includes('/v1/stream')) continue;
      this.port = Number(found[1]);
      return;
    }
    throw new Error(`the server did not start (${await this.child.exited}); see ${log}`);
  }

  signal(signal: NodeJS.Signals): void {
    this.child!.kill(signal);
  }

  /** @returns its exit code */
  async stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<number> {
    if (this.child === undefined) return 0;
    if (this.isAlive) this.child.kill(signal);
    return this.child.exited;
  }
}
