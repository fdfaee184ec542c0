/** Entry: how those who bring something in (sources, traders) are joined to the sequencer. */

import { fault, fieldFault, type Fault } from '../../protocol/codes';
import type { SourceEvent } from '../../protocol/messages';
import type { ByteAccount } from '../base/byte-account';
import { eventBytes } from '../base/event-bytes';
import type { Timer, TurnMeter } from '../base/turn-meter';
import type { OrderRouter } from '../market/order-router';
import type { MarketOutput } from '../market/output';
import type { Recorder } from './recorder';
import type { SubmitResult } from '../sequencer/contract';
import type { OrderOutcome, OrderStage, OwnerCancelled } from '../gateway/order-entry';

/** Names that the server gives to orders begin so. */
const OWN_NAMES = '~';
/** How long a source may be silent that comes by requests, and so has no end that the server sees. */
export interface RequestSilence {
  /** For so long after its last request nobody else may feed its instruments. */
  readonly requestsHoldMs: number;
  /** After so long it is gone. At least `requestsHoldMs`. */
  readonly requestsIdleMs: number;
}

/** Instruments of a source that has gone that are released in one go, each with three events. */
const RELEASED_AT_ONCE = 32;

/** Numbers of those who bring events in: connections, and the requests of a key. */
export class Sources {
  private count = 0;
  private readonly recorder: Recorder;
  private readonly silence: RequestSilence;
  private readonly turns: TurnMeter;
  /** Who they count as where limits are of a client. */
  private readonly clients = new Map<number, () => string>();
  /** Requests of one key are one source, whatever connections they come over, until it is gone. */
  private readonly ofKeys = new Map<string, { id: number; timer: Timer }>();

  private readonly account: ByteAccount;

  constructor(recorder: Recorder, silence: RequestSilence, turns: TurnMeter, account: ByteAccount) {
    this.account = account;
    this.recorder = recorder;
    this.silence = silence;
    this.turns = turns;
  }

  /** @param client who it counts as where limits are of a client, which may change */
  nextId(client: () => string): number {
    this.clients.set(++this.count, client);
    return this.count;
  }

  clientOf(id: number): string {
    return this.clients.get(id)?.() ?? '';
  }

  /**
   * Resolves when the events are journaled, or with the reason for which none was taken.
   * @param continues whether its numbers go on from those of a source before it
   */
  submitRequest(
    key: string,
    events: readonly SourceEvent[],
    continues = false,
  ): Promise<SubmitResult> {
    const meter = this.account.open(key);
    const bytes = eventBytes(events);
    if (!meter.take('publishes', bytes)) {
      meter.close();
      const message = `${bytes} bytes of events more than may wait now`;
      return Promise.resolve({ index: -1, fault: fault('overloaded', message) });
    }
    const known = this.ofKeys.get(key);
    clearTimeout(known?.timer);
    const id = known?.id ?? this.nextId(() => key);
    this.ofKeys.set(key, { id, timer: this.yieldLater(key, id) });
    return new Promise((resolve) => {
      const { sequencer } = this.recorder;
      const done = (result: SubmitResult): void => {
        meter.set('publishes', 0);
        meter.close();
        resolve(result);
      };
      sequencer.submit(id, events, done, { owner: key, continues, isDecimal: true });
    });
  }

  /** Requests of this key hold their instruments for a while, and end later. */
  private yieldLater(key: string, id: number): Timer {
    const { sequencer, market } = this.recorder;
    const { requestsHoldMs, requestsIdleMs } = this.silence;
    const { turns } = this;
    return turns.later('sources', requestsHoldMs, () => {
      sequencer.act(() => market.yield(id), undefined, id, key);
      const timer = turns.later('sources', requestsIdleMs - requestsHoldMs, () => {
        this.ofKeys.delete(key);
        this.release(id);
      });
      this.ofKeys.set(key, { id, timer });
    });
  }

  /**
   * A source has gone; most that go were none. Others may feed what it fed at once, or behind what of it
   * still waits; that it is stale is told a part at a time.
   */
  release(id: number): void {
    const { sequencer, market } = this.recorder;
    const owner = this.clientOf(id) || id;
    this.clients.delete(id);
    const isWaiting = sequencer.isWaiting(id);
    if (!market.knows(id) && !isWaiting) return;
    if (!isWaiting) market.yield(id);
    const end = (out: MarketOutput): number => {
      market.yield(id);
      return market.release(id, out, RELEASED_AT_ONCE);
    };
    sequencer.act(end, undefined, id, owner);
  }

  stop(): void {
    for (const { timer } of this.ofKeys.values()) clearTimeout(timer);
  }
}

/**
 * Order entry by way of the sequencer: each command in its turn, each answer when journaled.
 * @param waitingMax the most commands that may wait for their answers
 */
export function createOrderStage({ market, sequencer }: Recorder, waitingMax: number): OrderStage {
  let names = 0;
  let waiting = 0;
  const inTurn = <T>(
    owner: string,
    act: (out: MarketOutput) => T,
    /** Whether it is to be done once more. */
    goesOn: (result: T) => boolean = () => false,
  ): Promise<T | Fault> =>
    new Promise((resolve) => {
      const refused = sequencer.refusal();
      if (refused !== undefined) {
        resolve(refused);
        return;
      }
      if (waiting >= waitingMax) {
        resolve(fault('overloaded', `${waiting} commands wait already; at most ${waitingMax} may`));
        return;
      }
      waiting += 1;
      let result: T;
      sequencer.act(
        (out) => {
          result = act(out);
          return goesOn(result) ? 1 : 0;
        },
        () => {
          waiting -= 1;
          resolve(result);
        },
        owner,
      );
    });
  const { router } = market;
  return {
    submit: (owner, fields) => {
      const { clientOrderId } = fields;
      if (clientOrderId.startsWith(OWN_NAMES)) {
        const expected = `a name that does not begin with ${OWN_NAMES}, as those of the server do`;
        return Promise.resolve(fieldFault('clientOrderId', clientOrderId, expected));
      }
      const name = clientOrderId || `${OWN_NAMES}${sequencer.epoch}-${++names}`;
      return inTurn(owner, (out) => router.submit(owner, { ...fields, clientOrderId: name }, out));
    },
    cancel: (owner, target) => inTurn(owner, (out) => router.cancel(owner, target, out)),
    amend: (owner, fields) => inTurn(owner, (out) => router.amend(owner, fields, out)),
    setState: (owner, symbol, state) => {
      const step = (out: MarketOutput): OrderOutcome | Fault =>
        router.setState(owner, symbol, state, out);
      return inTurn(owner, step, (done) => !('code' in done) && router.isInAuction(symbol));
    },
    cancelAll: (owner) => {
      if (router.clientOrders.knownOwner(owner) === undefined) {
        const expected = 'the name of a key that has entered orders';
        return Promise.resolve(fieldFault('owner', owner, expected));
      }
      const run = new OwnerCancels(router, owner);
      return inTurn(
        owner,
        (out) => run.step(out),
        () => !run.isDone,
      );
    },
    find: (orderId) => router.clientOrders.get(orderId),
    named: (owner, clientOrderId) => router.clientOrders.named(owner, clientOrderId),
    openOf: (owner, after, limit) => router.clientOrders.openOf(owner, after, limit),
    endedOf: (owner, before, limit) => router.clientOrders.endedOf(owner, before, limit),
    definition: (symbol) => market.get(symbol)?.definition,
  };
}

/** Cancels in one step of those that end all that an owner has open. */
const CANCELLED_AT_ONCE = 32;

/** The end of all that an owner has open, some in each step; each as the owner itself would cancel it. */
class OwnerCancels {
  private readonly router: OrderRouter;
  private readonly owner: string;
  private orderIds: number[] | undefined;
  private cancelled = 0;
  private left = 0;
  private seq: number | null = null;

  constructor(router: OrderRouter, owner: string) {
    this.router = router;
    this.owner = owner;
  }

  get isDone(): boolean {
    return this.orderIds?.length === 0;
  }

  step(out: MarketOutput): OwnerCancelled {
    const { router, owner } = this;
    // The newest first, so that those of it that are taken out are at the end of the list.
    this.orderIds ??= router.clientOrders
      .openOf(owner, 0, Infinity)
      .map(({ orderId }) => orderId)
      .toReversed();
    for (const orderId of this.orderIds.splice(-CANCELLED_AT_ONCE)) {
      const done = router.cancel(owner, { symbol: null, orderId, clientOrderId: null }, out);
      if (!('code' in done)) {
        this.cancelled += 1;
        this.seq = done.seq;
      } else if (done.code !== 'unknown-order') {
        this.left += 1; // an auction is under way there
      }
    }
    return { cancelled: this.cancelled, left: this.left, seq: this.seq };
  }
}

/** Goes on with the auctions that were under way when the server stopped, a command at a time. */
export function finishAuctions({
  market,
  sequencer,
}: Pick<Recorder, 'market' | 'sequencer'>): void {
  const { router } = market;
  for (const { definition } of market.all()) {
    const { symbol } = definition;
    if (!router.isInAuction(symbol)) continue;
    sequencer.act((out) => {
      router.setState('', symbol, 'open', out);
      return router.isInAuction(symbol) ? 1 : 0;
    });
  }
}
