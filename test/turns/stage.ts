/** Stage: a full market on a server whose turns are timed, and the clients connected to it. */

import type { Subprocess } from 'bun';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { book, instrument, trade } from '../support/feed';
import { StreamClient } from '../support/stream-client';
import { testKey, writeTestKeys } from '../support/tapedeck-process';
import type { Ask, TurnMessage } from './turn-messages';

/** The sizes with which turns may grow. */
export interface Sizes {
  /** Feed instruments, each with a book of ten levels. */
  readonly instruments: number;
  /** Levels a side of the widest books. */
  readonly levels: number;
  /** Resting orders on one side of a venue. */
  readonly orders: number;
  /** Sessions, each on all kinds of topics of ten instruments. */
  readonly sessions: number;
}

export type Json = Record<string, unknown>;

/** Where the system supports it, a server ends with the process that started it. */
const WITH_PARENT = Bun.which('setpriv') === null ? [] : ['setpriv', '--pdeathsig', 'KILL'];
export const REPETITIONS = 3;
const EVENTS_A_PUBLISH = 1_000;
const ORDERS_A_FRAME = 500;

export function symbolAt(i: number): string {
  return `F${String(i).padStart(5, '0')}`;
}

/** Prices of `count` levels below (-1) or above (1) 5000.00, best first. */
export function levels(count: number, side: -1 | 1, quantity = '1.000'): [string, string][] {
  return Array.from({ length: count }, (_, i) => [
    (5_000 + (side * (i + 1)) / 100).toFixed(2),
    quantity,
  ]);
}

export class Stage {
  readonly sizes: Sizes;
  readonly url: string;
  source!: StreamClient;
  trader!: StreamClient;
  /** Its orders trade with those of the trader. */
  rival!: StreamClient;
  crowd: WebSocket[] = [];
  private readonly child: Subprocess;
  private readonly directory: string;
  private readonly received: AsyncIterator<TurnMessage>;

  private constructor(
    sizes: Sizes,
    url: string,
    child: Subprocess,
    directory: string,
    received: AsyncIterator<TurnMessage>,
  ) {
    this.sizes = sizes;
    this.url = url;
    this.child = child;
    this.directory = directory;
    this.received = received;
  }

  static async start(sizes: Sizes, flags: readonly string[] = []): Promise<Stage> {
    const directory = mkdtempSync(join(tmpdir(), 'tapedeck-turns-'));
    writeTestKeys(join(directory, 'data'), [{ name: 'rival', roles: ['read', 'trade'] }]);
    const queue: TurnMessage[] = [];
    let wake = (): void => {};
    const child = Bun.spawn(
      [
        ...WITH_PARENT,
        process.execPath,
        ...flags,
        join(import.meta.dir, 'turn-server.ts'),
        join(directory, 'data'),
        JSON.stringify(settings()),
      ],
      {
        stdin: 'ignore',
        stdout: 'ignore',
        stderr: 'inherit',
        serialization: 'json',
        ipc: (message: TurnMessage) => {
          queue.push(message);
          wake();
        },
      },
    );
    async function* messages(): AsyncGenerator<TurnMessage> {
      for (;;) {
        while (queue.length > 0) yield queue.shift()!;
        await Promise.race([new Promise<void>((resolve) => (wake = resolve)), child.exited]);
        if (queue.length === 0 && child.exitCode !== null) throw new Error('the server ended');
      }
    }
    const received = messages();
    const first = await received.next();
    if (first.value.is !== 'started') throw new Error('the server did not start');
    const stage = new Stage(sizes, first.value.url, child, directory, received);
    await stage.fill();
    return stage;
  }

  async ask(question: Ask): Promise<TurnMessage> {
    this.child.send(question);
    return (await this.received.next()).value as TurnMessage;
  }

  get(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`${this.url}${path}`, init);
  }

  async json(path: string): Promise<Json> {
    return (await (await this.get(path)).json()) as Json;
  }

  /** Publishes events in frames of a given size; resolves when they are acknowledged. */
  async publish(
    client: StreamClient,
    events: readonly Json[],
    most = EVENTS_A_PUBLISH,
  ): Promise<void> {
    for (let i = 0; i < events.length; i += most) {
      const answer = await client.publish(...events.slice(i, i + most));
      if (answer.type === 'error') throw new Error(JSON.stringify(answer));
    }
  }

  /** Enters limit orders; resolves when all are acknowledged. */
  async enter(orders: readonly Json[], trader = this.trader): Promise<void> {
    for (let i = 0; i < orders.length; i += ORDERS_A_FRAME) {
      const part = orders.slice(i, i + ORDERS_A_FRAME);
      const from = trader.seen.length;
      trader.send(...part.map((fields, n) => order(i + n + 1, fields)));
      const last = await trader.answer(i + part.length, from);
      if (last.type === 'error') throw new Error(JSON.stringify(last));
      trader.seen.length = 0;
    }
  }

  private async fill(): Promise<void> {
    const { sizes } = this;
    this.source = await StreamClient.open(this.url);
    this.trader = await StreamClient.open(this.url);
    this.rival = await StreamClient.open(this.url, undefined, {
      authorization: `Bearer ${testKey('rival')}`,
    });
    const symbols = Array.from({ length: sizes.instruments }, (_, i) => symbolAt(i));
    const taped = await StreamClient.open(this.url);
    await this.publish(taped, [instrument('TAPE')]);
    await taped.close();
    await this.publish(
      this.source,
      symbols.map((symbol) => instrument(symbol)),
    );
    await this.publish(
      this.source,
      symbols.flatMap((symbol) => [
        book(symbol, 'snapshot', levels(10, -1), levels(10, 1)),
        trade(symbol, '5000.00', '1.000'),
      ]),
    );
    for (let i = 0; i < REPETITIONS; i++) {
      for (const name of ['WIDE', 'BEST', 'WORST', 'NEW']) {
        await this.publish(this.source, [instrument(`${name}${i}`)]);
        if (name === 'NEW') continue;
        await this.publish(this.source, [
          book(`${name}${i}`, 'snapshot', levels(sizes.levels, -1), levels(sizes.levels, 1)),
        ]);
      }
      const resting = levels(sizes.orders, 1).map(([price]) => ({
        symbol: `SWEEP${i}`,
        side: 'sell',
        price,
        quantity: '1.000',
      }));
      await this.enter(resting, this.rival);
      const half = Math.floor(sizes.orders / 2);
      await this.enter(
        levels(half, 1).map(([price]) => ({
          symbol: `EARLY${i}`,
          side: 'buy',
          price,
          quantity: '1.000',
        })),
      );
      await this.enter(
        levels(half, -1).map(([price]) => ({
          symbol: `EARLY${i}`,
          side: 'sell',
          price,
          quantity: '1.000',
        })),
        this.rival,
      );
    }
    await this.connect(sizes.sessions);
  }

  /** Connects more readers, which discard what they receive. */
  async connect(count: number): Promise<WebSocket[]> {
    const made: WebSocket[] = [];
    for (let i = 0; i < count; i++) {
      const socket = new WebSocket(`${this.url.replace('http', 'ws')}/v1/stream`, [
        'tapedeck.v1.json',
      ]);
      made.push(socket);
      await new Promise((resolve, reject) => {
        socket.onopen = resolve;
        socket.onerror = reject;
      });
      const topics = Array.from({ length: 10 }, (_, n) =>
        symbolAt((i * 10 + n) % this.sizes.instruments),
      ).flatMap((symbol) => [`tick:${symbol}`, `book:${symbol}`, `trade:${symbol}`]);
      socket.send(JSON.stringify([{ type: 'subscribe', id: 1, topics, intervalMs: null }]));
    }
    this.crowd.push(...made);
    return made;
  }

  async end(): Promise<void> {
    this.child.send('stop');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 15_000);
    await this.child.exited;
    clearTimeout(timer);
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export function order(id: number, fields: Json): Json {
  return {
    type: 'order',
    id,
    clientOrderId: '',
    kind: 'limit',
    timeInForce: 'gtc',
    postOnly: false,
    ...fields,
  };
}

/** Default limits, except for rates: the load of some time is sent at once. */
function settings(): object {
  const venue = (symbol: string, initialState: string): object => ({
    symbol,
    market: 'venue',
    priceScale: 2,
    quantityScale: 3,
    initialState,
    ordersPerOwnerMax: 1_000_000,
  });
  return {
    limits: { ordersPerSecond: 1e9, instrumentsMax: 50_000, instrumentsPerKeyMax: 50_000 },
    instruments: Array.from({ length: REPETITIONS }, (_, i) => [
      venue(`SWEEP${i}`, 'open'),
      venue(`EARLY${i}`, 'pre-open'),
    ]).flat(),
  };
}
