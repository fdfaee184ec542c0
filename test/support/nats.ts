/** Real servers of NATS for tests: one, or a cluster of three, in a directory of their own. */

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { freePort } from './ports';
import { until } from './until';

const SERVER = join(import.meta.dir, '../../build/nats/nats-server');

/** Whether there is one; said once where there is none. */
export const hasNats = existsSync(SERVER);

if (!hasNats)
  console.warn('SKIPPED: tests with a real broker need nats-server: bun run nats:install');

export class NatsServer {
  readonly name: string;
  readonly port: number;
  readonly monitorPort: number;
  private readonly config: string;
  private readonly logFile: string;
  private child: Bun.Subprocess | null = null;

  /** @param config text without name and ports */
  constructor(
    directory: string,
    name: string,
    ports: { port: number; monitor: number },
    config: string,
  ) {
    this.name = name;
    this.port = ports.port;
    this.monitorPort = ports.monitor;
    this.config = join(directory, `${name}.conf`);
    this.logFile = join(directory, `${name}.log`);
    const listen = `server_name: ${name}\nlisten: "127.0.0.1:${this.port}"\nhttp: "127.0.0.1:${this.monitorPort}"\n`;
    writeFileSync(this.config, `${listen}log_file: "${this.logFile}"\n${config}\n`);
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  start(): void {
    this.child = Bun.spawn([SERVER, '-c', this.config], { stdio: ['ignore', 'ignore', 'ignore'] });
  }

  /** Whether it says of itself that it is healthy. */
  async isReady(): Promise<boolean> {
    try {
      return (await fetch(`http://127.0.0.1:${this.monitorPort}/healthz`)).ok;
    } catch {
      return false;
    }
  }

  get isRunning(): boolean {
    return this.child !== null;
  }

  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    this.child?.kill(name);
  }

  /** Changes a part of its configuration while it runs. */
  reconfigure(from: string, to: string): void {
    const text = readFileSync(this.config, 'utf8');
    writeFileSync(this.config, text.replace(from, to));
    this.child?.kill('SIGHUP');
  }

  async kill(): Promise<void> {
    const { child } = this;
    this.child = null;
    child?.kill('SIGKILL');
    await child?.exited;
  }
}

export class NatsServers {
  readonly all: readonly NatsServer[];
  private readonly directory: string;

  private constructor(directory: string, all: readonly NatsServer[]) {
    this.directory = directory;
    this.all = all;
  }

  get urls(): string[] {
    return this.all.map(({ url }) => url);
  }

  named(name: string): NatsServer {
    return this.all.find((server) => server.name === name)!;
  }

  /** One server, with whatever else belongs into its configuration. */
  static async one(config = ''): Promise<NatsServers> {
    const directory = mkdtempSync(join(tmpdir(), 'tapedeck-nats-'));
    const ports = { port: await freePort(), monitor: await freePort() };
    const store = `jetstream { store_dir: "${join(directory, 'store')}" }`;
    const text = config.includes('no jetstream') ? config : `${store}\n${config}`;
    const servers = new NatsServers(directory, [new NatsServer(directory, 'one', ports, text)]);
    await servers.start();
    return servers;
  }

  /** A cluster, ready to elect leaders of streams. */
  static async three(): Promise<NatsServers> {
    const directory = mkdtempSync(join(tmpdir(), 'tapedeck-nats-'));
    const routes = [await freePort(), await freePort(), await freePort()];
    const all: NatsServer[] = [];
    for (const [i, route] of routes.entries()) {
      const name = `n${i + 1}`;
      const store = join(directory, name);
      mkdirSync(store);
      const urls = routes.map((port) => `"nats://127.0.0.1:${port}"`).join(', ');
      const config = `jetstream { store_dir: "${store}" }
cluster { name: test, listen: "127.0.0.1:${route}", routes: [${urls}] }`;
      const ports = { port: await freePort(), monitor: await freePort() };
      all.push(new NatsServer(directory, name, ports, config));
    }
    const servers = new NatsServers(directory, all);
    await servers.start();
    return servers;
  }

  /** A server with the domain `hub`, and one with the domain `far` that is a leaf node of it. */
  static async leaf(): Promise<NatsServers> {
    const directory = mkdtempSync(join(tmpdir(), 'tapedeck-nats-'));
    const port = await freePort();
    const all: NatsServer[] = [];
    for (const [name, leafnodes] of [
      ['hub', `listen: "127.0.0.1:${port}"`],
      ['far', `remotes: [{ url: "nats-leaf://127.0.0.1:${port}" }], reconnect: 1`],
    ] as const) {
      const jetstream = `jetstream { store_dir: "${join(directory, name)}", domain: ${name} }`;
      const ports = { port: await freePort(), monitor: await freePort() };
      const config = `${jetstream}\nleafnodes { ${leafnodes} }`;
      all.push(new NatsServer(directory, name, ports, config));
    }
    const servers = new NatsServers(directory, all);
    await servers.start();
    return servers;
  }

  async start(): Promise<void> {
    for (const server of this.all) if (!server.isRunning) server.start();
    await until(async () => (await Promise.all(this.all.map((s) => s.isReady()))).every(Boolean));
  }

  async remove(): Promise<void> {
    for (const server of this.all) server.signal('SIGCONT');
    await Promise.all(this.all.map((server) => server.kill()));
    rmSync(this.directory, { recursive: true, force: true });
  }
}
