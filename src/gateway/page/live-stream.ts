/**
 * LiveStream: the page's use of the SDK: one client, which keeps looking for the server even if it is away
 * at the start, and the subscriptions for what is on the screen. Bounded by the queues of the subscriptions.
 *
 * If the server requires a key, or no longer accepts the current one, the stream is locked until it has a
 * new key. It then continues with a new client and reports a reset of every part, as messages in between may
 * be missing.
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

/** The part of the page that an item is for: all instruments, the chosen one, or its bars. */
export type Part = 'all' | 'chosen' | 'bars';

/** A shard of the server, its epoch, and its newest seq when the connection began; `shard` is null if it has no name. */
export interface Position {
  readonly shard: string | null;
  readonly epoch: number;
  readonly seq: number;
}

export type Link =
  | { readonly state: 'connecting' }
  | { readonly state: 'live'; readonly positions: readonly Position[]; readonly server: string }
  /** The server requires a key, or another key; `why` is a text for the user. */
  | { readonly state: 'locked'; readonly why: string }
  | {
      readonly state: 'away';
      readonly sinceMs: number;
      readonly reason: string;
      /** Time of the next attempt, by the monotonic clock; undefined if there is none. */
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
  /** The server has permanently refused a part. */
  refused(part: Part, error: TapedeckError): void;
}

const PING_EVERY_MS = 5_000;
const RETRY_MS = 2_000;

/** Close codes after which another key is required, with texts for the user. */
export const KEY_ENDS: ReadonlyMap<number, string> = new Map([
  [CLOSES.unauthorized.code, 'The server no longer takes the key.'],
  [CLOSES['key-revoked'].code, 'The key was revoked, or has lost a role.'],
  [CLOSES['key-expired'].code, 'The key has expired.'],
]);
const ASKED = 'The server requires a key with the role read, or a token.';

export class LiveStream {
  link: Link = { state: 'connecting' };
  client: TapedeckClient | undefined;
  /** Where the last connection began: no latency is measured for earlier items. */
  private positions: readonly Position[] = [];
  private readonly url: string;
  private readonly clock: Clock;
  private readonly key: TabKey;
  private readonly events: StreamEvents;
  private readonly subscriptions = new Map<Part, Subscription>();
  private readonly wanted = new Map<Part, readonly string[]>();
  /** Parts that a server did not serve; another one may have their shard. */
  private readonly refused = new Set<Part>();
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

  /** Continues with a key. @throws TapedeckError why that is not possible, such as `unauthorized` */
  unlock(key: string): Promise<void> {
    return this.connect(key);
  }

  /** Whether an item happened since this connection began, so that its latency is meaningful. */
  isNews(item: Item): boolean {
    if (item.type === 'gap' || item.type === 'reset') return false;
    if (item.type === 'book') return item.form === 'delta';
    const { nature, topic } = CHANNEL_TABLE[item.type];
    return nature !== 'derived' && topic !== 'all' && item.seq > this.beganAt(item.symbol);
  }

  private beganAt(symbol: string): number {
    const [first, ...others] = this.positions;
    if (others.length === 0) return first?.seq ?? 0;
    const shard = this.client?.instruments.get(symbol)?.shard;
    return this.positions.find((position) => position.shard === shard)?.seq ?? 0;
  }

  follow(symbol: string): void {
    this.want('chosen', [`book:${symbol}`, `trade:${symbol}`, `stats:${symbol}`]);
  }

  followBars(symbol: string, interval: BarInterval): void {
    this.want('bars', [`bar:${symbol}:${interval}`]);
  }

  /** The page is visible again: if the server is away, tries to connect now. */
  wake(): void {
    this.client?.reconnectNow();
    void this.ping();
  }

  /**
   * Looks for the server until it is found.
   * @param why the reason for requesting a key, if one is required
   */
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
        // The server may have been replaced by one that requires no key.
        this.key.forget();
        await this.find(`The key of this tab is refused: ${error.message}.`);
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
      const proof = client.subscribe(['status']); // checks whether the client may read
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
    client.on('epoch', (event) => this.goOn(event));
    client.on('disconnected', ({ reason, code, retryInMs }) => {
      const why = KEY_ENDS.get(code);
      if (why === undefined) this.away(reason || `closed with ${code}`, retryInMs);
      else this.lock(why);
    });
    client.on('closed', ({ error }) => {
      if (this.link.state !== 'locked') this.away(error?.message ?? 'closed', undefined);
    });
    const before = this.positions;
    this.connected();
    if (isAnother) this.notifyReset(before);
    this.want('all', ['tick:*', 'bbo:*', 'status']);
    for (const part of ['chosen', 'bars'] as const) this.subscribe(part);
  }

  /** Subscriptions of the previous client do not continue. Each part gets its state from the new client. */
  private notifyReset(before: readonly Position[]): void {
    const { positions } = this;
    const reason = epochsOf(positions) === epochsOf(before) ? 'other-key' : 'other-epoch';
    const [{ epoch, seq } = { epoch: 0, seq: 0 }, ...others] = positions;
    // It is about all shards.
    const at = others.length === 0 ? { epoch, seq } : { epoch: 0, seq: 0 };
    for (const [part, topics] of this.wanted) {
      this.events.item({ type: 'reset', topics, ...at, reason, local: true, shard: null }, part);
    }
  }

  private connected(): void {
    const { epoch, server, seq, shards } = this.client!.welcome!;
    this.sinceMs = undefined;
    this.positions = shards ?? [{ shard: null, epoch, seq }];
    this.link = { state: 'live', positions: this.positions, server };
    this.events.link(this.link);
    void this.ping();
    for (const part of this.refused) this.subscribe(part);
  }

  private goOn({ shard, epoch }: Pick<Position, 'shard' | 'epoch'>): void {
    this.positions = this.positions.map((position) =>
      position.shard === shard ? { ...position, epoch } : position,
    );
    if (this.link.state !== 'live') return;
    this.link = { ...this.link, positions: this.positions };
    this.events.link(this.link);
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
    this.refused.delete(part);
    this.subscriptions.get(part)?.close();
    const subscription = this.client.subscribe(topics);
    this.subscriptions.set(part, subscription);
    void this.read(subscription, part);
    subscription.ready.then(
      () => this.subscriptions.get(part) === subscription && this.events.ready(part),
      () => {}, // the reader of the subscription reports it
    );
  }

  private async read(subscription: Subscription, part: Part): Promise<void> {
    try {
      for await (const item of subscription) {
        // A subscription that is being closed may still deliver an item.
        if (this.subscriptions.get(part) === subscription) this.events.item(item, part);
      }
    } catch (e) {
      // If the client has closed, the state of the link reports that.
      if (this.subscriptions.get(part) !== subscription || this.client?.state === 'closed') return;
      const error = e as TapedeckError;
      if (isOfKey(error)) this.lock(`The server no longer lets this page read: ${error.message}.`);
      else {
        this.refused.add(part);
        this.events.refused(part, error);
      }
    }
  }
}

/** Whether another key would help. */
export function isOfKey({ code }: TapedeckError): boolean {
  return code === 'unauthorized' || code === 'forbidden';
}

/** The epoch of a server, or of each of its shards: `4`, `eu 4, us 12`. */
export function epochsOf(positions: readonly Position[]): string {
  const [first, ...others] = positions;
  if (first === undefined) return '–';
  if (others.length === 0) return String(first.epoch);
  return positions.map(({ shard, epoch }) => `${shard} ${epoch}`).join(', ');
}
