/**
 * Config: the settings (schema.ts) of one start: read once, checked against each other, frozen. Flags win over the
 * environment, the environment over the file, the file over the defaults. Nothing else reads the environment.
 */

import type { TSchema } from '@sinclair/typebox';
import { readFileSync } from 'node:fs';
import { parse as parseToml } from 'smol-toml';

import { StartFault } from '../base/start-fault';
import { contradiction } from './relations';
import { ConfigSchema, type Config } from './schema';
import { filled } from './settings-check';

export type { Config, ConfiguredInstrument } from './schema';

/** Settings from the command line; undefined: no flag was given. */
export interface Flags {
  readonly host?: string | undefined;
  readonly port?: string | undefined;
  readonly data?: string | undefined;
  readonly config?: string | undefined;
  readonly durability?: string | undefined;
  readonly rate?: string | undefined;
  readonly ring?: string | undefined;
  readonly cluster?: string | undefined;
  readonly nats?: string | undefined;
  readonly role?: string | undefined;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** The process's environment; the only place that reads it. */
export function processEnvironment(): Environment {
  return process.env;
}

export interface Loaded {
  readonly config: Config;
  /** Where each setting came from, by its name; settings that are not in it are defaults. */
  readonly from: ReadonlyMap<string, string>;
}

export function loadConfig(flags: Flags, environment: Environment): Config | StartFault {
  const loaded = loadSettings(flags, environment);
  return loaded instanceof StartFault ? loaded : loaded.config;
}

/** Loads the settings, with where each came from. */
export function loadSettings(flags: Flags, environment: Environment): Loaded | StartFault {
  const file = flags.config ?? environment['TAPEDECK_CONFIG'];
  const settings = file === undefined ? {} : readFile(file);
  if (settings instanceof StartFault) return settings;
  const from = new Map<string, string>();
  const of = flags.config === undefined ? 'TAPEDECK_CONFIG' : '--config';
  for (const name of leaves(settings, '')) from.set(name, `file of ${of}`);
  const override = (section: string, name: string, flag: keyof Flags, variable = ''): void => {
    const given = flags[flag] ?? environment[variable];
    if (given === undefined) return;
    from.set(`${section}.${name}`, flags[flag] === undefined ? variable : `--${flag}`);
    const existing = settings[section] ?? {};
    const value = flag === 'nats' ? given.split(',') : numeric(flag) ? wholeNumber(given) : given;
    // A value that is no section is kept, so that `check` refuses it.
    if (typeof existing === 'object') settings[section] = { ...existing, [name]: value };
  };
  override('server', 'host', 'host', 'TAPEDECK_HOST');
  override('server', 'port', 'port', 'TAPEDECK_PORT');
  override('journal', 'directory', 'data', 'TAPEDECK_DATA');
  override('journal', 'durability', 'durability');
  override('demo', 'ordersPerSecond', 'rate');
  override('cluster', 'name', 'cluster');
  override('cluster', 'servers', 'nats');
  override('cluster', 'role', 'role');
  if (flags.ring !== undefined) {
    from.set('ipc.ring.path', '--ring');
    overrideRing(settings, flags.ring);
  }
  const config = check(settings);
  return config instanceof StartFault ? config : { config, from };
}

/** The names of all settings in it, in the form of messages. */
function leaves(value: unknown, path: string): string[] {
  if (Array.isArray(value) && value.some((item) => typeof item === 'object')) {
    return value.flatMap((item, i) => leaves(item, `${path}[${i}]`));
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [path];
  return Object.entries(value).flatMap(([name, inner]) =>
    leaves(inner, path === '' ? name : `${path}.${name}`),
  );
}

/** A setting with its value, under the name that it has in messages. */
export interface Setting {
  readonly name: string;
  readonly value: unknown;
  readonly description: string;
  /** Where it came from. */
  readonly from: string;
}

/** Every setting that has a value, in an order that is valid in TOML. */
export function settingsOf({ config, from }: Loaded): Setting[] {
  return Array.from(settingsIn(ConfigSchema, config, ''), ({ name, value, description }) => {
    return { name, value, description, from: from.get(name) ?? 'default' };
  });
}

function* settingsIn(
  schema: TSchema,
  value: unknown,
  path: string,
): Iterable<Omit<Setting, 'from'>> {
  if (schema['type'] === 'object') {
    const properties = Object.entries(schema['properties'] as Record<string, TSchema>);
    // In TOML a line belongs to the last table named before it, so a table's own settings come first.
    const own = properties.filter(([, inner]) => !isTable(inner));
    for (const [name, inner] of [...own, ...properties.filter(([, table]) => isTable(table))]) {
      const part = (value as Record<string, unknown>)[name];
      if (part !== undefined)
        yield* settingsIn(inner, part, path === '' ? name : `${path}.${name}`);
    }
  } else if (isTable(schema)) {
    const items = schema['items'] as TSchema;
    for (const [i, item] of (value as unknown[]).entries()) {
      yield* settingsIn(items, item, `${path}[${i}]`);
    }
  } else yield { name: path, value, description: schema.description ?? '' };
}

/** A section, or a list of them. */
function isTable(schema: TSchema): boolean {
  const inner = schema['type'] === 'array' ? (schema['items'] as TSchema) : schema;
  return inner['type'] === 'object';
}

function numeric(flag: keyof Flags): boolean {
  return flag === 'port' || flag === 'rate';
}

/** Text that is no whole number is kept, so that the check names it. */
function wholeNumber(text: string): number | string {
  return /^\d{1,15}$/.test(text) ? Number(text) : text;
}

function readFile(path: string): Record<string, unknown> | StartFault {
  const unread = (e: unknown, hint: string): StartFault =>
    new StartFault(
      'bad-config',
      `the config file ${path} cannot be read: ${(e as Error).message}`,
      hint,
    );
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (e) {
    return unread(e, 'Give a file that this user may read with --config or TAPEDECK_CONFIG.');
  }
  try {
    return parseToml(text);
  } catch (e) {
    return unread(e, 'It is to be TOML; "tapedeck config print" prints a whole file of settings.');
  }
}

function overrideRing(settings: Record<string, unknown>, path: string): void {
  const ipc = settings['ipc'] ?? {};
  const ring = (ipc as { ring?: unknown }).ring ?? {};
  // A value that is no section is kept, so that `check` refuses it.
  if (typeof ipc !== 'object' || typeof ring !== 'object') return;
  // `default` stands for the path that an empty setting does.
  const own = path === 'default' ? '' : path;
  settings['ipc'] = { ...ipc, ring: { ...ring, enabled: true, path: own } };
}

/** Settings that only feed instruments may have. */
const FEED_SETTINGS = ['feedStaleMs', 'latenessMs', 'timeAheadMs'] as const;

/** Checks settings against the schema and each other. */
export function check(settings: Record<string, unknown>): Config | StartFault {
  if (Object.hasOwn(settings, 'keys')) {
    const hint = 'Make them with "tapedeck keys make", and remove [[keys]].';
    return new StartFault('bad-config', 'keys are not kept in the settings any more', hint);
  }
  const full = filled(ConfigSchema, settings);
  if ('code' in full) {
    const isKnown = full.message.startsWith(full.field!);
    return badConfig(`${isKnown ? 'the setting ' : ''}${full.message}`);
  }
  const config = full;
  const contradicted = contradiction(config);
  if (contradicted !== undefined) return badConfig(contradicted);
  const { instruments, limits, server, ipc } = config;
  if (!Number.isInteger(Math.log2(ipc.ring.slots))) {
    return badConfig(`ipc.ring.slots is ${ipc.ring.slots}; expected a power of two`);
  }
  if ((server.tlsCertificate === '') !== (server.tlsKey === '')) {
    return badConfig('server.tlsCertificate and server.tlsKey go together; one of them is empty');
  }
  const unfit = clusterFault(config);
  if (unfit !== undefined) return badConfig(unfit);
  for (const own of instruments) {
    const wrong = FEED_SETTINGS.find((name) => own.market === 'venue' && own[name] !== undefined);
    if (wrong === undefined) continue;
    return badConfig(`${wrong} is of instruments that are fed; ${own.symbol} is a venue`);
  }
  const again = repeated(instruments, ({ symbol }) => symbol);
  if (again !== undefined) return badConfig(`two instruments are named ${again.symbol}`);
  if (instruments.length > limits.instrumentsMax) {
    return badConfig(
      `there are ${instruments.length} [[instruments]]; expected at most limits.instrumentsMax (${limits.instrumentsMax})`,
    );
  }
  return deepFreeze(config);
}

function clusterFault({ cluster, journal, ipc }: Config): string | undefined {
  const { name, servers, role, hubDomain, replicas, tlsCertificate, tlsKey } = cluster;
  if (name !== '' && servers.length === 0) {
    return 'cluster.servers is empty; expected the servers of NATS of the cluster';
  }
  if ((tlsCertificate === '') !== (tlsKey === '')) {
    return 'cluster.tlsCertificate and cluster.tlsKey go together; one of them is empty';
  }
  if (hubDomain !== '' && role !== 'edge') {
    return `cluster.hubDomain is ${hubDomain} and cluster.role ${role}; expected an edge, since only edges may read a mirror`;
  }
  const unfit = shardFault(cluster, ipc);
  if (unfit !== undefined) return unfit;
  if (journal.durability !== 'replicated') return undefined;
  if (name === '') return 'journal.durability is replicated; expected cluster.name to be set';
  if (replicas > 1) return undefined;
  return 'cluster.replicas is 1; expected 3 or 5, since journal.durability is replicated';
}

/** Names of batch logs, with that of the shard. */
const LOG_NAME_MAX = 32;

function shardFault(
  { name, role, shard, shards, symbols }: Config['cluster'],
  { ring, iceoryx2 }: Config['ipc'],
): string | undefined {
  if (shards.length > 0 && (role !== 'edge' || shard !== '')) {
    return 'cluster.shards is of an edge, and takes the place of cluster.shard';
  }
  const again = repeated(shards, (one) => one);
  if (again !== undefined) return `cluster.shards names ${again} twice`;
  const long = [shard, ...shards].find((one) => name.length + one.length >= LOG_NAME_MAX);
  if (long !== undefined && long !== '') {
    return `cluster.name and the shard ${long} have more than ${LOG_NAME_MAX - 1} characters together`;
  }
  if (shard !== '' && role !== 'edge' && symbols.length === 0) {
    return 'cluster.symbols is empty; expected the symbols of the shard, such as EUR*';
  }
  if (shards.length > 1 && (ring.enabled || iceoryx2.enabled)) {
    return 'ipc publishes one numbering; expected no ipc at an edge of several cluster.shards';
  }
  return undefined;
}

/** The first item with the same value as an earlier one. */
function repeated<T>(items: readonly T[], of: (item: T) => string): T | undefined {
  const seen = new Set<string>();
  return items.find((item) => seen.size === seen.add(of(item)).size);
}

function badConfig(message: string): StartFault {
  return new StartFault('bad-config', message, '"tapedeck config print" lists all settings.');
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) deepFreeze(inner);
    Object.freeze(value);
  }
  return value;
}
