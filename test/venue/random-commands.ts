/**
 * Random definitions and commands for the oracle: small price ranges, so that orders meet; few owners, so that they
 * meet their own orders; tight limits; sometimes quantities near 2^53 and invalid values.
 */

import type { Prng } from '../../src/base/prng';
import type { VenueCommand } from '../../src/market/venue/commands';
import type { VenueDefinition } from '../../src/market/venue/definition';
import {
  BUY,
  FOK,
  GTC,
  IOC,
  LIMIT,
  MARKET,
  OPEN,
  SELL,
  SELF_TRADE_NAMES,
  STATE_NAMES,
  type Side,
  type VenueState,
} from '../../src/market/venue/constants';

const OWNERS = 6;
const MAX = Number.MAX_SAFE_INTEGER;

/** The parameters of one run of commands. */
export interface Profile {
  readonly definition: VenueDefinition;
  /** Share of quantities near 2^53 − 1. */
  readonly huge: number;
  readonly cancels: number;
  readonly amends: number;
  readonly states: number;
  readonly nonsense: number;
  /** Share of limit orders that fall on their own half of the range. */
  readonly apart: number;
  /** Price levels on which limit orders fall. */
  readonly levels: number;
  /** The limit of fills that commands carry; undefined: none. */
  readonly fillsMax: number | undefined;
}

export function randomProfile(random: Prng): Profile {
  const priceIncrement = pick(random, [1, 5, 25]);
  const quantityIncrement = pick(random, [1, 1, 10]);
  const levels = pick(random, [4, 12, 40, 400]);
  const base = pick(random, [1, 1000, 2 ** 40]) * priceIncrement;
  const huge = random.chance(0.2) ? 0.2 : 0;
  const referencePrice = base + random.int(0, levels) * priceIncrement;
  return {
    definition: {
      priceIncrement,
      quantityIncrement,
      quantityMin: quantityIncrement * pick(random, [1, 2]),
      quantityMax: huge > 0 ? MAX : quantityIncrement * 1000,
      priceMin: base,
      priceMax: base + (levels - 1) * priceIncrement,
      ordersPerOwnerMax: pick(random, [3, 20, 100]),
      ordersMax: pick(random, [10, 60, 400]),
      selfTrade: pick(random, SELF_TRADE_NAMES),
      referencePrice: random.chance(0.5) ? referencePrice : null,
      initialState: pick(random, ['open', 'pre-open', ...STATE_NAMES]),
    },
    huge,
    cancels: pick(random, [0.02, 0.15, 0.35]),
    amends: pick(random, [0.05, 0.2]),
    states: pick(random, [0.002, 0.03, 0.1]),
    nonsense: pick(random, [0, 0.02, 0.1]),
    apart: pick(random, [0, 0.7, 0.95]),
    levels,
    fillsMax: pick(random, [undefined, undefined, 1, 2, 5]),
  };
}

/**
 * @param newestId the newest order id so far
 * @param resting ids of the resting orders
 */
export function randomCommand(
  profile: Profile,
  newestId: number,
  resting: readonly number[],
  random: Prng,
): VenueCommand {
  const command = drawCommand(profile, newestId, resting, random);
  const { fillsMax } = profile;
  return fillsMax === undefined || command.type === 'cancel' ? command : { ...command, fillsMax };
}

function drawCommand(
  profile: Profile,
  newestId: number,
  resting: readonly number[],
  random: Prng,
): VenueCommand {
  const draw = random.unit();
  const { states, cancels, amends } = profile;
  const owner = random.int(0, OWNERS - 1);
  if (draw < states) {
    return { type: 'state', state: random.chance(0.7) ? OPEN : (random.int(0, 3) as VenueState) };
  }
  const known = resting.length > 0 && random.chance(0.8);
  const any = known ? pick(random, resting) : random.int(0, newestId + 1);
  const orderId = random.chance(profile.nonsense / 4) ? nonsense(any, random) : any;
  if (draw < states + cancels) return { type: 'cancel', owner, orderId };
  if (draw < states + cancels + amends) {
    const price = randomPrice(profile, random);
    return { type: 'amend', owner, orderId, price, quantity: randomQuantity(profile, random) };
  }
  return randomOrder(profile, owner, random);
}

/** Like `randomCommand`, but a cancel or an amendment comes from the owner of the order, as most do. */
export function byOwner(command: VenueCommand, owner: number | undefined): VenueCommand {
  if (owner === undefined || command.type === 'state' || command.type === 'submit') return command;
  return { ...command, owner };
}

function randomOrder(profile: Profile, owner: number, random: Prng): VenueCommand {
  const kind = random.chance(0.1) ? MARKET : LIMIT;
  const usual =
    kind === MARKET ? pick(random, [IOC, FOK]) : pick(random, [GTC, GTC, GTC, IOC, FOK]);
  const timeInForce = random.chance(profile.nonsense) ? random.int(0, 2) : usual;
  const postOnly = random.chance(kind === LIMIT && timeInForce === GTC ? 0.15 : profile.nonsense);
  const price =
    kind === MARKET && !random.chance(profile.nonsense) ? 0 : randomPrice(profile, random);
  const side = random.int(0, 1) as Side;
  const quantity = randomQuantity(profile, random);
  return { type: 'submit', owner, side, kind, timeInForce, postOnly, price, quantity };
}

/** @param side draws from its half of the range only, so that orders rest */
function randomPrice(profile: Profile, random: Prng, side?: Side): number {
  if (random.chance(profile.nonsense)) return nonsense(profile.definition.priceMin, random);
  const { priceMin, priceIncrement } = profile.definition;
  const last = profile.levels - 1;
  const middle = last >> 1;
  const step = random.int(side === SELL ? middle : 0, side === BUY ? middle : last);
  return priceMin + step * priceIncrement;
}

function randomQuantity(profile: Profile, random: Prng): number {
  const { quantityIncrement } = profile.definition;
  if (random.chance(profile.nonsense)) return nonsense(quantityIncrement, random);
  if (random.chance(profile.huge)) {
    const huge = Math.floor(MAX / pick(random, [1, 2, 3, 10]));
    return huge - (huge % quantityIncrement);
  }
  return quantityIncrement * random.int(1, random.chance(0.2) ? 40 : 8);
}

function nonsense(near: number, random: Prng): number {
  return pick(random, [0, -1, -near, near + 0.5, near + 1, near - 1, MAX, MAX + 1, NaN, Infinity]);
}

function pick<T>(random: Prng, from: readonly T[]): T {
  return from[random.int(0, from.length - 1)]!;
}
