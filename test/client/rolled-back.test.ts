/**
 * The client with a data directory that went back in time: what it holds at the end equals the present journal, or
 * it was notified that what it held is invalid.
 */

import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { copyFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { TapedeckClient } from '../../src/client/client';
import type { Item } from '../../src/client/items';
import { instrument, tape, trade } from '../support/feed';
import { freePort } from '../support/ports';
import { ScratchDirectory } from '../support/scratch-directory';
import { ServerProcess } from '../support/tapedeck-process';
import { until } from '../support/until';

setDefaultTimeout(120_000);

const scratch = new ScratchDirectory();
const servers: ServerProcess[] = [];
afterAll(async () => {
  for (const server of servers) await server.remove();
  scratch.remove();
});

const TOPICS = ['trade:BUSY', 'trade:CALM'];
/** No heartbeat advances the safe position of the quiet topic meanwhile. */
const CONFIG = '[journal]\ndurability = "commit"\n[push]\nheartbeatMs = 20000\n';

async function start(data: string, port: number): Promise<ServerProcess> {
  const server = await ServerProcess.start({
    data,
    config: CONFIG,
    args: ['--port', String(port)],
  });
  servers.push(server);
  return server;
}

async function publish(
  server: ServerProcess,
  symbol: string,
  from: number,
  to: number,
): Promise<void> {
  const prices = Array.from({ length: to - from + 1 }, (_, i) => `${from + i}.00`);
  const response = await server.ingest(tape(...prices.map((price) => trade(symbol, price, '1'))));
  expect(response.status).toBe(200);
}

/** What an application holds that follows the items: trades by topic and seq, with their prices. */
class Holder {
  readonly held = new Map<string, number>();
  readonly declarations: string[] = [];
  /** Trades above it must be held. */
  from = 0;

  take(item: Item): void {
    if (item.type === 'trade') this.held.set(`${item.symbol} ${item.seq}`, item.price);
    else if (item.type === 'reset') {
      this.declarations.push(`reset ${item.reason}`);
      this.held.clear();
      this.from = item.seq;
    } else if (item.type === 'gap') {
      this.declarations.push(`gap ${item.topic}`);
      for (const key of this.held.keys()) {
        const [symbol, seq] = key.split(' ');
        if (`trade:${symbol}` === item.topic && Number(seq) >= item.from) this.held.delete(key);
      }
    }
  }

  newest(price: number): boolean {
    return [...this.held.values()].includes(price);
  }
}

async function journaled(server: ServerProcess): Promise<Map<string, number>> {
  const client = await TapedeckClient.connect(server.url);
  const all = new Map<string, number>();
  for await (const item of client.replay({ topics: TOPICS, fromSeq: 1 })) {
    if (item.type === 'trade') all.set(`${item.symbol} ${item.seq}`, item.price);
  }
  client.close();
  return all;
}

const sorted = (map: ReadonlyMap<string, number>): [string, number][] =>
  [...map].sort(([a], [b]) => (a < b ? -1 : 1));

describe.each(['msgpack', 'json'] as const)('[R2] [R8] %s', (form) => {
  test.each([
    ['with its head', ['reset other-epoch'], (): void => {}],
    ['without a head', ['reset other-epoch'], (copy: string) => rmSync(join(copy, 'head'))],
    [
      'with the head of today',
      ['gap trade:BUSY', 'gap trade:CALM'],
      (copy: string, data: string) => copyFileSync(join(data, 'head'), join(copy, 'head')),
    ],
  ] as const)('a copy that is seconds old, %s', async (_, declarations, change) => {
    const data = scratch.fresh();
    const port = await freePort();
    const first = await start(data, port);
    await first.ingest(tape(instrument('BUSY'), instrument('CALM')));
    const reconnect = { baseMs: 20, maxMs: 100 };
    const client = await TapedeckClient.connect(first.url, { form, reconnect });
    const holder = new Holder();
    const trades = client.subscribe(TOPICS);
    await trades.ready;
    void (async () => {
      for await (const item of trades) holder.take(item);
    })();
    await publish(first, 'CALM', 1, 1);
    await publish(first, 'BUSY', 11, 15);
    const copy = scratch.copyOf(data);
    await publish(first, 'BUSY', 16, 25);
    await until(() => holder.newest(2_500), 'the last trade of the lost past');
    await first.stop('SIGKILL');
    change(copy, data);
    const second = await start(copy, port);
    await publish(second, 'BUSY', 31, 35);
    await publish(second, 'CALM', 41, 41);
    await until(
      () => holder.declarations.length >= declarations.length,
      'the declarations of what was lost',
    );
    await publish(second, 'BUSY', 51, 60);
    await until(() => holder.newest(6_000), 'the newest trade');
    const all = await journaled(second);
    const wanted = [...all].filter(([key]) => Number(key.split(' ')[1]) > holder.from);
    expect(sorted(holder.held)).toEqual(sorted(new Map(wanted)));
    expect(holder.declarations.toSorted()).toEqual([...declarations]);
    client.close();
    await second.stop();
  });
});
