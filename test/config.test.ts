/** Settings: where they come from, their bounds, and the messages about wrong ones. */

import { afterAll, describe, expect, test } from 'bun:test';

import { StartFault } from '../src/base/start-fault';
import { check, loadConfig, type Config } from '../src/config/config';
import { Scratch } from './support/tapedeck-process';

const scratch = new Scratch();
afterAll(() => scratch.remove());

type Settings = Record<string, unknown>;

function good(settings: Settings): Config {
  const config = check(settings);
  if (config instanceof StartFault) throw new Error(config.message);
  return config;
}

function wrong(settings: Settings): string {
  const fault = check(settings);
  if (!(fault instanceof StartFault)) throw new Error('it was taken');
  expect([fault.code, fault.exitCode]).toEqual(['bad-config', 78]);
  return fault.message;
}

const INSTRUMENT = { symbol: 'ACME', priceScale: 2, quantityScale: 3 };

describe('defaults', () => {
  const config = good({});

  test('hold without a file', () => {
    expect(config.server).toEqual({
      host: '127.0.0.1',
      port: 7070,
      drainMs: 5_000,
      insecure: 'never',
      tlsCertificate: '',
      tlsKey: '',
      hosts: [],
      origins: [],
    });
    expect(config.journal).toMatchObject({ directory: 'data', durability: 'async' });
    expect(config.instruments).toEqual([]);
  });

  test('are deeply frozen', () => {
    const { instruments } = good({ instruments: [INSTRUMENT] });
    const { server, limits } = config;
    for (const part of [config, server, server.origins, limits, instruments, instruments[0]]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
  });

  test('given values are not changed', () => {
    const settings = { server: { port: 1 } };
    good(settings);
    expect(settings).toEqual({ server: { port: 1 } });
  });
});

describe('bounds', () => {
  /** Lowest and highest value of each number; these are accepted, values beyond are refused. */
  const BOUNDS: Record<string, Record<string, readonly [number, number]>> = {
    server: { port: [0, 65_535] },
    journal: { commitEveryMs: [1, 10_000], checkpointEveryEvents: [1_000, 100_000_000] },
    market: {
      sessionBoundary: [0, 86_399],
      feedStaleMs: [0, 86_400_000],
      latenessMs: [1, 86_400_000],
      timeAheadMs: [0, 3_600_000],
      takeoverMs: [100, 60_000],
      requestsHoldMs: [1, 604_800_000],
      requestsIdleMs: [1, 604_800_000],
    },
    cache: {
      ttlMs: [1, 3_600_000],
      entriesMax: [1, 1_000_000],
      memtableEventsMax: [1_000, 10_000_000],
      recentTradesMax: [10, 100_000],
      recentTradesInAllMax: [10_000, 1e9],
    },
    push: {
      heartbeatMs: [100, 60_000],
      backlogBytesMax: [131_072, 1_073_741_824],
      outboxBytesMax: [16_384, 134_217_728],
      logsBytesMax: [1_048_576, 1e12],
      lagMs: [1, 60_000],
      staleMs: [1, 60_000],
      pingMs: [100, 60_000],
      pongMs: [1_000, 600_000],
      controlMs: [1_000, 600_000],
      controlMessagesMax: [25_005, 10_000_000],
    },
    limits: {
      instrumentsMax: [1, 1_000_000],
      bookDepthMax: [10, 100_000],
      tradesMax: [1, 10_000],
      sessionsMax: [1, 1_000_000],
      sessionsPerAddressMax: [1, 1_000_000],
      sessionsPerKeyMax: [1, 1_000_000],
      helloMs: [100, 600_000],
      messagesPerSecond: [1, 1e9],
      bytesPerSecond: [1_024, 1e12],
      publishBytesPerSecond: [1_024, 1e12],
      ordersPerSecond: [1, 1e9],
      bodiesBytesMax: [1_024, 1e12],
      requestSeconds: [1, 255],
      topicsMax: [1, 1_000_000],
      frameBytesMax: [1_024, 16_777_216],
      bodyBytesMax: [1_024, 1_073_741_824],
      heldBytesMax: [65_536, 1_073_741_824],
      waitingEventsMax: [10_000, 10_000_000],
      batchEventsMax: [1, 1_000_000],
    },
  };
  /** Other settings that a bound needs. */
  const BESIDE: Settings = {
    push: {
      backlogBytesMax: 1_073_741_824,
      outboxBytesMax: 16_384,
      controlMessagesMax: 10_000_000,
      heartbeatMs: 100,
      lagMs: 1,
      staleMs: 1,
      pongMs: 600_000,
      controlMs: 600_000,
    },
    limits: {
      frameBytesMax: 1_024,
      topicsMax: 1,
      bodyBytesMax: 1_024,
      bodiesBytesMax: 1e12,
      clientBytesPerClientMax: 4_294_967_296,
      clientBytesMax: 1e12,
    },
    market: {
      timeAheadMs: 0,
      latenessMs: 86_400_000,
      requestsHoldMs: 1,
      requestsIdleMs: 604_800_000,
    },
  };

  const rows = Object.entries(BOUNDS).flatMap(([section, settings]) =>
    Object.entries(settings).map(([name, [low, high]]) => [section, name, low, high] as const),
  );

  test.each(rows)('%s.%s is from %d to %d', (section, name, low, high) => {
    const withValue = (value: unknown): Settings => ({
      ...BESIDE,
      [section]: { ...(BESIDE[section] as Settings | undefined), [name]: value },
    });
    for (const value of [low, high]) {
      const taken = good(withValue(value)) as unknown as Record<string, Settings>;
      expect(taken[section]![name]).toBe(value);
    }
    for (const value of [
      low - 1,
      high + 1,
      low + 0.5,
      String(low),
      null,
      true,
      Number.NaN,
      [low],
    ]) {
      expect(wrong(withValue(value))).toBe(
        `the setting ${section}.${name} is ${shownValue(value)}; expected an integer from ${low} to ${high}`,
      );
    }
  });

  function shownValue(value: unknown): string {
    return Array.isArray(value)
      ? 'an array of 1'
      : typeof value === 'string'
        ? JSON.stringify(value)
        : `${value as number}`;
  }

  test('enumerated words', () => {
    for (const durability of ['async', 'commit', 'fsync']) good({ journal: { durability } });
    expect(wrong({ journal: { durability: 'Commit' } })).toContain(
      'expected one of async, commit, fsync',
    );
    expect(wrong({ log: { level: 'loud' } })).toContain(
      'expected one of silent, error, warn, info, debug',
    );
  });

  test('texts', () => {
    expect(wrong({ server: { host: '' } })).toContain('server.host is ""; expected a string of 1');
    expect(wrong({ server: { host: 5 } })).toContain('server.host is 5; expected a string');
    expect(wrong({ journal: { directory: '' } })).toContain('journal.directory is ""');
  });
});

describe('related settings', () => {
  test('keys are not kept in the settings, and an error does not repeat a secret', () => {
    const keys = [{ name: 'feed', secret: 'hunter2-hunter2-hunter2', roles: ['publish'] }];
    expect(wrong({ keys })).toBe('keys are not kept in the settings any more');
  });

  test('a certificate needs its key', () => {
    for (const server of [{ tlsCertificate: 'a.pem' }, { tlsKey: 'a.pem' }]) {
      expect(wrong({ server })).toContain('server.tlsCertificate and server.tlsKey go together');
    }
    good({ server: { tlsCertificate: 'a.pem', tlsKey: 'b.pem' } });
  });

  test('an origin has no path and no stars', () => {
    good({ server: { origins: ['https://a.example', 'http://127.0.0.1:3000'] } });
    for (const origin of ['*', 'a.example', 'https://a.example/', 'https://*.example', 'null']) {
      expect(wrong({ server: { origins: [origin] } })).toContain('server.origins.0 is');
    }
  });

  test('an instrument is defined once', () => {
    const twice = [INSTRUMENT, { ...INSTRUMENT, market: 'feed', priceScale: 4 }];
    expect(wrong({ instruments: twice })).toBe('two instruments are named ACME');
  });

  test('no more instruments than the limit', () => {
    const two = [INSTRUMENT, { ...INSTRUMENT, symbol: 'BETA' }];
    expect(wrong({ limits: { instrumentsMax: 1 }, instruments: two })).toBe(
      'there are 2 [[instruments]]; expected at most limits.instrumentsMax (1)',
    );
  });
});

test.each([
  ['snapshotEveryMs', 0, 3_600_000],
  ['snapshotChangePercent', 1, 1_000],
  ['feedStaleMs', 0, 86_400_000],
  ['latenessMs', 1, 86_400_000],
  ['timeAheadMs', 0, 3_600_000],
])(
  '%s of an instrument may be absent, and has the bounds of the one for all',
  (name, low, high) => {
    const instruments = (value: unknown): Settings => ({
      market: name === 'timeAheadMs' ? { latenessMs: 86_400_000 } : { timeAheadMs: 0 },
      instruments: [{ ...INSTRUMENT, market: 'feed', [name]: value }],
    });
    expect(good({ instruments: [INSTRUMENT] }).instruments[0]).not.toHaveProperty(name);
    for (const value of [low, high]) {
      expect(good(instruments(value)).instruments[0]).toHaveProperty(name, value);
    }
    for (const value of [low - 1, high + 1, '5']) {
      expect(wrong(instruments(value))).toContain(
        `the setting instruments.0.${name} is ${JSON.stringify(value)}; expected an integer from ${low} to ${high}`,
      );
    }
  },
);

test.each(['feedStaleMs', 'latenessMs', 'timeAheadMs'])('a venue has no %s of its own', (name) => {
  expect(wrong({ instruments: [{ ...INSTRUMENT, [name]: 20_000 }] })).toBe(
    `${name} is of instruments that are fed; ACME is a venue`,
  );
});

describe('names', () => {
  test.each([
    [{ sever: {} }, 'there is no setting sever; the nearest known one is server'],
    [
      { server: { prot: 1 } },
      'there is no setting server.prot; the nearest known one is server.port',
    ],
    [
      { limits: { topicMax: 1 } },
      'there is no setting limits.topicMax; the nearest known one is limits.topicsMax',
    ],
    [{ Server: {} }, 'the nearest known one is server'],
    [{ auth: { token: 'x' } }, 'there is no setting auth.token'],
    [{ instruments: [{ ...INSTRUMENT, scale: 1 }] }, 'there is no setting instruments[0].scale'],
    [{ constructor: {} }, 'there is no setting constructor'],
  ])('%j', (settings, words) => {
    expect(wrong(settings)).toContain(words);
  });

  test.each([
    [{ server: 5 }, 'the setting server is 5'],
    [{ server: [] }, 'the setting server is an array of 0'],
  ])('a section of another kind: %j', (settings: Settings, words) => {
    expect(wrong(settings)).toContain(words);
  });
});

describe('sources', () => {
  const file = scratch.write(
    '[server]\nport = 1\nhost = "file"\n[journal]\ndirectory = "from-file"\ndurability = "async"\n',
    '.toml',
  );
  const environment = {
    TAPEDECK_CONFIG: file,
    TAPEDECK_PORT: '2',
    TAPEDECK_HOST: 'env',
    TAPEDECK_DATA: 'from-env',
  };
  const flags = { port: '3', host: 'flag', data: 'from-flag', durability: 'fsync' };
  const loaded = (...[f, e]: Parameters<typeof loadConfig>) => {
    const config = loadConfig(f, e);
    if (config instanceof StartFault) throw new Error(config.message);
    const { server, journal } = config;
    return [server.port, server.host, journal.directory, journal.durability];
  };

  test('flags take precedence over environment, file and defaults', () => {
    expect(loaded({}, {})).toEqual([7070, '127.0.0.1', 'data', 'async']);
    expect(loaded({ config: file }, {})).toEqual([1, 'file', 'from-file', 'async']);
    expect(loaded({}, environment)).toEqual([2, 'env', 'from-env', 'async']);
    expect(loaded(flags, environment)).toEqual([3, 'flag', 'from-flag', 'fsync']);
    const other = scratch.write('[server]\nport = 9\n', '.toml');
    expect(loaded({ config: other }, { TAPEDECK_CONFIG: file })[0]).toBe(9);
  });

  test.each(['', 'abc', '-1', '1.5', '70000', '0x50', ' 80', '1e3'])('a port of %j', (port) => {
    for (const fault of [loadConfig({ port }, {}), loadConfig({}, { TAPEDECK_PORT: port })]) {
      expect((fault as StartFault).message).toContain('expected an integer from 0 to 65535');
    }
  });

  test('a flag does not hide an invalid section', () => {
    const broken = scratch.write('server = 5\n', '.toml');
    const fault = loadConfig({ config: broken, port: '80' }, {});
    expect((fault as StartFault).message).toContain('the setting server is 5');
  });

  test.each([
    ['missing', () => '/nowhere/tapedeck.toml', 'that this user may read'],
    ['a directory', () => scratch.path, 'that this user may read'],
    ['not TOML', () => scratch.write('[server\nport: 5', '.toml'), 'to be TOML'],
    ['a name twice', () => scratch.write('[server]\nport = 1\nport = 2\n', '.toml'), 'to be TOML'],
  ])('a file that is %s', (_name, make, hint) => {
    const path = make();
    const fault = loadConfig({ config: path }, {}) as StartFault;
    expect(fault.message).toStartWith(`the config file ${path} cannot be read: `);
    expect(fault.hint).toContain(hint);
    expect([fault.code, fault.exitCode]).toEqual(['bad-config', 78]);
  });
});
