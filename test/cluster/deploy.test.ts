/**
 * The files of src/deploy/cluster: what they say fits the program and each other, and the whole cluster of compose.yaml
 * runs, with the same commands, as processes of this machine. Docker itself is not run here.
 */

import { afterAll, expect, setDefaultTimeout, test } from 'bun:test';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { RestCluster } from '../../src/client/index';
import { serveCommand } from '../../src/cli/serve';
import { loadConfig } from '../../src/config/config';
import { StartFault } from '../../src/base/start-fault';
import { hasNats } from '../support/nats';
import { freePort } from '../support/ports';
import { Scratch, spawnTapedeck } from '../support/tapedeck-process';
import { testDeep } from '../support/tier';
import { until } from '../support/until';

setDefaultTimeout(120_000);
const DEPLOY = join(import.meta.dir, '../../src/deploy/cluster');
const NATS_SERVER = join(import.meta.dir, '../../build/nats/nats-server');
const ANALYZE = Bun.which('systemd-analyze');
if (ANALYZE === null)
  console.warn('skipped: what systemd says of the unit, since systemd-analyze is not there');
/** In tenths of the exposure level of systemd; 10.0 is the worst. */
const EXPOSURE_MAX = 20;

interface Service {
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes: readonly string[];
  readonly ports?: readonly string[];
}

const read = (name: string): string => readFileSync(join(DEPLOY, name), 'utf8');
const { services, volumes } = Bun.YAML.parse(read('compose.yaml')) as {
  services: Record<string, Service>;
  volumes: Record<string, unknown>;
};
const brokers = Object.entries(services).filter(([name]) => name.startsWith('nats'));
const members = Object.entries(services).filter(([name]) => !name.startsWith('nats'));

const scratch = new Scratch();
const processes: Bun.Subprocess[] = [];
afterAll(async () => {
  for (const process of processes) process.kill('SIGKILL');
  await Promise.all(processes.map(({ exited }) => exited));
  scratch.remove();
});

test('compose has three brokers, two cores and two edges, each with data of its own', () => {
  const roles = members.map(([, { command }]) => command[command.indexOf('--role') + 1]);
  expect([brokers.length, roles]).toEqual([3, ['leader', 'standby', 'edge', 'edge']]);
  const own = Object.entries(services).map(([name, { volumes: all }]) => {
    expect(all.some((one) => one.startsWith(`${name}:`))).toBe(true);
    return name;
  });
  expect(Object.keys(volumes)).toEqual(own);
  const published = members.flatMap(([, { ports }]) => ports ?? []);
  expect(published.map((port) => port.replace(/:\d+:/, ':'))).toEqual(
    published.map(() => '127.0.0.1:7070'),
  );
  expect(new Set(published).size).toBe(4);
});

test('its commands have options that exist, and its settings are valid', () => {
  const known = serveCommand().options.map(({ long }) => long);
  for (const [, { command }] of members) {
    expect(command[0]).toBe('serve');
    for (const word of command) if (word.startsWith('--')) expect(known).toContain(word);
  }
  const config = loadConfig({ config: join(DEPLOY, 'member.toml') }, {});
  if (config instanceof StartFault) throw new Error(config.message);
  expect(config.cluster.servers).toEqual(brokers.map(([name]) => `nats://${name}:4222`));
});

test('its brokers are given what their settings ask for', () => {
  const wanted = [...read('broker.conf').matchAll(/\$(\w+)/g)].map(([, name]) => name!);
  for (const [name, { environment }] of brokers) {
    expect(Object.keys(environment!).toSorted()).toEqual(wanted.toSorted());
    expect(environment!['NATS_NAME']).toBe(name);
    expect(read('broker.conf')).toContain(`nats://${name}:6222`);
  }
});

test.skipIf(ANALYZE === null)('systemd finds no fault in the unit of a broker', () => {
  const unit = join(scratch.path, 'nats-server.service');
  const text = read('nats-server.service').replace('/usr/local/bin/nats-server', process.execPath);
  writeFileSync(unit, text);
  const verified = Bun.spawnSync([ANALYZE!, 'verify', unit]);
  expect([verified.exitCode, verified.stderr.toString()]).toEqual([0, '']);
  const options = ['--offline=yes', '--no-pager', `--threshold=${EXPOSURE_MAX}`];
  const secured = Bun.spawnSync([ANALYZE!, 'security', ...options, unit]);
  expect(secured.exitCode).toBe(0);
});

testDeep('the cluster runs, and survives its leader', async () => {
  if (!hasNats) return console.warn('SKIPPED: bun run nats:install');
  const local = await addresses();
  for (const [name, service] of brokers) startBroker(name, service, local);
  const urls = new Map(members.map(([name]) => [name, `http://${local(`${name}:7070`)}`]));
  const children = new Map(
    members.map(([name, service]) => [name, startMember(name, service, local)]),
  );
  /** Members that are there, and the name of the leader; null while the server does not answer. */
  const known = async (at: string): Promise<{ here: number; leader: string | null }> => {
    const answer = await fetch(`${urls.get(at)!}/v1/cluster`).catch(() => null);
    if (answer === null) return { here: 0, leader: null };
    const { members: all, leader } = (await answer.json()) as RestCluster;
    return { here: all.filter(({ isAway }) => !isAway).length, leader };
  };
  const first = await until(async () => {
    const { here, leader } = await known('edge-2');
    return here === 4 && leader;
  }, 'edge-2 knows four members and a leader');
  // The name of a member is that of its host and port.
  const isOf = (leader: string, name: string): boolean =>
    leader.endsWith(new URL(urls.get(name)!).port);
  expect(isOf(first, 'core-1')).toBe(true);
  children.get('core-1')!.kill('SIGKILL');
  const second = await until(async () => {
    const { leader } = await known('edge-1');
    return leader !== first && leader;
  }, 'edge-1 knows another leader');
  expect(isOf(second, 'core-2')).toBe(true);
  const seq = async (): Promise<number> =>
    ((await (await fetch(`${urls.get('edge-2')!}/v1/instruments`)).json()) as { seq: number }).seq;
  const before = await seq();
  await until(async () => (await seq()) > before);
});

/** Where the addresses of compose are on this machine. */
async function addresses(): Promise<(text: string) => string> {
  const local = new Map<string, string>();
  for (const [name] of brokers) {
    for (const port of [4222, 6222, 8222]) {
      local.set(`${name}:${port}`, `127.0.0.1:${await freePort()}`);
    }
  }
  for (const [name] of members) local.set(`${name}:7070`, `127.0.0.1:${await freePort()}`);
  return (text) => text.replaceAll(/[a-z]+-\d:\d+/g, (address) => local.get(address)!);
}

function startBroker(
  name: string,
  { command, environment = {} }: Service,
  local: (text: string) => string,
): void {
  const config = scratch.write(local(read('broker.conf')), '.conf');
  const store = join(scratch.path, `store-${name}`);
  mkdirSync(store);
  const env = Object.entries(environment).map(([key, value]) => [
    key,
    local(value.replace('0.0.0.0', name).replace('/data', store)),
  ]);
  const args = command.map((word) => word.replace('/etc/nats/broker.conf', config));
  processes.push(
    Bun.spawn([NATS_SERVER, ...args], {
      env: Object.fromEntries(env) as Record<string, string>,
      stdio: ['ignore', 'ignore', 'ignore'],
    }),
  );
}

function startMember(
  name: string,
  { command }: Service,
  local: (text: string) => string,
): Bun.Subprocess {
  const [host, port] = local(`${name}:7070`).split(':') as [string, string];
  const settings = local(read('member.toml'))
    .replace('"0.0.0.0"', `"${host}"`)
    .replace('port = 7070', `port = ${port}`);
  const config = scratch.write(settings, '.toml');
  const args = command.map((word) =>
    word.replace('/etc/tapedeck/member.toml', config).replace('/data', scratch.fresh()),
  );
  const child = spawnTapedeck(args, { timeoutMs: 120_000 });
  processes.push(child);
  return child;
}
