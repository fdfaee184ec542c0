/**
 * Shares: the part of the event loop's time that one client may use with all its connections and requests. A
 * client is a key; without one it is an address (for IPv6 the network of 64 bits).
 *
 * Work is counted in microseconds of one core. The amounts are measured constants per kind of work: a clock
 * would also count other processes of a busy machine. Work is debited when it is done, even if its amount is
 * known only afterwards. The debt is paid off at a constant rate, and a client in debt waits. Waiting work
 * is scheduled round-robin over the clients, and over the connections of each client, so that heavy work of
 * one client alternates with that of others. Each millisecond has a budget for all clients, and a smaller
 * one for clients without a key, so that clients with a key always have room. What sources send has a
 * separate, larger share per client.
 *
 * Bounded: the waiting work of a client, by one second of its work (`isOver`); clients, by the activity of
 * some seconds.
 */

import type { Clock } from '../../base/clock';
import type { Timer } from '../../base/turn-meter';

export interface ShareLimits {
  readonly workPerSecond: number;
  readonly publishWorkPerSecond: number;
}

/** Work that waits for its share. */
export interface Waiting {
  /** Does a part of the work, about as much as `PIECE`. @returns whether there is more */
  step(share: Share): boolean;
}

/** Work of one connection before another connection of the same client is served. */
export const PIECE = 25;
/** Budget of each millisecond: for all clients, and for those without a key. */
const ALL = 400;
const STRANGERS = 250;
/** The same for all sources. */
const SOURCES = 650;
const TICK_MS = 1;
/** Milliseconds whose budgets are available at once when the loop runs late. */
const AT_ONCE_MS = 3;
/** Burst of one source; each millisecond has a part of it. */
const SOURCE_AT_ONCE_MS = 50;
/** Deep debt: more than several long queries about the past that were requested at once. */
const DEEP_MS = 10_000;
/** For a source: more than what honest sources have waiting after a stall of the machine. */
const FULL_MS = 2_000;
/** Number of clients that are checked at once for removal. */
const CLIENTS_MANY = 1_024;

/** Work used in the current millisecond. Work beyond the budget is not carried over. */
class Pool {
  private used = 0;
  private sinceMs = -Infinity;
  /** Number of milliseconds that the budget covers: more than one if the loop ran late. */
  private of = 1;
  private readonly most: number;
  private readonly atOnceMs: number;

  constructor(most: number, atOnceMs = 1) {
    this.most = most;
    this.atOnceMs = atOnceMs;
  }

  spend(work: number, nowMs: number): void {
    this.used = this.usedAt(nowMs) + work;
  }

  hasRoom(nowMs: number, least: number): boolean {
    return this.usedAt(nowMs) < Math.max(this.most, least) * this.of;
  }

  private usedAt(nowMs: number): number {
    if (nowMs - this.sinceMs >= TICK_MS) {
      this.of = Math.min(this.atOnceMs, nowMs - this.sinceMs);
      this.sinceMs = nowMs;
      this.used = 0;
    }
    return this.used;
  }
}

/** The share of one client for one kind of work. */
interface Kind {
  /** `keys`: requests with a key; `others`: requests without one; `sources`: publishing and trading. */
  readonly name: 'keys' | 'others' | 'sources';
  /** Budget per millisecond; a reload may change it. */
  readonly perMs: number;
  /** Milliseconds whose budgets are available at once. */
  readonly atOnceMs: number;
  readonly pools: readonly Pool[];
  /** Called when too much of a client waits, so that callers can stop reading from it. */
  readonly isCrowded: (client: string) => boolean;
}

/** The share of one client. */
export class Share {
  private readonly shares: Shares;
  private readonly kind: Kind;
  private readonly client: string;
  private readonly tasks: Waiting[] = [];
  private debt = 0;
  private atMs = -Infinity;
  /** Known amount of the work that waits. */
  private waiting = 0;

  constructor(shares: Shares, kind: Kind, client: string) {
    this.shares = shares;
    this.kind = kind;
    this.client = client;
  }

  /** Whether new work may be done now. */
  get isFree(): boolean {
    return this.tasks.length === 0 && this.mayRun;
  }

  /** Whether waiting work may continue. */
  get mayRun(): boolean {
    const { nowMs } = this.shares;
    const { perMs, atOnceMs, pools, isCrowded } = this.kind;
    return (
      this.debtAt(nowMs) < perMs * atOnceMs &&
      pools.every((pool) => pool.hasRoom(nowMs, perMs)) &&
      !isCrowded(this.client)
    );
  }

  /** Whether a second's worth of work waits or is owed. */
  get isOver(): boolean {
    return this.debtAt(this.shares.nowMs) + this.waiting >= this.kind.perMs * 1_000;
  }

  /**
   * Whether the debt takes long to pay off. Requests whose cost arises before they can wait are then
   * refused.
   */
  get isDeep(): boolean {
    return this.debtAt(this.shares.nowMs) >= this.kind.perMs * DEEP_MS;
  }

  /** Whether so much work waits, without the debt, that further work is refused. */
  get isFull(): boolean {
    return this.waiting >= this.kind.perMs * FULL_MS;
  }

  get hasTasks(): boolean {
    return this.tasks.length > 0;
  }

  get isIdle(): boolean {
    return this.tasks.length === 0 && this.debtAt(this.shares.nowMs) === 0;
  }

  spend(work: number): void {
    const { nowMs } = this.shares;
    this.debt = this.debtAt(nowMs) + work;
    this.shares.spent[this.kind.name] += work;
    for (const pool of this.kind.pools) pool.spend(work, nowMs);
  }

  /** Adds to the work that waits (below 0: subtracts). */
  owe(work: number): void {
    this.waiting += work;
  }

  /** Queues a task. */
  wait(task: Waiting): void {
    this.tasks.push(task);
    if (this.tasks.length === 1) this.shares.plan(this);
  }

  /** For `Shares` only: serves this client once. */
  run(): void {
    while (this.tasks.length > 0 && this.mayRun) {
      const task = this.tasks.shift()!;
      if (task.step(this)) this.tasks.push(task);
    }
  }

  /**
   * Resolves when the work may start; false: too much waits already.
   * @param work estimated amount, which is spent then; the caller spends any excess afterwards
   */
  turn(work: number): Promise<boolean> | true {
    if (this.isFree) {
      this.spend(work);
      return true;
    }
    if (this.isOver) return Promise.resolve(false);
    return this.line(work).then(() => true);
  }

  /** Resolves when the work may start, however much waits: for work that is bounded in another way. */
  line(work: number): Promise<void> {
    if (this.isFree) {
      this.spend(work);
      return Promise.resolve();
    }
    this.owe(work);
    return new Promise((resolve) => {
      const step = (): boolean => {
        this.owe(-work);
        this.spend(work);
        resolve();
        return false;
      };
      this.wait({ step });
    });
  }

  private debtAt(nowMs: number): number {
    this.debt = Math.max(0, this.debt - (nowMs - this.atMs) * this.kind.perMs);
    this.atMs = nowMs;
    return this.debt;
  }
}

export class Shares {
  /** Totals since the start, in microseconds. */
  readonly spent: Record<Kind['name'], number> = { keys: 0, others: 0, sources: 0 };
  private readonly clock: Clock;
  private readonly keys = new Map<string, Share>();
  private readonly strangers = new Map<string, Share>();
  private readonly sources = {
    keys: new Map<string, Share>(),
    strangers: new Map<string, Share>(),
  };
  private readonly ofKeys: Kind;
  private readonly ofStrangers: Kind;
  private readonly ofSources: Kind;
  private many = CLIENTS_MANY;
  /** Clients with waiting work, in the order of service. */
  private round: Share[] = [];
  private timer: Timer | undefined;

  /** @param isCrowded whether so much of a source waits that no more is read from it */
  constructor(limits: ShareLimits, clock: Clock, isCrowded: Kind['isCrowded'] = () => false) {
    this.clock = clock;
    const all = new Pool(ALL);
    const asked = (kind: Kind['name'], ...pools: Pool[]): Kind => ({
      name: kind,
      get perMs() {
        return limits.workPerSecond / 1_000;
      },
      atOnceMs: AT_ONCE_MS,
      pools,
      isCrowded: () => false,
    });
    this.ofKeys = asked('keys', all);
    this.ofStrangers = asked('others', all, new Pool(STRANGERS));
    this.ofSources = {
      name: 'sources',
      get perMs() {
        return limits.publishWorkPerSecond / 1_000;
      },
      atOnceMs: SOURCE_AT_ONCE_MS,
      pools: [new Pool(SOURCES, AT_ONCE_MS)],
      isCrowded,
    };
  }

  get nowMs(): number {
    return this.clock.monotonicMs();
  }

  ofKey(name: string): Share {
    return this.keys.get(name) ?? this.made(this.keys, name, this.ofKeys);
  }

  /** The share of a client without a key. @param client an address, or a network */
  ofStranger(client: string): Share {
    return this.strangers.get(client) ?? this.made(this.strangers, client, this.ofStrangers);
  }

  /** The share of a client that may publish or trade. @param key null if it has presented none */
  ofSource(key: string | null, client: string): Share {
    const map = key === null ? this.sources.strangers : this.sources.keys;
    return map.get(client) ?? this.made(map, client, this.ofSources);
  }

  /** For `Share` only: puts a share into the queue. */
  plan(share: Share): void {
    this.round.push(share);
    this.timer ??= this.later();
  }

  private later(): Timer {
    return this.clock.turns.later('slice', TICK_MS, () => this.tick());
  }

  private tick(): void {
    this.timer = undefined;
    const { round } = this;
    this.round = [];
    // Each client is visited once. Those without budget come before those that were served.
    const served: Share[] = [];
    const unserved: Share[] = [];
    for (const share of round) {
      const hadRoom = share.mayRun;
      share.run();
      if (share.hasTasks) (hadRoom ? served : unserved).push(share);
    }
    this.round = [...unserved, ...served, ...this.round];
    if (this.round.length > 0) this.timer ??= this.later();
  }

  private made(map: Map<string, Share>, name: string, kind: Kind): Share {
    if (map.size >= this.many) {
      for (const [other, share] of map) if (share.isIdle) map.delete(other);
      this.many = Math.max(CLIENTS_MANY, map.size * 2);
    }
    const share = new Share(this, kind, name);
    map.set(name, share);
    return share;
  }
}
