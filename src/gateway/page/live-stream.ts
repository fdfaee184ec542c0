/**
 * LiveStream: the page's side of the SDK: one client, found again when the server was away from the start,
 * and the subscriptions of what is on the screen. Bounded by the queues of the subscriptions.
 *
 * Where the server wants a key, or no longer takes the one that it was given, the stream is locked until
 * it has one. It then goes on with a client of the new key, whose state is told as taken anew: what
 * happened in between is never left out silently.
 */

import { CHANNEL_TABLE } from '../../../protocol/channels';
import type { BarInterval } from '../../../protocol/bars';
import { CLOSES } from '../../../protocol/codes';
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
import type { TabKey } from './tab-key';

/** Of what is on the screen an item is: of every instrument, of the chosen one, or of its bars. */
export type Part = 'all' | 'chosen' | 'bars';

export type Link =
  | { readonly state: 'connecting' }
  | { readonly state: 'live'; readonly epoch: number; readonly server: string }
  /** The server wants a key, or another one; `why`, in words for people. */
  | { readonly state: 'locked'; readonly why: string }
  | {
      readonly state: 'away';
      readonly sinceMs: number;
      readonly reason: string;
      /** When it tries again, by the monotonic clock; undefined when it does not. */
      readonly retryAtMs: number | undefined;
    };

export interface StreamEvents {
  link(link: Link): void;
  instrument(definition: Instrument): void;
  item(item: Item, part: Part): void;
  execution(execution: Execution): void;
  clock(answer: ServerClock): void;
  /** The server has sent the state of a part. */
  ready(part: Part): void;
  /** The server refuses a part for good. */
  refused(part: Part, error: TapedeckError): void;
}

const PING_EVERY_MS = 5_000;
const RETRY_MS = 2_000;

/** Ends of a connection after which another key is wanted, by their codes; in words for people. */
export const KEY_ENDS: ReadonlyMap<number, string> = new Map([
  [CLOSES.unauthorized.code, 'The server no longer takes the key.'],
  [CLOSES['key-revoked'].code, 'The key was revoked, or has lost a role.'],
  [CLOSES['key-expired'].code, 'The key has expired.'],
]);
const ASKED = 'It shows its markets to whoever has a key with the role read, or a token.';

export class LiveStream {
  link: Link = { state: 'connecting' };
  client: TapedeckClient | undefined;
  /** Of the last connection: what came before it was not on its way just now. */
  private connectedAtSeq = 0;
  private epoch = 0;
  private readonly url: string;
  private readonly clock: Clock;
  private readonly key: TabKey;
  private readonly events: StreamEvents;
  private readonly subscriptions = new Map<Part, Subscription>();
  private readonly wanted = new Map<Part, readonly string[]>();
  private sinceMs: number | undefined;

  constructor(url: string, clock: Clock, key: TabKey, events: StreamEvents) {
    this.url = url;
    this.clock = clock;
    this.key = key;
    this.events = events;
  }

  start(): void {
    setInterval(() => void this.ping(), PING_EVERY_MS);
    void this.find(ASKED);
  }

  /** Goes on with a key. @throws TapedeckError why that is not possible, such as `unauthorized` */
  unlock(key: string): Promise<void> {
    return this.connect(key);
  }

  /** Whether an item happened since this connection began, so its way here can be timed. */
  isNews(item: Item): boolean {
    if (item.type === 'gap' || item.type === 'reset') return false;
    if (item.type === 'book') return item.form === 'delta';
    const { nature, topic } = CHANNEL_TABLE[item.type];
    return nature !== 'derived' && topic !== 'all' && item.seq > this.connectedAtSeq;
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

  /** Finds the server, however long that takes. @param why a key is wanted, if one is */
  private async find(why: string): Promise<void> {
    const { value } = this.key;
    try {
      await this.connect(value);
    } catch (e) {
      const error = e as TapedeckError;
      if (!isOfKey(error)) {
        this.away(error.message, RETRY_MS);
        setTimeout(() => void this.find(why), RETRY_MS);
      } else if (value === undefined) this.lock(why);
      else {
        // The server may be another one by now, which wants none.
        this.key.forget();
        await this.find(`The key that this tab had is refused: ${error.message}.`);
      }
    }
  }

  private async connect(key: string | undefined): Promise<void> {
    const client = await TapedeckClient.connect(this.url, {
      client: 'tapedeck page',
      reconnect: { maxMs: 5_000 },
      ...(key !== undefined && { key }),
    });
    try {
      const proof = client.subscribe(['status']); // whether it may read at all
      await proof.ready;
      if (key !== undefined) this.key.keep(key);
      this.attach(client);
      proof.close();
    } catch (e) {
      client.close();
      throw e;
    }
  }

  private lock(why: string): void {
    this.sinceMs = undefined;
    this.key.forget();
    this.client?.close();
    this.link = { state: 'locked', why };
    this.events.link(this.link);
  }

  private attach(client: TapedeckClient): void {
    const isAnother = this.client !== undefined;
    this.client = client;
    client.on('connected', () => this.connected());
    client.on('instrument', (definition) => this.events.instrument(definition));
    client.on('execution', (execution) => this.events.execution(execution));
    client.on('disconnected', ({ reason, code, retryInMs }) => {
      const why = KEY_ENDS.get(code);
      if (why === undefined) this.away(reason || `closed with ${code}`, retryInMs);
      else this.lock(why);
    });
    client.on('closed', ({ error }) => {
      if (this.link.state !== 'locked') this.away(error?.message ?? 'closed', undefined);
    });
    const before = this.epoch;
    this.connected();
    if (isAnother) this.notifyReset(before);
    this.want('all', ['tick:*', 'bbo:*', 'status']);
    for (const part of ['chosen', 'bars'] as const) this.subscribe(part);
  }

  /** Of the client before nothing goes on: the state of each part is that of the new one. */
  private notifyReset(epochBefore: number): void {
    const { epoch, connectedAtSeq: seq } = this;
    const reason = epoch === epochBefore ? 'other-key' : 'other-epoch';
    for (const [part, topics] of this.wanted) {
      this.events.item({ type: 'reset', topics, epoch, seq, reason, local: true }, part);
    }
  }

  private connected(): void {
    const { epoch, server, seq } = this.client!.welcome!;
    this.sinceMs = undefined;
    this.connectedAtSeq = seq;
    this.epoch = epoch;
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
    subscription.ready.then(
      () => this.subscriptions.get(part) === subscription && this.events.ready(part),
      () => {}, // told by what reads it
    );
  }

  private async read(subscription: Subscription, part: Part): Promise<void> {
    try {
      for await (const item of subscription) {
        // One that is being closed may still have had an item on its way.
        if (this.subscriptions.get(part) === subscription) this.events.item(item, part);
      }
    } catch (e) {
      // What ended with its client is told as the state of the link.
      if (this.subscriptions.get(part) !== subscription || this.client?.state === 'closed') return;
      const error = e as TapedeckError;
      if (isOfKey(error)) this.lock(`The server no longer lets this page read: ${error.message}.`);
      else this.events.refused(part, error);
    }
  }
}

/** Whether another key would help. */
export function isOfKey({ code }: TapedeckError): boolean {
  return code === 'unauthorized' || code === 'forbidden';
}
