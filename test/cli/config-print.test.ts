/** The output of `config print` is a valid settings file with the same meaning. */

import { afterAll, expect, test } from 'bun:test';
import type { TSchema } from '@sinclair/typebox';
import fc from 'fast-check';
import { parse as parseToml, stringify } from 'smol-toml';

import { StartFault } from '../../src/base/start-fault';
import { settingsToml } from '../../src/cli/config';
import { check, loadSettings, type Loaded } from '../../src/config/config';
import { RELATIONS } from '../../src/config/relations';
import { ConfigSchema } from '../../src/config/schema';
import { Scratch, tapedeck } from '../support/tapedeck-process';

const scratch = new Scratch();
afterAll(() => scratch.remove());

/** Settings that are related to others keep their defaults; every other one may have any value. */
const RELATED = new Set(
  RELATIONS.flatMap(({ setting, formula }) => `${setting} ${formula}`.match(/[a-z]+\.[A-Za-z]+/g)!),
);
/** Settings that have rules besides the schema. */
const SPECIAL: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  'ipc.ring.slots': fc.integer({ min: 6, max: 24 }).map((bits) => 2 ** bits),
  'server.tlsCertificate': fc.constant('a "certificate".pem'),
  'server.tlsKey': fc.constant('a\\key.pem'),
  'server.hosts': fc.subarray(['md.example', '10.0.0.1']),
  'server.origins': fc.subarray(['https://a.example', 'http://127.0.0.1:3000']),
  'limits.instrumentsMax': fc.integer({ min: 10, max: 1_000_000 }),
  'ipc.ring.group': fc.constantFrom('', 'market', '1000'),
  'ipc.iceoryx2.service': fc.constantFrom('tapedeck', 'A/b.c-1'),
  'journal.durability': fc.constantFrom('async', 'commit', 'fsync'), // replicated goes with a cluster
  'cluster.name': fc.stringMatching(/^[A-Za-z0-9_-]{1,32}$/),
  'cluster.member': fc.constantFrom('', 'core-1', 'a.b:7070'),
  'cluster.url': fc.constantFrom('', 'https://edge-1.example.com'),
  'cluster.hubDomain': fc.constant(''), // another goes with the role of an edge
  'cluster.shard': fc.constant(''), // another goes with the role and the symbols
  'cluster.shards': fc.constant([]),
  'cluster.symbols': fc.constantFrom([], ['EUR*', 'USD*']),
  'cluster.servers': fc.constant(['nats://127.0.0.1:4222', 'tls://broker.example:4222']),
  'instruments.symbol': fc.stringMatching(/^[A-Z]{1,12}$/),
  'instruments.market': fc.constant('feed'),
  'instruments.latenessMs': fc.integer({ min: 60_000, max: 86_400_000 }),
  'instruments.timeAheadMs': fc.integer({ min: 0, max: 10_000 }),
};

/** Some settings that a schema allows, in any order, as people write a file. */
function given(schema: TSchema, path: string): fc.Arbitrary<unknown> {
  const special = SPECIAL[path];
  if (special !== undefined) return special;
  if (schema['type'] === 'object') return givenTable(schema, path);
  const options = schema['anyOf'] as { const: string }[] | undefined;
  if (options !== undefined) return fc.constantFrom(...options.map((option) => option.const));
  switch (schema['type']) {
    case 'integer':
      return fc.integer({ min: schema['minimum'] as number, max: schema['maximum'] as number });
    case 'boolean':
      return fc.boolean();
    case 'array':
      return fc.uniqueArray(given(schema['items'] as TSchema, path), {
        maxLength: 4,
        selector: (item) => (item as { symbol: string }).symbol,
      });
    default:
      return fc.string({ unit: 'binary', minLength: 1, maxLength: 20 });
  }
}

function givenTable(schema: TSchema, path: string): fc.Arbitrary<unknown> {
  const properties = schema['properties'] as Record<string, TSchema>;
  const required = (schema['required'] as string[] | undefined) ?? [];
  const at = (name: string): string => (path === '' ? name : `${path}.${name}`);
  const free = Object.keys(properties).filter((name) => !RELATED.has(at(name)));
  const mandatory = path === 'instruments' ? required : [];
  return fc
    .tuple(fc.shuffledSubarray(free), fc.constant(mandatory))
    .chain(([some, must]) =>
      fc.tuple(
        ...[...new Set([...some, ...must, ...together(path, some)])].map((name) =>
          fc.tuple(fc.constant(name), given(properties[name]!, at(name))),
        ),
      ),
    )
    .map((entries) => Object.fromEntries(entries));
}

/** Settings that must be given together with one of these. */
function together(path: string, names: readonly string[]): string[] {
  const isTls = names.some((name) => name === 'tlsCertificate' || name === 'tlsKey');
  const isNamed = path === 'cluster' && names.includes('name');
  return [...(isTls ? ['tlsCertificate', 'tlsKey'] : []), ...(isNamed ? ['servers'] : [])];
}

function loaded(text: string): Loaded {
  const settings = loadSettings({ config: scratch.write(text, '.toml') }, {});
  if (settings instanceof StartFault) throw new Error(`${settings.message}\n${text}`);
  return settings;
}

const RUNS = 400;

test(`printed settings load as the same settings, for ${RUNS} random ones`, () => {
  fc.assert(
    fc.property(given(ConfigSchema, ''), (settings) => {
      const first = loaded(stringify(settings));
      const printed = settingsToml(first);
      expect(loaded(printed).config).toEqual(first.config);
      expect(check(parseToml(printed))).toEqual(first.config);
    }),
    { numRuns: RUNS },
  );
});

test.each([
  [
    'a table that is given in part, with one inside of it',
    '[journal]\ncommitEveryMs = 7\n[journal.retention]\nhours = 5\n',
  ],
  [
    'an inner table before its outer one',
    '[journal.retention]\nhours = 5\n[journal]\ncommitEveryMs = 7\n[ipc.iceoryx2]\nenabled = false\n[ipc.ring]\nslots = 128\n',
  ],
  [
    'instruments before everything',
    '[[instruments]]\nsymbol = "ACME"\npriceScale = 2\nquantityScale = 3\n[server]\nport = 1\n',
  ],
  [
    'a path with signs that need escapes',
    '[journal]\ndirectory = "a\\u007f\\"\\\\ \\u0001\\né#"\n',
  ],
])('%s: "check" takes what "print" printed', async (_, text) => {
  const file = scratch.write(text, '.toml');
  const printed = await tapedeck(['config', 'print', '--config', file]);
  expect([printed.code, printed.stderr]).toEqual([0, '']);
  const again = scratch.write(printed.stdout, '.toml');
  expect(await tapedeck(['config', 'check', '--config', again])).toMatchObject({ code: 0 });
  expect(loaded(printed.stdout).config).toEqual(loaded(text).config);
});
