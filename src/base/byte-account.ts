/**
 * Byte account: memory that clients make the server hold, by client and by kind, and what is let go when it is too
 * much.
 *
 * A meter counts for one session or request. What closing a session frees can be *shed*. What is in progress
 * (bodies, publishes) cannot, so it is refused when it would be too much. Invariants:
 * - What cannot be shed is at most the budget. Half of it is first come, first served; of the other half each client
 *   has an equal share, so a client that holds little is not refused because of one that holds much.
 * - When the total exceeds the budget, sessions of the client that holds most are shed, the heaviest first.
 * - The same holds for clients without a key within their part of the budget, so they leave room for the others.
 * Bound: open sessions and requests; a client that holds nothing is forgotten.
 */

export const BYTE_KINDS = [
  'connections',
  'topics',
  'answers',
  'sockets',
  'requests',
  'deltas',
  'publishes',
  'bodies',
  'replies',
] as const;
export type ByteKind = (typeof BYTE_KINDS)[number];

/** Kinds that cannot be shed, so they are refused when they would be too much. */
const PINNED: ReadonlySet<ByteKind> = new Set(['publishes', 'bodies', 'replies']);
/** The part of the budget that is first come, first served. */
const FIRST_SHARE = 0.5;
/** The part of the budget for all clients without a key together, if the server has keys. */
const STRANGERS_SHARE = 0.5;

/** Read at each use, since a reload may change them. */
export interface ByteLimits {
  readonly clientBytesMax: number;
  readonly clientBytesPerClientMax: number;
}

interface Holding {
  total: number;
  /** Bytes that cannot be shed. */
  pinned: number;
}

interface Holder extends Holding {
  readonly client: string;
  readonly isStranger: boolean;
  readonly meters: Set<Meter>;
}

export class ByteAccount {
  readonly ofKind = Object.fromEntries(BYTE_KINDS.map((kind) => [kind, 0])) as Record<
    ByteKind,
    number
  >;
  total = 0;
  /** Number of meters shed, and of requests for bytes refused. */
  readonly counts = { shed: 0, refused: 0 };
  /** Whether clients may present a key; then room is kept for them. */
  areKeys = (): boolean => false;
  private pinned = 0;
  private readonly strangers = { total: 0, pinned: 0, clients: 0 };
  private readonly limits: ByteLimits;
  private readonly holders = new Map<string, Holder>();
  /** Clients that exceeded their own bound when bytes were added. */
  private readonly over = new Set<Holder>();

  constructor(limits: ByteLimits) {
    this.limits = limits;
  }

  /**
   * @param shed frees what the meter counts and closes its owner; undefined if nothing of it can be shed
   * @param isStranger whether its client has presented no key
   */
  open(client: string, shed?: () => void, isStranger = false): Meter {
    return new Meter(this, client, shed, isStranger);
  }

  of(client: string): number {
    return this.holders.get(client)?.total ?? 0;
  }

  get clients(): number {
    return this.holders.size;
  }

  /** Sheds until each client, and all together, are within their bounds. Called at intervals. */
  enforce(): void {
    const { clientBytesMax, clientBytesPerClientMax } = this.limits;
    for (const holder of this.over) {
      this.over.delete(holder);
      while (holder.total > clientBytesPerClientMax && this.shedOne(holder));
    }
    this.shedDown(this.strangers, this.strangersMax, ({ isStranger }) => isStranger);
    this.shedDown(this, clientBytesMax, () => true);
  }

  private get strangersMax(): number {
    return this.limits.clientBytesMax * (this.areKeys() ? STRANGERS_SHARE : 1);
  }

  /** Clients by what they hold, most first; shedding changes the order. */
  private shedDown(
    of: { readonly total: number },
    most: number,
    among: (holder: Holder) => boolean,
  ): void {
    const spent = new Set<Holder>();
    while (of.total > most) {
      const heaviest = this.heaviest((holder) => among(holder) && !spent.has(holder));
      if (heaviest === undefined) return;
      if (!this.shedOne(heaviest)) spent.add(heaviest);
    }
  }

  /** For meters only. */
  enter(meter: Meter): Holder {
    const { client, isStranger } = meter;
    const name = isStranger ? `address ${client}` : client;
    let holder = this.holders.get(name);
    if (holder === undefined) {
      holder = { client: name, isStranger, total: 0, pinned: 0, meters: new Set() };
      this.holders.set(name, holder);
      if (isStranger) this.strangers.clients += 1;
    }
    holder.meters.add(meter);
    return holder;
  }

  /** For meters only. */
  leave(meter: Meter, holder: Holder): void {
    holder.meters.delete(meter);
    if (holder.meters.size > 0) return;
    this.holders.delete(holder.client);
    if (holder.isStranger) this.strangers.clients -= 1;
    this.over.delete(holder);
  }

  /** For meters only. */
  add(holder: Holder, kind: ByteKind, bytes: number): void {
    this.ofKind[kind] += bytes;
    this.total += bytes;
    holder.total += bytes;
    if (holder.isStranger) this.strangers.total += bytes;
    if (PINNED.has(kind)) {
      holder.pinned += bytes;
      this.pinned += bytes;
      if (holder.isStranger) this.strangers.pinned += bytes;
    }
    if (bytes > 0 && holder.total > this.limits.clientBytesPerClientMax) this.over.add(holder);
  }

  /** For meters only. Whether there is room for `bytes` more that cannot be shed. */
  hasRoom(holder: Holder, bytes: number): boolean {
    const { clientBytesMax, clientBytesPerClientMax } = this.limits;
    const { strangers, strangersMax } = this;
    /** Whether it fits a budget that this many clients share and of which `held` is used. */
    const fits = (most: number, pinned: number, clients: number): boolean => {
      const first = most * FIRST_SHARE;
      const isLight = holder.pinned + bytes <= (most - first) / Math.max(1, clients);
      return isLight || pinned + bytes <= first;
    };
    if (
      holder.pinned + bytes <= clientBytesPerClientMax &&
      fits(clientBytesMax, this.pinned, this.holders.size) &&
      (!holder.isStranger || fits(strangersMax, strangers.pinned, strangers.clients))
    ) {
      return true;
    }
    this.counts.refused += 1;
    return false;
  }

  private heaviest(among: (holder: Holder) => boolean): Holder | undefined {
    let heaviest: Holder | undefined;
    for (const holder of this.holders.values()) {
      if (!among(holder)) continue;
      if (heaviest === undefined || heldBy(holder) > heldBy(heaviest)) heaviest = holder;
    }
    return heaviest;
  }

  /** @returns whether there was one to shed */
  private shedOne({ meters }: Holder): boolean {
    let heaviest: Meter | undefined;
    for (const meter of meters) {
      if (meter.canShed && (heaviest === undefined || meter.total > heaviest.total))
        heaviest = meter;
    }
    if (heaviest === undefined) return false;
    this.counts.shed += 1;
    heaviest.letGo();
    return true;
  }
}

export class Meter {
  client: string;
  isStranger: boolean;
  total = 0;
  private readonly account: ByteAccount;
  private readonly shed: (() => void) | undefined;
  private readonly bytes: Partial<Record<ByteKind, number>> = {};
  private holder: Holder | null;
  private isClosed = false;

  /** For the account only. */
  constructor(
    account: ByteAccount,
    client: string,
    shed: (() => void) | undefined,
    isStranger: boolean,
  ) {
    this.account = account;
    this.client = client;
    this.isStranger = isStranger;
    this.shed = shed;
    this.holder = account.enter(this);
  }

  get canShed(): boolean {
    return this.shed !== undefined && !this.isClosed;
  }

  of(kind: ByteKind): number {
    return this.bytes[kind] ?? 0;
  }

  /** Sets the bytes of a kind. */
  set(kind: ByteKind, bytes: number): void {
    this.add(kind, bytes - this.of(kind));
  }

  /** Adds to the bytes of a kind, or subtracts. */
  add(kind: ByteKind, bytes: number): void {
    if (this.holder === null || bytes === 0) return;
    if (this.isClosed && !PINNED.has(kind)) return;
    this.bytes[kind] = this.of(kind) + bytes;
    this.total += bytes;
    this.account.add(this.holder, kind, bytes);
    if (this.isClosed) this.leaveIfEmpty();
  }

  /** Adds bytes that cannot be shed if there is room. @returns whether there was */
  take(kind: ByteKind, bytes: number): boolean {
    if (this.holder === null || this.isClosed || !this.account.hasRoom(this.holder, bytes))
      return false;
    this.add(kind, bytes);
    return true;
  }

  /** From now on its bytes count for another client. */
  moveTo(client: string, isStranger = false): void {
    if (this.holder === null) return;
    if (client === this.client && isStranger === this.isStranger) return;
    const held = { ...this.bytes };
    for (const kind of BYTE_KINDS) this.set(kind, 0);
    this.account.leave(this, this.holder);
    this.client = client;
    this.isStranger = isStranger;
    this.holder = this.account.enter(this);
    for (const kind of BYTE_KINDS) this.add(kind, held[kind] ?? 0);
  }

  /** Ends it. Bytes that cannot be shed count until they are released. */
  close(): void {
    if (this.holder === null || this.isClosed) return;
    for (const kind of BYTE_KINDS) if (!PINNED.has(kind)) this.set(kind, 0);
    this.isClosed = true;
    this.leaveIfEmpty();
  }

  private leaveIfEmpty(): void {
    if (this.total > 0 || this.holder === null) return;
    this.account.leave(this, this.holder);
    this.holder = null;
  }

  /** For the account only. Nothing is counted after this, whatever the owner does. */
  letGo(): void {
    this.shed!();
    this.close();
  }
}

/** Bytes that shedding would free. */
function heldBy({ total, pinned }: Holder): number {
  return total - pinned;
}
