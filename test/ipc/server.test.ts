/**
 * The ring of a server: the ring, WebSocket, REST and a reader in Python agree on the market. Also:
 * `tail --ring`, and a server that is killed and restarted.
 */

import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { formatLevels } from '../../protocol/json';
import type { Message, Tick } from '../../protocol/messages';
import { formatSum } from '../../protocol/sums';
import { formatDecimal } from '../../protocol/units';
import { check, loadConfig } from '../../src/config/config';
import { Connection } from '../../src/client/connection';
import { followRing, ringItems, type RingItem } from '../../src/ipc/ring-follow';
import { CAPTURE, captureIsThere, tellIfAbsent } from '../support/naive-capture';
import { PUBLISH_KEY, ServerProcess, spawnTapedeck, tapedeck } from '../support/tapedeck-process';
import { openRing, RingDirectory } from './made-ring';
import { until } from '../support/until';

setDefaultTimeout(60_000);
const rings = new RingDirectory();
const servers: ServerProcess[] = [];
afterAll(async () => {
  for (const server of servers) await server.remove();
  rings.remove();
});
tellIfAbsent();

const TAPES = join(import.meta.dir, '../../fixtures/tapes');
const PYTHON = Bun.which('python3');
const TOPICS = ['tick:*', 'trade:*', 'bbo:*', 'book:*', 'status'];

async function start(path: string, data?: string): Promise<ServerProcess> {
  const args = ['--ring', path];
  const config = '[ipc.ring]\nslots = 262144\n';
  const server = await ServerProcess.start({
    args,
    config,
    ...(data === undefined ? {} : { data }),
  });
  servers.push(server);
  return server;
}

async function replay(server: ServerProcess, file: string): Promise<void> {
  const args = ['replay', file, '--to', server.url, '--key', PUBLISH_KEY, '--speed', 'max'];
  expect(await tapedeck(args)).toMatchObject({ code: 0, stderr: '' });
}

/** All items until the server has ended, without definitions. */
async function itemsOf(items: AsyncIterable<RingItem>): Promise<Message[]> {
  const all: RingItem[] = await Array.fromAsync(items);
  return all.filter(({ type }) => type !== 'instrument') as Message[];
}

interface PythonRecord {
  type: string;
  seq: number;
  [name: string]: unknown;
}

/** @param onOpen called when the reader has opened the ring, which it announces in its first line */
async function python(args: string[], onOpen: () => void = () => {}): Promise<PythonRecord[]> {
  const child = Bun.spawn([PYTHON!, join(import.meta.dir, 'ring_reader.py'), ...args], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'inherit',
  });
  let text = '';
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    onOpen();
  }
  expect(await child.exited).toBe(0);
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as PythonRecord);
}

describe('a recorded tape', () => {
  test('gives the same messages through the ring, over WebSocket and to a reader in Python', async () => {
    const path = rings.fresh();
    const server = await start(path);
    const inRing = itemsOf(ringItems(openRing(path)));
    const opened = Promise.withResolvers<void>();
    const inPython = PYTHON === null ? null : python([path], opened.resolve);
    if (inPython === null) console.log('skipped: there is no python3 to read the ring');
    else await Promise.race([opened.promise, inPython]);
    const pushed: Message[] = [];
    const onMessage = (message: Message): void => {
      if ('prevSeq' in message) pushed.push(message);
    };
    const connection = await Connection.connect(server.url, { onMessage });
    await connection.subscribe(TOPICS);
    await replay(server, join(TAPES, 'two-instruments.ndjson'));
    await replay(server, join(TAPES, 'binance-mini.txt'));
    const { seq } = (await server.json('/v1/tick/ACMEUSDT')) as { seq: number };
    await until(() => pushed.some((message) => 'seq' in message && message.seq >= seq));
    await server.stop();

    const bySeq = (a: Message, b: Message) => ('seq' in a && 'seq' in b ? a.seq - b.seq : 0);
    const ringed = await inRing;
    expect(ringed.length).toBeGreaterThan(20);
    expect(ringed).toEqual(pushed.toSorted(bySeq));
    if (inPython !== null) checkPython(await inPython, ringed);
    expect(existsSync(path)).toBe(false);
  });
});

/** Expects that Python's records, with the parts of each book joined, equal the messages. */
function checkPython(lines: PythonRecord[], messages: Message[]): void {
  const whole: PythonRecord[] = [];
  let open: PythonRecord | undefined;
  for (const { endsBatch: _, symbol, ...line } of lines.slice(1)) {
    if (line.type === 'instrument') continue;
    const record = { ...line, symbol } as PythonRecord;
    if (open === undefined) {
      whole.push((open = record));
    } else {
      for (const side of ['bids', 'asks'])
        (open[side] as number[]).push(...(record[side] as number[]));
      open['crc'] = record['crc'];
    }
    if (record['continues'] !== true) open = undefined;
  }
  for (const record of whole) delete record['continues'];
  const plain = JSON.parse(JSON.stringify(messages)) as Record<string, unknown>[];
  // The ring does not carry `count` of a book: its books are never conflated.
  for (const message of plain) if (message['type'] === 'book') delete message['count'];
  expect(whole as Record<string, unknown>[]).toEqual(plain);
}

test('settings: slots must be a power of two, and --ring sets the path', () => {
  const config = (ring: object) => check({ ipc: { ring } });
  expect(config({ slots: 100 })).toMatchObject({
    code: 'bad-config',
    message: 'ipc.ring.slots is 100; expected a power of two',
  });
  expect(loadConfig({ ring: '/dev/shm/x' }, {})).toMatchObject({
    ipc: {
      ring: { enabled: true, path: '/dev/shm/x', slots: 65_536 },
      iceoryx2: { enabled: false },
    },
  });
});

test('the latest values of a recorded market equal the state over REST', async () => {
  const file = captureIsThere ? CAPTURE : join(TAPES, 'binance-mini.txt');
  const symbol = captureIsThere ? 'BTCUSDT' : 'ACMEUSDT';
  const path = rings.fresh();
  const server = await start(path);
  await replay(server, file);
  const reader = openRing(path, { from: 'oldest' });
  const latest = reader.state();
  expect(latest.load(reader.instrument(symbol)!)).toBe(true);
  const definition = latest.definition();
  const book = latest.book()!;
  const rest = await server.json(`/v1/orderbook/${symbol}?depth=10`);
  expect([rest['seq'], rest['epoch']]).toEqual([book.seq, reader.epoch]);
  expect([rest['bids'], rest['asks']]).toEqual([
    formatLevels(book.bids, definition),
    formatLevels(book.asks, definition),
  ]);
  const tick = await server.json(`/v1/tick/${symbol}`);
  const { last, volume, seq } = latest.tick!;
  expect([tick['seq'], tick['last'], tick['volume']]).toEqual([
    seq,
    formatDecimal(last, definition.priceScale),
    formatSum(volume, definition.quantityScale),
  ]);
  // `prevSeq` links each tick of the ring to the one before, up to the tick over REST.
  let head = 0;
  for (let sign = reader.poll(); sign === 'record'; sign = reader.poll()) {
    if (reader.record.type !== 'tick') continue;
    expect(reader.record.prevSeq).toBe(head);
    head = reader.record.seq;
  }
  expect([head, reader.missedTotal]).toEqual([seq, 0]);
  if (PYTHON !== null) {
    const [state] = (await python([path, '--state'])) as unknown as Record<string, unknown>[];
    expect(state).toMatchObject({
      symbol,
      book: { bids: book.bids, asks: book.asks },
      tick: { last },
    });
  }
  await server.stop();
});

test('a killed server restarts with a new epoch, and a follower of the path continues', async () => {
  const path = rings.fresh();
  const first = await start(path);
  await replay(first, join(TAPES, 'binance-mini.txt'));
  const stopping = new AbortController();
  const seen: RingItem[] = [];
  const following = (async () => {
    for await (const item of followRing(path, { signal: stopping.signal })) seen.push(item);
  })();
  const opened = () => seen.filter((item) => item.type === 'opened').map(({ epoch }) => epoch);
  await until(() => opened().length >= 1);
  await first.stop('SIGKILL');
  const second = await start(path, first.data);
  await until(
    () => seen.slice(1).some((item) => item.type === 'opened') && seen.at(-1)!.type !== 'opened',
  );
  await replay(second, join(TAPES, 'two-instruments.ndjson'));
  const isNew = (item: RingItem) => 'symbol' in item && item.type === 'trade';
  await until(() => seen.some(isNew));
  stopping.abort();
  await following;
  const [before, after] = opened();
  expect(after).not.toBe(before);
  // The state of the previous epoch is restored, with its sequence numbers.
  const ticks = seen.filter(
    (item): item is Tick => item.type === 'tick' && item.symbol === 'ACMEUSDT',
  );
  expect(ticks.length).toBe(2);
  expect(ticks[1]).toEqual(ticks[0]);
  await second.stop();
});

describe('the command line', () => {
  test('a second server on the same ring is refused, and the first continues', async () => {
    const path = rings.fresh();
    const server = await start(path);
    const second = await tapedeck([
      'serve',
      '--port',
      '0',
      '--ring',
      path,
      '--data',
      `${path}.data`,
    ]);
    expect([second.code, second.stdout]).toEqual([75, '']);
    expect(second.stderr).toContain(`process ${server.pid}) [ring-in-use]`);
    expect(openRing(path).writer()).not.toBe('gone');
    await server.stop();
  });

  test('tail --ring prints the state and new messages, in the format that replay reads', async () => {
    const path = rings.fresh();
    const server = await start(path);
    await replay(server, join(TAPES, 'binance-mini.txt'));
    const tail = spawnTapedeck(['tail', '--json', '--ring', path, 'trade:*', 'book:GAMMA']);
    const types: string[] = [];
    let text = '';
    let replayed = false;
    for await (const chunk of tail.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (text + chunk).split('\n');
      text = lines.pop()!;
      types.push(...lines.map((line) => (JSON.parse(line) as Message).type));
      if (types.includes('trade')) break;
      if (!replayed && types.includes('instrument')) {
        replayed = true;
        await replay(server, join(TAPES, 'two-instruments.ndjson'));
      }
    }
    tail.kill('SIGINT');
    expect(await tail.exited).toBe(0);
    // Resets and definitions are always printed; other messages only of the given topics.
    expect(new Set(types)).toEqual(new Set(['reset', 'instrument', 'trade']));
    await server.stop();
  });

  test('tail fails for an absent ring, for a topic that the ring lacks, and without arguments', async () => {
    const path = rings.fresh();
    const absent = await tapedeck(['tail', '--ring', path]);
    expect([absent.code, absent.stderr]).toEqual([66, expect.stringContaining('[ring-absent]')]);
    const bar = await tapedeck(['tail', '--ring', path, 'bar:ACME:1m']);
    expect([bar.code, bar.stderr]).toEqual([64, expect.stringContaining('no topic bar:ACME:1m')]);
    const nothing = await tapedeck(['tail']);
    expect([nothing.code, nothing.stderr]).toEqual([
      64,
      expect.stringContaining('missing required'),
    ]);
  });
});
