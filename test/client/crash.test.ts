/**
 * The client after a crash of a real server with the durability `async`: it gets what the journal has, what is
 * missing is declared, nothing is repeated, and what a reader holds equals the market that continues.
 */

import { Database } from 'bun:sqlite';
import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { join } from 'node:path';

import { topicOf } from '../../protocol/topics';
import { TapedeckClient } from '../../src/client/client';
import type { SocketConstructor } from '../../src/client/environment';
import type { GapItem, Item, TopicMessage } from '../../src/client/items';
import { idOf } from '../../src/journal/schema';
import { book, instrument, tape, trade } from '../support/feed';
import { freePort } from '../support/ports';
import { Scratch, ServerProcess } from '../support/tapedeck-process';
import { until } from '../support/until';
import { deep } from '../support/tier';

setDefaultTimeout(120_000);

const scratch = new Scratch();
const servers: ServerProcess[] = [];
afterAll(async () => {
  for (const server of servers) await server.remove();
  scratch.remove();
});

const CHANNELS = ['tick', 'trade', 'bbo', 'book'] as const;
const TOPICS = [...CHANNELS.map((channel) => `${channel}:*`), 'status'];
/** For this long nothing is committed unless the test waits for it. */
const CONFIG =
  '[journal]\ndurability = "async"\ncommitEveryMs = 10000\n[cache]\nmemtableEventsMax = 1000\n';

async function start(data: string, port: number): Promise<ServerProcess> {
  const server = await ServerProcess.start({
    data,
    config: CONFIG,
    args: ['--port', String(port)],
  });
  servers.push(server);
  return server;
}

/** A source of one instrument whose book and last price reveal how far it is. */
class Market {
  /** Trades so far. */
  count = 0;
  readonly symbol: string;

  constructor(symbol: string) {
    this.symbol = symbol;
  }

  async open(server: ServerProcess): Promise<void> {
    await this.send(server, [instrument(this.symbol)]);
    await this.snapshot(server);
  }

  /** As a source does that begins again. */
  async snapshot(server: ServerProcess): Promise<void> {
    const bids = Array.from({ length: 8 }, (_, i) => [`${50 - i}.00`, '1.000'] as const);
    await this.send(server, [book(this.symbol, 'snapshot', bids, [['60.00', '1.000']])]);
  }

  async run(server: ServerProcess, rounds: number): Promise<void> {
    const events: Record<string, unknown>[] = [];
    for (let i = 0; i < rounds; i++) {
      this.count += 1;
      const quantity = `${1 + (this.count % 90)}.000`;
      events.push(book(this.symbol, 'delta', [[`${50 - (this.count % 8)}.00`, quantity]], []));
      events.push(trade(this.symbol, `${55 + (this.count % 5)}.00`, '0.001'));
    }
    await this.send(server, events);
  }

  private async send(server: ServerProcess, events: Record<string, unknown>[]): Promise<void> {
    const response = await server.ingest(tape(...events));
    if (response.status !== 200) throw new Error(await response.text());
  }
}

/** A reader of everything, whose connection can be held closed. */
class Follower {
  readonly items: Item[] = [];
  client!: TapedeckClient;
  private isShut = false;
  private readonly sockets = new Set<WebSocket>();

  static async of(server: ServerProcess): Promise<Follower> {
    const follower = new Follower();
    const { sockets } = follower;
    class Gate extends WebSocket {
      constructor(url: string, protocols: string[]) {
        super(follower.isShut ? 'ws://127.0.0.1:9/' : url, protocols);
        sockets.add(this);
      }
    }
    const environment = { WebSocket: Gate as unknown as SocketConstructor };
    follower.client = await TapedeckClient.connect(server.url, {
      environment,
      reconnect: { baseMs: 20, maxMs: 100 },
    });
    const all = follower.client.subscribe(TOPICS);
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

  get messages(): TopicMessage[] {
    return this.items.filter(
      (item): item is TopicMessage => item.type !== 'gap' && item.type !== 'reset',
    );
  }

  get gaps(): GapItem[] {
    return this.items.filter((item): item is GapItem => item.type === 'gap');
  }

  get newest(): number {
    return Math.max(0, ...this.messages.map(({ seq }) => seq));
  }

  /** Waits until it has all trades of a market. */
  async has({ symbol, count }: Market): Promise<void> {
    const own = (m: TopicMessage): boolean => m.type === 'tick' && m.symbol === symbol;
    const seqs = (): number => new Set(this.messages.filter(own).map(({ seq }) => seq)).size;
    await until(() => seqs() >= count, `${count} ticks of ${symbol}`);
  }

  async reached(seq: number): Promise<void> {
    await until(() => this.newest >= seq, `a message at ${seq} or after it`);
  }
}

function newestRecord(data: string): number {
  const db = new Database(join(data, 'journal.sqlite'), { readonly: true });
  try {
    const { id } = db.query<{ id: number | null }, []>('SELECT max(id) AS id FROM record').get()!;
    return Math.floor((id ?? 0) / idOf(1));
  } finally {
    db.close();
  }
}

/** Everything that the journal has of the topics. */
async function journaled(server: ServerProcess): Promise<TopicMessage[]> {
  const client = await TapedeckClient.connect(server.url);
  const messages: TopicMessage[] = [];
  for await (const item of client.replay({ topics: TOPICS, fromSeq: 1 })) {
    if (item.type !== 'gap' && item.type !== 'reset') messages.push(item);
  }
  client.close();
  return messages;
}

interface Loss {
  readonly from: number;
  readonly to: number;
}

function lossOf(data: string): Loss | undefined {
  const db = new Database(join(data, 'journal.sqlite'), { readonly: true });
  try {
    return (
      db
        .query<Loss, []>(
          `SELECT from_seq AS "from", to_seq AS "to" FROM gaps WHERE reason = 'crash' ORDER BY to_seq DESC`,
        )
        .get() ?? undefined
    );
  } finally {
    db.close();
  }
}

/** What a reader received of one topic equals what the journal has of it, and the loss. */
function checkTopic(
  follower: Follower,
  topic: string,
  truth: readonly TopicMessage[],
  losses: readonly Loss[],
): void {
  const isLost = ({ seq }: { seq: number }): boolean =>
    losses.some(({ from, to }) => from <= seq && seq <= to);
  const gaps = follower.gaps.filter((gap) => gap.topic === topic);
  expect(gaps.map(({ from, to, count, reason }) => ({ from, to, count, reason }))).toEqual(
    losses.map(({ from, to }) => ({ from, to, count: to - from + 1, reason: 'not-journaled' })),
  );
  // A repeated whole book, and a state from before the loss, say what is already known.
  const received: TopicMessage[] = [];
  let behind = 0;
  for (const item of follower.items) {
    if (item.type === 'gap') {
      if (item.topic === topic) behind = item.to;
    } else if (item.type !== 'reset' && topicOf(item) === topic) {
      if (item.prevSeq === item.seq) continue;
      if (item.seq > behind) received.push(item);
      else expect({ topic, seq: item.seq, isLost: isLost(item) }).toMatchObject({ isLost: false });
    }
  }
  const [first] = received;
  const kept = received.filter((item) => !isLost(item)).map(({ seq }) => seq);
  const had = truth.filter((m) => topicOf(m) === topic && m.seq >= (first?.seq ?? 0));
  expect({ topic, kept }).toEqual({ topic, kept: had.map(({ seq }) => seq) });
}

function checkAll(follower: Follower, truth: readonly TopicMessage[], losses: readonly Loss[]) {
  expect(follower.items.filter(({ type }) => type === 'reset')).toEqual([]);
  for (const symbol of ['BUSY', 'STILL']) {
    for (const channel of CHANNELS) checkTopic(follower, `${channel}:${symbol}`, truth, losses);
    const newest = follower.client.book(symbol)!;
    expect(newest.trusted).toBe(true);
  }
  checkTopic(follower, 'status', truth, losses);
}

async function checkStates(follower: Follower, server: ServerProcess): Promise<void> {
  const fresh = await TapedeckClient.connect(server.url);
  const topics = ['tick', 'bbo', 'book'].flatMap((c) => [`${c}:BUSY`, `${c}:STILL`]);
  const stateOf = async (client: TapedeckClient): Promise<Item[]> => {
    const items: Item[] = [];
    const some = client.subscribe(topics);
    while (items.length < topics.length) items.push((await some.next()).value!);
    await some.return();
    return items.sort((a, b) =>
      topicOf(a as TopicMessage)! < topicOf(b as TopicMessage)! ? -1 : 1,
    );
  };
  // A book that was sent whole has the end of the gap as its seq; for a reader that continues, `status` marks it as
  // from before the restart.
  const withoutSeq = (m: Item): object => ({ ...m, seq: 0, prevSeq: 0, mark: null });
  const [own, theirs] = [await stateOf(follower.client), await stateOf(fresh)];
  expect(own.map(withoutSeq)).toEqual(theirs.map(withoutSeq));
  fresh.close();
}

describe('[R2] [R5] a server that was killed, with async', () => {
  test.each(
    deep(
      [
        ['out of the journal', 2_000],
        ['out of memory', 50],
      ] as const,
      1,
    ),
  )('readers that had what it lost, and readers that had not, continue: %s', async (_, behind) => {
    const data = scratch.fresh();
    const port = await freePort();
    const [busy, still] = [new Market('BUSY'), new Market('STILL')];
    const first = await start(data, port);
    await busy.open(first);
    await still.open(first);
    const [live, away] = [await Follower.of(first), await Follower.of(first)];
    await still.run(first, 3);
    await busy.run(first, 100);
    await live.has(busy);
    away.shut();
    await busy.run(first, 900);
    const losses: Loss[] = [];
    let server = first;
    for (let crash = 0; crash < 2; crash++) {
      await live.has(busy);
      const known = live.newest;
      await server.json('/v1/ticks/BUSY?limit=1&from=0'); // commits what it reads
      await until(() => newestRecord(data) >= known, 'a commit');
      // What is sent now is in no transaction for a while. Both instruments change, one of them never again.
      await busy.run(server, 60);
      if (crash === 0) await still.run(server, 5);
      await live.has(busy);
      await live.has(still);
      await server.stop('SIGKILL');
      server = await start(data, port);
      await until(() => (lossOf(data)?.to ?? 0) > known, 'the declared gap');
      losses.push(lossOf(data)!);
      await until(() => live.gaps.filter(({ to }) => to === losses[crash]!.to).length >= 9);
      await busy.snapshot(server);
      await busy.run(server, behind);
    }
    away.open();
    const truth = await journaled(server);
    const end = Math.max(...truth.map(({ seq }) => seq));
    await live.reached(end);
    await away.reached(end);
    await busy.run(server, 3);
    await live.has(busy);
    const all = await journaled(server);
    await live.reached(Math.max(...all.map(({ seq }) => seq)));
    await away.reached(Math.max(...all.map(({ seq }) => seq)));
    checkAll(live, all, losses);
    checkAll(away, all, losses);
    // One held messages of each loss, and the other none.
    const isLost = ({ seq }: TopicMessage): boolean =>
      losses.some(({ from, to }) => from <= seq && seq <= to);
    const lostTo = (f: Follower): number =>
      f.messages.filter((m) => m.type === 'trade' && isLost(m)).length;
    expect(lostTo(live)).toBeGreaterThan(100);
    expect(lostTo(away)).toBe(0);
    await checkStates(live, server);
    await checkStates(away, server);
    live.client.close();
    away.client.close();
  });
});
