/**
 * Bars for a client of a real server that stops and restarts: the end of each bar is delivered to the application
 * once and equals history, whatever was cut, ended or killed in between.
 */

import { afterAll, expect, setDefaultTimeout, test } from 'bun:test';

import type { Bar } from '../../protocol/messages';
import { Prng } from '../../src/base/prng';
import { TapedeckClient } from '../../src/client/client';
import type { SocketConstructor } from '../../src/client/environment';
import type { Item } from '../../src/client/items';
import { instrument, tape, trade } from '../support/feed';
import { freePort } from '../support/ports';
import { readSeed } from '../support/seed';
import { Scratch, ServerProcess } from '../support/tapedeck-process';
import { until } from '../support/until';

setDefaultTimeout(120_000);

const scratch = new Scratch();
const servers: ServerProcess[] = [];
afterAll(async () => {
  for (const server of servers) await server.remove();
  scratch.remove();
});

const CONFIG = '[journal]\ndurability = "commit"\n[cache]\nmemtableEventsMax = 1000\n';
const SYMBOL = 'BARS';
/** A whole minute. */
const START_MS = 1_699_920_000_000;

async function start(data: string, port: number): Promise<ServerProcess> {
  const server = await ServerProcess.start({
    data,
    config: CONFIG,
    args: ['--port', String(port)],
  });
  servers.push(server);
  return server;
}

/** A client whose connection can be held closed. */
class Follower {
  readonly items: Item[] = [];
  client!: TapedeckClient;
  private isShut = false;
  private readonly sockets = new Set<WebSocket>();

  static async of(server: ServerProcess, topics: string[]): Promise<Follower> {
    const follower = new Follower();
    const { sockets } = follower;
    class Gate extends WebSocket {
      constructor(url: string, protocols: string[]) {
        super(follower.isShut ? 'ws://127.0.0.1:9/' : url, protocols);
        sockets.add(this);
      }
    }
    const environment = { WebSocket: Gate as unknown as SocketConstructor };
    const reconnect = { baseMs: 20, maxMs: 100 };
    follower.client = await TapedeckClient.connect(server.url, { environment, reconnect });
    const all = follower.client.subscribe(topics);
    await all.ready;
    void (async () => {
      for await (const item of all) follower.items.push(item);
    })();
    return follower;
  }

  shut(): void {
    this.isShut = true;
    for (const socket of this.sockets) socket.close();
    this.sockets.clear();
  }

  open(): void {
    this.isShut = false;
  }
}

class Market {
  private nowMs = START_MS;
  private readonly random: Prng;

  constructor(random: Prng) {
    this.random = random;
  }

  async run(server: ServerProcess, count: number): Promise<void> {
    const trades = Array.from({ length: count }, () => {
      const { random } = this;
      this.nowMs += random.int(0, 300);
      const lateMs = random.chance(0.02) ? random.int(1_000, 30_000) : 0;
      const eventTime = `${Math.max(START_MS, this.nowMs - lateMs)}000000`;
      return trade(SYMBOL, `${random.int(50, 60)}.00`, `${random.int(1, 9)}.000`, { eventTime });
    });
    const response = await server.ingest(tape(...trades));
    if (response.status !== 200) throw new Error(await response.text());
  }
}

const FIELDS = ['openTime', 'open', 'high', 'low', 'close', 'volume', 'trades'] as const;

async function history(server: ServerProcess, interval: string): Promise<string[]> {
  const found: string[] = [];
  for (let from: string | null = '0'; from !== null;) {
    const page: Record<string, unknown> = await server.json(
      `/v1/bars/${SYMBOL}?interval=${interval}&from=${from}&limit=500`,
    );
    for (const bar of page['bars'] as Record<string, unknown>[]) {
      found.push(FIELDS.map((field) => String(bar[field])).join(' '));
    }
    from = page['next'] as string | null;
  }
  return found;
}

function said(bar: Bar): string {
  const scaled = (value: number | bigint, digits: number) =>
    (Number(value) / 10 ** digits).toFixed(digits);
  const { open, high, low, close } = bar;
  const prices = [open, high, low, close].map((price) => scaled(price, 2));
  return [bar.openTime.toString(), ...prices, scaled(bar.volume, 3), bar.trades].join(' ');
}

test('[D8] [R2] each end of a bar is delivered once and equals history, over cuts, restarts and kills', async () => {
  const random = new Prng(readSeed());
  const data = scratch.fresh();
  const port = await freePort();
  let server = await start(data, port);
  const defined = await server.ingest(tape(instrument(SYMBOL)));
  expect(defined.status).toBe(200);
  const market = new Market(random);
  await market.run(server, 10);
  const follower = await Follower.of(server, [
    `bar:${SYMBOL}:1s`,
    `bar:${SYMBOL}:1m`,
    `stats:${SYMBOL}`,
  ]);
  const { items } = follower;
  for (let round = 0; round < 8; round++) {
    await market.run(server, 40);
    follower.shut();
    // Within what is in memory, and beyond.
    await market.run(server, round % 2 === 0 ? 40 : 700);
    if (round % 4 >= 2) {
      await server.stop(round % 4 === 2 ? 'SIGKILL' : 'SIGTERM');
      server = await start(data, port);
    }
    follower.open();
  }
  await market.run(server, 40);
  for (const interval of ['1s', '1m']) {
    const expected = (await history(server, interval)).slice(0, -1);
    // Bars that ended before it connected are not expected.
    const own = () => items.filter((m): m is Bar => m.type === 'bar' && m.interval === interval);
    await until(() => {
      const newest = new Map(own().map((bar) => [bar.openTime.toString(), bar]));
      const missing = expected.slice(10).filter((text) => {
        const bar = newest.get(text.split(' ')[0]!);
        return bar?.final !== true || said(bar) !== text;
      });
      return missing.length === 0;
    });
    const ends = own().filter(({ final }) => final);
    const delivered = ends.map(said);
    expect(delivered.length).toBeGreaterThan(interval === '1s' ? 200 : 5);
    expect(delivered.filter((text, i) => delivered.indexOf(text) !== i)).toEqual([]);
  }
  expect(items.filter(({ type }) => type === 'reset' || type === 'gap')).toEqual([]);
  expect(items.findLast(({ type }) => type === 'stats')).toMatchObject({ type: 'stats' });
  follower.client.close();
});
