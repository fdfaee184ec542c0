/** The broker on real servers: the contract, what is checked at the start, and servers that die. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { jetstreamManager, type StreamConfig } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';

import { SystemClock } from '../../src/base/clock';
import { ClusterFault } from '../../src/cluster/cluster-fault';
import { NatsBroker } from '../../src/cluster/nats-broker';
import { NATS_DEFAULTS, type NatsSettings } from '../../src/cluster/nats-settings';
import { streamConfig } from '../../src/cluster/nats-stream';
import { hasNats, NatsServers } from '../support/nats';
import { until } from '../support/until';
import { brokerContract, bytesOf, valueOf, type BrokerUnderTest } from './broker-contract';

const clock = new SystemClock();
const MEGABYTE = 1024 * 1024;

function settingsOf(
  servers: NatsServers,
  shard: string,
  more: Partial<NatsSettings> = {},
): NatsSettings {
  return {
    ...NATS_DEFAULTS,
    servers: servers.urls,
    name: 'test',
    shard,
    replicas: servers.all.length,
    logBytesMax: 16 * MEGABYTE,
    checkpointBytesMax: 16 * MEGABYTE,
    ...more,
  };
}

async function opened(settings: NatsSettings): Promise<NatsBroker> {
  const broker = await NatsBroker.open(settings, clock);
  if (broker instanceof ClusterFault) throw new Error(`${broker.code}: ${broker.message}`);
  return broker;
}

async function faultOf(settings: NatsSettings): Promise<ClusterFault> {
  const broker = await NatsBroker.open(settings, clock);
  if (broker instanceof ClusterFault) return broker;
  await broker.close();
  throw new Error('it was opened');
}

/** The contract against servers that `start` gives; each test has a shard of its own. */
function contractOn(name: string, servers: () => NatsServers): void {
  let shard = 0;
  const underTest: BrokerUnderTest = {
    open: () => opened(settingsOf(servers(), `${name}-${shard}`)),
    fresh: () => void (shard += 1),
    settle: (promise) => promise,
    until: async (holds) => void (await until(holds)),
  };
  brokerContract(`NATS, ${name}`, () => underTest);
}

describe.skipIf(!hasNats)('one server', () => {
  let servers: NatsServers;
  beforeAll(async () => {
    servers = await NatsServers.one();
  });
  afterAll(() => servers.remove());

  contractOn('one', () => servers);

  async function withStream(config: Partial<StreamConfig> & { name: string }): Promise<void> {
    const nc = await connect({ servers: servers.urls });
    const jsm = await jetstreamManager(nc);
    await jsm.streams.add(config);
    await nc.close();
  }

  test('a stream of others is not taken', async () => {
    await withStream({ name: 'TD_others', subjects: ['orders.>'] });
    const foreign = await faultOf(settingsOf(servers, 'others'));
    expect(foreign.code).toBe('stream-foreign');
    expect(foreign.message).toContain('orders.>');
    await withStream({ name: 'ALL', subjects: ['td.taken.*'] });
    expect((await faultOf(settingsOf(servers, 'taken'))).code).toBe('stream-foreign');
  });

  test('a stream to whose subject others wrote is not taken', async () => {
    const settings = settingsOf(servers, 'written');
    const broker = await opened(settings);
    expect(await broker.append(bytesOf(1), 'x', 0)).toMatchObject({ outcome: 'stored' });
    await broker.close();
    const foreign = await faultOf(settings);
    expect([foreign.code, foreign.message]).toEqual([
      'stream-foreign',
      expect.stringContaining('message 1 of the stream TD_written is no frame of this log'),
    ]);
  });

  const limits: readonly [about: string, change: Partial<StreamConfig>, named: string][] = [
    ['fewer bytes', { max_bytes: 1_000 }, 'max_bytes 1000, less than 16777216'],
    ['less time', { max_age: 120_000_000_000 }, 'max_age'],
    ['a bound of messages', { max_msgs: 10 }, 'max_msgs 10'],
    ['small messages', { max_msg_size: 500 }, 'max_msg_size 500'],
    ['a short memory of ids', { duplicate_window: 1e9 }, 'duplicate_window 1000000000, less than'],
    ['no direct get', { allow_direct: false }, 'allow_direct false'],
    ['no republish', { republish: { src: 'td.>', dest: 'other.>' } }, 'republish td.> → other.>'],
    ['memory', { storage: 'memory' }, 'storage "memory"'],
    ['another discard', { discard: 'new' }, 'discard "new"'],
  ];
  for (const [i, [about, change, named]] of limits.entries()) {
    test(`a stream that has ${about} is refused by name`, async () => {
      const settings = settingsOf(servers, `limits-${i}`);
      await withStream({ ...streamConfig(settings), ...change });
      const fault = await faultOf(settings);
      expect(fault.code).toBe('stream-limits');
      expect(fault.message).toContain(named);
      expect(fault.hint).toContain('nats stream edit');
    });
  }

  test('a stream with more room than is asked for is taken', async () => {
    const settings = settingsOf(servers, 'roomy');
    await withStream({ ...streamConfig(settings), max_bytes: 64 * MEGABYTE, max_age: 0 });
    const broker = await opened(settings);
    expect(valueOf(await broker.info())).toMatchObject({ bytesMax: 64 * MEGABYTE, ageMaxMs: 0 });
    await broker.close();
  });

  test('an edge creates no stream, and says that there is none', async () => {
    const fault = await faultOf(settingsOf(servers, 'absent', { mayCreate: false, openMs: 300 }));
    expect([fault.code, fault.message]).toEqual([
      'stream-absent',
      'the broker has no stream TD_absent',
    ]);
  });

  test('more replicas than servers, or more bytes than the broker has, are refused', async () => {
    const three = await faultOf(settingsOf(servers, 'three', { replicas: 3 }));
    expect(three.code).toBe('broker-too-small');
    const huge = await faultOf(settingsOf(servers, 'huge', { logBytesMax: 1e15 }));
    expect(huge.code).toBe('broker-too-small');
  });

  test('messages that are too small are refused', async () => {
    const fault = await faultOf(settingsOf(servers, 'x', { payloadBytesMin: 8 * MEGABYTE }));
    expect(fault.code).toBe('payload-too-small');
    expect(fault.hint).toContain(`${8 * MEGABYTE + 1_024}`);
  });

  test('settings that cannot be are refused before anything is connected', async () => {
    const cases: Partial<NatsSettings>[] = [
      { shard: 'a.b' },
      { servers: [] },
      { replicas: 2 },
      { payloadBytesMin: 10 },
      { tls: { cert: 'x' } },
      { credentials: { creds: 'none' } },
      { credentials: { nkeySeed: 'none' } },
    ];
    for (const more of cases) {
      expect((await faultOf(settingsOf(servers, 'x', more))).code).toBe('bad-cluster-settings');
    }
  });

  test('a server that does not answer is named', async () => {
    const settings = settingsOf(servers, 'x', { servers: ['nats://127.0.0.1:1'], openMs: 0 });
    const fault = await faultOf(settings);
    expect(fault.code).toBe('broker-unreachable');
    expect(fault.message).toStartWith('nats://127.0.0.1:1: ');
  });

  test('a full log is a refusal that can pass, not a deposal', async () => {
    const settings = settingsOf(servers, 'full');
    const broker = await opened(settings);
    const nc = await connect({ servers: servers.urls });
    const jsm = await jetstreamManager(nc);
    await jsm.streams.update('TD_full', { discard: 'new', max_bytes: 5_000 });
    let last = 0;
    for (;;) {
      const result = await broker.append(bytesOf(1, 1_000), `f.1.${last}`, last);
      if (result.outcome !== 'stored') {
        expect(result).toMatchObject({ outcome: 'refused', reason: 'full' });
        break;
      }
      last = result.sequence;
    }
    await jsm.streams.update('TD_full', { max_bytes: MEGABYTE });
    const again = await broker.append(bytesOf(1, 1_000), `f.1.${last}`, last);
    expect(again).toMatchObject({ outcome: 'stored', sequence: last + 1 });
    await nc.close();
    await broker.close();
  });

  test('a stream that was emptied or made again is noticed', async () => {
    const broker = await opened(settingsOf(servers, 'again'));
    for (let i = 0; i < 3; i++) await broker.append(bytesOf(i), `a.1.${i}`, i);
    const nc = await connect({ servers: servers.urls });
    const jsm = await jetstreamManager(nc);
    await jsm.streams.purge('TD_again');
    expect(valueOf(await broker.last())).toEqual({ sequence: 3, frame: null });
    expect(await broker.append(bytesOf(4), 'a.1.3', 3)).toMatchObject({ sequence: 4 });
    await jsm.streams.delete('TD_again');
    expect((await broker.append(bytesOf(4), 'a.1.4', 4)).outcome).toBe('unavailable');
    await jsm.streams.add(streamConfig(settingsOf(servers, 'again')));
    expect(await broker.append(bytesOf(4), 'a.1.4', 4)).toMatchObject({
      outcome: 'refused',
      reason: 'wrong-stream',
    });
    await nc.close();
    await broker.close();
  });
});

describe.skipIf(!hasNats)('servers that ask for more', () => {
  const started: NatsServers[] = [];
  const start = async (config: string): Promise<NatsServers> => {
    const servers = await NatsServers.one(config);
    started.push(servers);
    return servers;
  };
  afterEach(async () => {
    for (const servers of started.splice(0)) await servers.remove();
  });

  test('JetStream that is off, and credentials', async () => {
    const servers = await start(`# no jetstream
authorization { users: [ { user: "core", password: "secret" } ] }`);
    const right = { user: 'core', password: 'secret' };
    const asked = (more: Partial<NatsSettings>): Promise<ClusterFault> =>
      faultOf(settingsOf(servers, 'x', { openMs: 0, ...more }));
    expect((await asked({})).code).toBe('broker-unauthorized');
    const wrong = { user: 'core', password: 'wrong' };
    expect((await asked({ credentials: wrong })).code).toBe('broker-unauthorized');
    expect((await asked({ credentials: right })).code).toBe('jetstream-off');
  });

  test('an account that may not append: the reason is said, and an operator can allow it', async () => {
    const account = 'user: "core", password: "p", permissions: { publish: { deny: "td.>" } }';
    const servers = await start(`authorization { users: [ { ${account} } ] }`);
    const credentials = { user: 'core', password: 'p' };
    const broker = await opened(settingsOf(servers, 'denied', { credentials }));
    const denied = await broker.append(bytesOf(1), 'a.1.0', 0);
    expect(denied).toMatchObject({
      outcome: 'unavailable',
      reason: expect.stringContaining('Permissions Violation'),
    });
    servers.all[0]!.reconfigure('deny: "td.>"', 'deny: "other.>"');
    await until(async () => (await broker.append(bytesOf(1), 'a.1.0', 0)).outcome === 'stored');
    await broker.close();
  });

  test.skipIf(Bun.which('openssl') === null)(
    'an encrypted connection, by a known authority',
    async () => {
      const directory = mkdtempSync(join(tmpdir(), 'tapedeck-certificate-'));
      const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
      const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'];
      const kind = ['-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2'];
      Bun.spawnSync(['openssl', 'req', ...kind, '-keyout', key, '-out', cert, ...names]);
      const servers = await start(`tls { cert_file: "${cert}", key_file: "${key}" }`);
      const broker = await opened(
        settingsOf(servers, 'safe', { tls: { ca: readFileSync(cert, 'utf8') } }),
      );
      expect(await broker.append(bytesOf(1), 'a.1.0', 0)).toMatchObject({ outcome: 'stored' });
      await broker.close();
      const stranger = await faultOf(settingsOf(servers, 'safe', { tls: {}, openMs: 0 }));
      expect(stranger.code).toBe('broker-insecure');
      rmSync(directory, { recursive: true });
    },
  );

  test('a server that is too old is refused before it is asked for anything', async () => {
    const info = { version: '2.9.10', max_payload: MEGABYTE, headers: true, jetstream: true };
    const old = Bun.listen({
      hostname: '127.0.0.1',
      port: 0,
      socket: {
        open: (socket) => void socket.write(`INFO ${JSON.stringify(info)}\r\n`),
        data: (socket, data) => {
          if (data.includes('PING')) socket.write('PONG\r\n');
        },
      },
    });
    const url = `nats://127.0.0.1:${old.port}`;
    const settings = { ...NATS_DEFAULTS, name: 'test', shard: 'x', servers: [url] };
    const fault = await faultOf(settings);
    expect([fault.code, fault.message]).toEqual([
      'broker-too-old',
      'nats-server 2.9.10; at least 2.12 is needed',
    ]);
    old.stop(true);
  });
});

describe.skipIf(!hasNats)('three servers', () => {
  let servers: NatsServers;
  beforeAll(async () => {
    servers = await NatsServers.three();
  });
  afterAll(() => servers.remove());

  contractOn('three', () => servers);
});
