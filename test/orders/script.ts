/**
 * Scripts: random commands of several owners over two venues and a feed, as data, so that a script can be given to
 * any number of markets. Ids are guessed among the newest, so some are wrong, foreign or ended.
 */

import type { Fault } from '../../protocol/codes';
import type { SourceEvent } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { Prng } from '../../src/base/prng';
import { writeFills } from '../../src/market/fills';
import type { Market } from '../../src/market/market';
import type { AmendRequest, OrderDone, OrderRequest } from '../../src/market/order-router';
import { VENUES_MAX } from '../../src/market/venue-instrument';
import type { Sequencer } from '../../src/sequencer/sequencer';
import { feed, venue } from './market-run';

export const OWNERS = ['ada', 'bob', 'cyd', 'dan', 'eve'] as const;
export const VENUES = ['ACME', 'BETA'] as const;
export const DEFINITIONS = [
  venue('ACME', { ordersPerOwnerMax: 40, priceMin: 80, priceMax: 120 }),
  venue('BETA', { selfTrade: 'cancel-oldest', referencePrice: 1_000, quantityMax: 50 }),
  feed('FEED'),
];

export type Step =
  | { readonly do: 'submit'; readonly owner: string; readonly order: OrderRequest }
  | { readonly do: 'cancel' | 'amend'; readonly owner: string; readonly change: AmendRequest }
  | { readonly do: 'state'; readonly symbol: string; readonly state: (typeof STATES)[number] }
  | { readonly do: 'feed'; readonly events: readonly SourceEvent[] };

const STATES = ['pre-open', 'open', 'open', 'open', 'halted', 'closed'] as const;

/** @param feeds whether a source sends between the commands */
export function randomScript(seed: number, length: number, feeds: boolean): Step[] {
  const random = new Prng(seed);
  const script: Step[] = [];
  let names = 0;
  let seq = 0;
  for (let i = 0; i < length; i++) {
    const draw = random.unit();
    const owner = pick(random, OWNERS);
    if (draw < 0.02) {
      script.push({ do: 'state', symbol: pick(random, VENUES), state: pick(random, STATES) });
      // A market that stays closed proves nothing.
      if (random.chance(0.6)) {
        for (const symbol of VENUES) script.push({ do: 'state', symbol, state: 'open' });
      }
    } else if (draw < 0.1 && feeds) {
      script.push({ do: 'feed', events: feedEvents(random, ++seq) });
    } else if (draw < 0.35) {
      const amends = random.chance(0.4);
      const change = randomTarget(random, i, names, amends);
      script.push({ do: amends ? 'amend' : 'cancel', owner, change });
    } else {
      const named = random.chance(0.7);
      if (named && random.chance(0.92)) names += 1;
      script.push({ do: 'submit', owner, order: randomOrder(random, named ? names : 0) });
    }
  }
  return script;
}

function randomOrder(random: Prng, name: number): OrderRequest {
  const symbol = pick(random, VENUES);
  const market = random.chance(0.08);
  return {
    clientOrderId: name === 0 ? '' : `n${name}`,
    symbol,
    side: random.chance(0.5) ? 'buy' : 'sell',
    kind: market ? 'market' : 'limit',
    timeInForce: market || random.chance(0.15) ? pick(random, ['ioc', 'fok'] as const) : 'gtc',
    postOnly: random.chance(0.1),
    price: market ? null : randomPrice(random, symbol),
    quantity: random.int(random.chance(0.02) ? 0 : 1, random.chance(0.1) ? 60 : 12),
  };
}

function randomPrice(random: Prng, symbol: string): number {
  const middle = symbol === 'ACME' ? 100 : 1_000;
  return middle + random.int(-25, 25);
}

function randomTarget(random: Prng, step: number, names: number, amends: boolean): AmendRequest {
  const symbol = pick(random, VENUES);
  const own = random.int(1, 2 + Math.floor(step / 3));
  const byName = random.chance(0.5);
  return {
    symbol: random.chance(0.9) ? symbol : null,
    orderId: byName ? null : own * VENUES_MAX + VENUES.indexOf(symbol),
    clientOrderId: byName ? `n${Math.max(1, names - random.int(0, 60))}` : null,
    price: amends && random.chance(0.6) ? randomPrice(random, symbol) : null,
    quantity: amends ? random.int(1, 15) : null,
  };
}

function feedEvents(random: Prng, seq: number): SourceEvent[] {
  const times = {
    symbol: 'FEED',
    eventTime: Nanos.fromSeconds(1_600_000_000 + seq, 0),
    receiveTime: Nanos.ZERO,
  };
  const bids = [99, random.int(1, 9), 98, random.int(0, 3)];
  return [
    {
      type: 'book',
      ...times,
      seq,
      prevSeq: seq - 1,
      form: seq === 1 ? 'snapshot' : 'delta',
      bids,
      asks: [101 + random.int(0, 2), random.int(1, 9)],
      crc: null,
      count: 1,
      mark: null,
    },
    {
      type: 'trade',
      ...times,
      seq,
      prevSeq: seq - 1,
      price: 100,
      quantity: random.int(1, 5),
      aggressor: 'buy',
      tradeId: seq,
      timing: null,
    },
  ];
}

export function pick<T>(random: Prng, from: readonly T[]): T {
  return from[random.int(0, from.length - 1)]!;
}

/** An answer in comparable form: for a fault its text, for an order its seq, id and first answer. */
export type Answer = string;

/** Puts a step into the next turn. */
export function execute(
  step: Step,
  market: Market,
  sequencer: Sequencer,
  answers: Answer[] = [],
): void {
  if (step.do === 'feed') {
    sequencer.submit(1, step.events, () => {});
    return;
  }
  sequencer.act((out) => {
    const { router } = market;
    const done =
      step.do === 'submit'
        ? router.submit(step.owner, step.order, out)
        : step.do === 'state'
          ? router.setState('admin', step.symbol, step.state, out)
          : step.do === 'cancel'
            ? router.cancel(step.owner, step.change, out)
            : router.amend(step.owner, step.change, out);
    answers.push(answerOf(done));
  });
}

export function answerOf(done: OrderDone | Fault): Answer {
  if ('code' in done) return `${done.code}: ${done.message}`;
  const { seq, orderId, order } = done;
  const { fills = null, ...answer } = order?.answer ?? {};
  return JSON.stringify([seq, orderId, order === undefined ? null : answer, writeFills(fills)]);
}
