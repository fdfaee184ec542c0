/** Shared by the tests of the client: a client with a model server in this process, and its results. */

import type { Message } from '../../protocol/messages';
import { Prng } from '../../src/base/prng';
import { TapedeckClient, type ClientOptions } from '../../src/client/client';
import type { ClientEvents } from '../../src/client/events';
import type { Subscription } from '../../src/client/subscription';
import type { Item } from '../../src/client/items';
import { ModelServer } from './model-server';
import { localWire, ManualTimers, settled, type WireServer } from './wires';

export class Bench {
  readonly timers = new ManualTimers();
  readonly events: { name: string; event: unknown }[] = [];
  readonly clients: TapedeckClient[] = [];
  readonly model: ModelServer;
  private readonly server: WireServer;
  readonly guests = new Map<string, Subscription>();
  up = true;
  urls: string | readonly string[] = 'http://model';

  /** @param server what clients connect to, if it is not the model itself */
  constructor(model: ModelServer = new ModelServer(), server: WireServer = model) {
    this.model = model;
    this.server = server;
  }

  async connect(options: ClientOptions = {}): Promise<TapedeckClient> {
    const prng = new Prng(7);
    const client = await TapedeckClient.connect(this.urls, {
      ...options,
      environment: {
        WebSocket: localWire(this.server, () => this.up),
        timers: this.timers,
        random: () => prng.unit(),
        clientName: 'test',
        ...options.environment,
      },
    });
    this.clients.push(client);
    const names: (keyof ClientEvents)[] = [
      ...([
        'connected',
        'disconnected',
        'queued',
        'resumed',
        'reset',
        'gap',
        'chain-break',
      ] as const),
      ...(['book-mismatch', 'execution', 'error', 'closed'] as const),
    ];
    for (const name of names) client.on(name, (event) => this.events.push({ name, event }));
    return client;
  }

  /** Names of the events so far. */
  get eventNames(): string[] {
    return this.events.map(({ name }) => name);
  }

  /** The newest event of a name. */
  last(name: keyof ClientEvents): Record<string, unknown> {
    return this.events.findLast((e) => e.name === name)!.event as Record<string, unknown>;
  }

  /** Lets the wait before the next attempt pass. */
  async comeBack(): Promise<void> {
    await settled();
    await this.timers.advance(200);
    await settled();
  }
}

/** Takes what waits, without waiting for more. */
export async function drain(subscription: Subscription): Promise<Item[]> {
  await settled();
  const items: Item[] = [];
  while (subscription.waiting > 0) items.push((await subscription.next()).value!);
  return items;
}

/** `trade 5`, `book snapshot 3`, `gap trade:AAA 2-4 (3)`, `reset too-old local [..]`. */
export function brief(item: Item): string {
  switch (item.type) {
    case 'gap':
      return `gap ${item.topic} ${item.from}-${item.to} (${item.count})`;
    case 'reset':
      return `reset ${item.reason} ${item.topics.join(' ')}`;
    case 'book':
      return `book ${item.symbol} ${item.form} ${item.seq}`;
    default:
      return `${item.type} ${item.symbol} ${item.seq}`;
  }
}

export async function briefs(subscription: Subscription): Promise<string[]> {
  return (await drain(subscription)).map(brief);
}

/** The requests of a type that were received over the present connections. */
export function requests(bench: Bench, type: string): Message[] {
  return [...bench.model.peers].flatMap((p) => p.requests.filter((m) => m.type === type));
}
