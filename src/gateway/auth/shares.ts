/**
 * Shares: of the event loop's time, what one client may take with all its connections and requests. A
 * client is a key; without one an address, of IPv6 the network of 64 bits.
 *
 * Work is counted in microseconds of one core, by what was measured of its kind and not by a clock, which
 * would count the other processes of a busy machine. What is done is debited, also where that is known only
 * afterwards, and the debt is paid off evenly: who is in debt waits. What waits has its turn in the round of the clients, and of each client's connections, so that
 * heavy work of one comes between that of others and not all at once. In each millisecond so much is done
 * for all, and less for those without a key, so that these leave room to those that have one. What sources
 * send has a share of its own of each client, which is larger.
 *
 * Bounded: what waits of a client, by one second of its work (`isOver`); clients, by what happens within
 * some seconds.
 */

import type { Clock } from '../../base/clock';
import type { Timer } from '../../base/turn-meter';

export interface ShareLimits {
  readonly workPerSecond: number;
  readonly publishWorkPerSecond: number;
}

/** Waits for its turn. */
export interface Waiting {
  /** Does a piece of it, about as much as `PIECE`. @returns whether there is more */
  step(share: Share): boolean;
}

/** What is done of one connection before another of the same client has its turn. */
export const PIECE = 25;
/** Of each millisecond, for what all clients ask, and for those without a key. */
const ALL = 400;
const STRANGERS = 250;
/** The same for what all sources send. */
const SOURCES = 650;
const TICK_MS = 1;
/** So many milliseconds' worth is done at once where the loop comes late to it. */
const AT_ONCE_MS = 3;
/** Of what one source sends: a burst, of which each millisecond has its part. */
const SOURCE_AT_ONCE_MS = 50;
/** Deep in debt: more than several long answers about the past that were asked at once. */
const DEEP_MS = 10_000;
/** Of a source: more than what honest ones have waiting behind a stall of the machine. */
const FULL_MS = 2_000;
/** So many are looked through for those that may be forgotten. */
const CLIENTS_MANY = 1_024;

/** Used in this millisecond; what is beyond it counts for nobody. */
class Pool {
  private used = 0;
  private sinceMs = -Infinity;
  /** Milliseconds that it stands for: more than one where the loop came late. */
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

/** What one client may have of a kind of work. */
interface Kind {
  /** Of what those with a key ask, of what others do, and of what is published or traded. */
  readonly name: 'keys' | 'others' | 'sources';
  /** What it may take of a millisecond; a reload may change it. */
  readonly perMs: number;
  /** So many milliseconds' worth is done at once. */
  readonly atOnceMs: number;
  readonly pools: readonly Pool[];
  /** What comes behind has too much of a client waiting already. */
  readonly isCrowded: (client: string) => boolean;
}

/** That of one client. */
export class Share {
  private readonly shares: Shares;
  private readonly kind: Kind;
  private readonly client: string;
  private readonly tasks: Waiting[] = [];
  private debt = 0;
  private atMs = -Infinity;
  /** Work that waits, as far as that is known. */
  private waiting = 0;

  constructor(shares: Shares, kind: Kind, client: string) {
    this.shares = shares;
    this.kind = kind;
    this.client = client;
  }

  /** Whether something new may be done now. */
  get isFree(): boolean {
    return this.tasks.length === 0 && this.mayRun;
  }

  /** Whether what waits may go on. */
  get mayRun(): boolean {
    const { nowMs } = this.shares;
    const { perMs, atOnceMs, pools, isCrowded } = this.kind;
    return (
      this.debtAt(nowMs) < perMs * atOnceMs &&
      pools.every((pool) => pool.hasRoom(nowMs, perMs)) &&
      !isCrowded(this.client)
    );
  }

  /** A second's worth waits, or is owed. */
  get isOver(): boolean {
    return this.debtAt(this.shares.nowMs) + this.waiting >= this.kind.perMs * 1_000;
  }

  /** So much was done already that it is not paid off for long: what costs before it can wait is refused. */
  get isDeep(): boolean {
    return this.debtAt(this.shares.nowMs) >= this.kind.perMs * DEEP_MS;
  }

  /** So much waits, whatever was done already, that what comes on top is refused. */
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

  /** More work waits, or (below 0) less. */
  owe(work: number): void {
    this.waiting += work;
  }

  /** It has its turn, soon. */
  wait(task: Waiting): void {
    this.tasks.push(task);
    if (this.tasks.length === 1) this.shares.plan(this);
  }

  /** For `Shares` only: a turn of this client. */
  run(): void {
    while (this.tasks.length > 0 && this.mayRun) {
      const task = this.tasks.shift()!;
      if (task.step(this)) this.tasks.push(task);
    }
  }

  /**
   * Resolves when it has its turn; false: too much waits already.
   * @param work about what it will be, which is spent with that; what it was beyond it is spent afterwards
   */
  turn(work: number): Promise<boolean> | true {
    if (this.isFree) {
      this.spend(work);
      return true;
    }
    if (this.isOver) return Promise.resolve(false);
    return this.line(work).then(() => true);
  }

  /** Resolves when it has its turn, however much waits: where that is bounded in another way. */
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
  /** Since the start, in microseconds. */
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
  /** Those with something that waits; the next one first. */
  private round: Share[] = [];
  private timer: Timer | undefined;

  /** @param isCrowded whether so much of a source waits for its turn that no more is to be read of it */
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

  /** @param client an address, or a network */
  ofStranger(client: string): Share {
    return this.strangers.get(client) ?? this.made(this.strangers, client, this.ofStrangers);
  }

  /** Of what a client sends that may publish or trade. @param key null of one that has shown none */
  ofSource(key: string | null, client: string): Share {
    const map = key === null ? this.sources.strangers : this.sources.keys;
    return map.get(client) ?? this.made(map, client, this.ofSources);
  }

  /** For `Share` only: it waits for its turn. */
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
    // Each is asked once; who had no room stands in front of those that had.
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
