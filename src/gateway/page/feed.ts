/**
 * Feed: the page's side of the SDK: one client, found again when the server was away from the start,
 * and the subscriptions of what is on the screen. Bounded by the queues of the subscriptions.
 */

import type { BarInterval } from '../../../protocol/bars';
import {
  TapedeckClient,
  type Instrument,
  type Item,
  type Execution,
  type ServerClock,
  type Subscription,
  type TapedeckError,
} from '../../client/index';
import type { Clock } from '../../base/clock';

/** Of what is on the screen an item is: of every instrument, of the chosen one, or of its bars. */
export type Part = 'all' | 'chosen' | 'bars';

export type Link =
  | { readonly state: 'connecting' }
  | { readonly state: 'live'; readonly epoch: number; readonly server: string }
  | {
      readonly state: 'away';
      readonly sinceMs: number;
      readonly reason: string;
      /** When it tries again, by the monotonic clock; undefined when it does not. */
      readonly retryAtMs: number | undefined;
    };

export interface FeedEvents {
  link(link: Link): void;
  instrument(definition: Instrument): void;
  item(item: Item, part: Part): void;
  execution(execution: Execution): void;
  clock(answer: ServerClock): void;
  /** The server refuses a part for good. */
  refused(part: Part, error: TapedeckError): void;
}

const PING_EVERY_MS = 5_000;
const RETRY_MS = 2_000;

export class Feed {
  link: Link = { state: 'connecting' };
  client: TapedeckClient | undefined;
  /** Of the last connection: what came before it was not on its way just now. */
  connectedAtSeq = 0;
  private readonly url: string;
  private readonly clock: Clock;
  private readonly events: FeedEvents;
  private readonly subscriptions = new Map<Part, Subscription>();
  private readonly wanted = new Map<Part, readonly string[]>();
  private sinceMs: number | undefined;

  constructor(url: string, clock: Clock, events: FeedEvents) {
    this.url = url;
    this.clock = clock;
    this.events = events;
  }

  /** Finds the server, however long that takes. */
  async start(): Promise<void> {
    try {
      const reconnect = { maxMs: 5_000 };
      this.attach(await TapedeckClient.connect(this.url, { client: 'tapedeck page', reconnect }));
    } catch (e) {
      this.away((e as TapedeckError).message, RETRY_MS);
      setTimeout(() => void this.start(), RETRY_MS);
    }
  }

  follow(symbol: string): void {
    this.want('chosen', [`book:${symbol}`, `trade:${symbol}`, `stats:${symbol}`]);
  }

  followBars(symbol: string, interval: BarInterval): void {
    this.want('bars', [`bar:${symbol}:${interval}`]);
  }

  /** The page is looked at again: if the server is away, this is the time to look for it. */
  wake(): void {
    this.client?.reconnectNow();
    void this.ping();
  }

  private attach(client: TapedeckClient): void {
    this.client = client;
    client.on('connected', () => this.connected());
    client.on('instrument', (definition) => this.events.instrument(definition));
    client.on('execution', (execution) => this.events.execution(execution));
    client.on('disconnected', ({ reason, code, retryInMs }) =>
      this.away(reason || `closed with ${code}`, retryInMs),
    );
    client.on('closed', ({ error }) => this.away(error?.message ?? 'closed', undefined));
    this.connected();
    this.want('all', ['tick:*', 'bbo:*', 'status']);
    for (const part of ['chosen', 'bars'] as const) this.subscribe(part);
    setInterval(() => void this.ping(), PING_EVERY_MS);
  }

  private connected(): void {
    const { epoch, server, seq } = this.client!.welcome!;
    this.sinceMs = undefined;
    this.connectedAtSeq = seq;
    this.link = { state: 'live', epoch, server };
    this.events.link(this.link);
    void this.ping();
  }

  private away(reason: string, retryInMs: number | undefined): void {
    const nowMs = this.clock.monotonicMs();
    this.sinceMs ??= nowMs;
    const retryAtMs = retryInMs === undefined ? undefined : nowMs + retryInMs;
    this.link = { state: 'away', sinceMs: this.sinceMs, reason, retryAtMs };
    this.events.link(this.link);
  }

  private async ping(): Promise<void> {
    const answer = await this.client?.ping().catch(() => undefined);
    if (answer !== undefined) this.events.clock(answer);
  }

  private want(part: Part, topics: readonly string[]): void {
    this.wanted.set(part, topics);
    this.subscribe(part);
  }

  private subscribe(part: Part): void {
    const topics = this.wanted.get(part);
    if (this.client === undefined || this.client.state === 'closed' || topics === undefined) return;
    this.subscriptions.get(part)?.close();
    const subscription = this.client.subscribe(topics);
    this.subscriptions.set(part, subscription);
    void this.read(subscription, part);
  }

  private async read(subscription: Subscription, part: Part): Promise<void> {
    try {
      for await (const item of subscription) {
        // One that is being closed may still have had an item on its way.
        if (this.subscriptions.get(part) === subscription) this.events.item(item, part);
      }
    } catch (e) {
      if (this.subscriptions.get(part) === subscription) {
        this.events.refused(part, e as TapedeckError);
      }
    }
  }
}
