/**
 * Order tables: the files in fixtures/orders, which say in the words of a trader what is entered and what must
 * follow.
 *
 *     # comment, such as the rules that the table shows
 *     with selfTrade=cancel-oldest initialState=pre-open      (the definition, where it is not plain)
 *     > alice buy 5 @ 100 [ioc | fok | post-only]              (limit gtc, unless it says otherwise)
 *     > alice buy 5 market [ioc | fok | gtc]
 *     > alice amend #1 to 3 @ 100
 *     > alice cancel #1
 *     > state open
 *     > book                                                   (shows every level and its queue)
 *       what follows, one event a line
 *
 * Owners are any names; numbers may be written as 2^53-1, and 2^53-1-5 is five less.
 */

import type { VenueCommand } from '../../src/market/venue/commands';
import type { VenueDefinition } from '../../src/market/venue/definition';
import { REJECTIONS } from '../../src/market/venue/rejections';
import {
  BUY,
  KIND_NAMES,
  LIMIT,
  MARKET,
  REASON_NAMES,
  SELL,
  SIDE_NAMES,
  STATE_NAMES,
  TIME_IN_FORCE_NAMES,
  type Side,
  type VenueState,
} from '../../src/market/venue/constants';
import type { NaiveEvent, NaiveVenue } from '../support/naive-venue';

interface Step {
  readonly line: number;
  readonly text: string;
  /** Null: `book`. */
  readonly command: VenueCommand | null;
  readonly expected: string[];
}

export interface OrderTable {
  readonly definition: VenueDefinition;
  readonly owners: string[];
  readonly steps: Step[];
}

const PLAIN: VenueDefinition = {
  priceIncrement: 1,
  quantityIncrement: 1,
  quantityMin: 1,
  quantityMax: Number.MAX_SAFE_INTEGER,
  priceMin: 1,
  priceMax: Number.MAX_SAFE_INTEGER,
  ordersPerOwnerMax: 1000,
  ordersMax: 1000,
  selfTrade: 'cancel-newest',
  referencePrice: null,
  initialState: 'open',
};

/** @throws Error naming the line that is not understood */
export function parseOrderTable(text: string): OrderTable {
  let definition = PLAIN;
  const owners: string[] = [];
  const steps: Step[] = [];
  text.split('\n').forEach((raw, i) => {
    const line = raw.trim();
    if (line === '' || raw.startsWith('#')) return;
    if (raw.startsWith('with ')) definition = { ...definition, ...parseSettings(line) };
    else if (raw.startsWith('> ')) {
      const command = parseCommand(line.slice(2), owners, i + 1);
      steps.push({ line: i + 1, text: line.slice(2), command, expected: [] });
    } else if (raw.startsWith('  ') && steps.length > 0) steps.at(-1)!.expected.push(line);
    else throw new Error(`line ${i + 1} is not understood: ${raw}`);
  });
  return { definition, owners, steps };
}

function parseSettings(line: string): Partial<VenueDefinition> {
  const pairs = line
    .split(/\s+/)
    .slice(1)
    .map((pair) => pair.split('='));
  return Object.fromEntries(
    pairs.map(([name, value]) => {
      if (!Object.hasOwn(PLAIN, name!)) throw new Error(`no setting is named ${name}`);
      return [name!, /^[\d-]/.test(value!) ? parseNumber(value!) : value!];
    }),
  ) as Partial<VenueDefinition>;
}

function parseCommand(text: string, owners: string[], line: number): VenueCommand | null {
  if (text === 'book') return null;
  const words = text.split(/\s+/);
  const [who, verb] = words as [string, string];
  if (who === 'state')
    return { type: 'state', state: STATE_NAMES.indexOf(verb as never) as VenueState };
  if (!owners.includes(who)) owners.push(who);
  const owner = owners.indexOf(who);
  const orderId = Number(words[2]!.replace('#', ''));
  switch (verb) {
    case 'cancel':
      return { type: 'cancel', owner, orderId };
    case 'amend':
      return {
        type: 'amend',
        owner,
        orderId,
        quantity: parseNumber(words[4]!),
        price: parseNumber(words[6]!),
      };
    case 'buy':
    case 'sell':
      return parseOrder(owner, verb === 'buy' ? BUY : SELL, words);
    default:
      throw new Error(`line ${line}: ${verb} is no command`);
  }
}

function parseOrder(owner: number, side: Side, words: string[]): VenueCommand {
  const kind = words[3] === KIND_NAMES[MARKET] ? MARKET : LIMIT;
  const options = new Set(words.slice(kind === MARKET ? 4 : 5));
  const price = kind === MARKET ? 0 : parseNumber(words[4]!);
  const given = TIME_IN_FORCE_NAMES.findIndex((word) => options.has(word));
  return {
    type: 'submit',
    owner,
    side,
    kind,
    timeInForce: given >= 0 ? given : kind === MARKET ? 1 : 0,
    postOnly: options.has('post-only'),
    price,
    quantity: parseNumber(words[2]!),
  };
}

function parseNumber(text: string): number {
  const large = /^2\^53-1(?:-(\d+))?$/.exec(text);
  return large === null ? Number(text) : Number.MAX_SAFE_INTEGER - Number(large[1] ?? 0);
}

/** An event in the words of a trader. */
export function describeEvent([name, ...v]: NaiveEvent, owners: readonly string[]): string {
  switch (name) {
    case 'accepted':
      return `#${v[0]} accepted`;
    case 'rejected':
      return `rejected: ${REJECTIONS[v[0]!]!.code}`;
    case 'trade': {
      const buyer = `${owners[v[6]!]} #${v[4]} buys (${v[8]} open)`;
      const seller = `${owners[v[7]!]} #${v[5]} sells (${v[9]} open)`;
      const taker = v[3] === BUY || v[3] === SELL ? `${SIDE_NAMES[v[3]]} takes` : 'auction';
      return `trade ${v[0]}: ${v[2]} @ ${v[1]}, ${buyer}, ${seller}, ${taker}`;
    }
    case 'amended':
      return `#${v[0]} amended: ${v[4]} @ ${v[3]}, ${v[5] === 1 ? 'keeps' : 'loses'} its place`;
    case 'cancelled':
    case 'expired':
      return `#${v[0]} ${name}: ${v[3]} open, ${REASON_NAMES[v[4]!]}`;
    case 'levelChanged':
      return `${v[0] === BUY ? 'bid' : 'ask'} ${v[1]}: ${v[2] === 0 ? 'gone' : v[2]}`;
    case 'stateChanged':
      return `state ${STATE_NAMES[v[0]!]}`;
    default:
      throw new Error(`no event is named ${name}`);
  }
}

/** The whole book, best levels first. */
export function describeBook(venue: NaiveVenue, owners: readonly string[]): string[] {
  const lines: string[] = [];
  for (const side of [BUY, SELL]) {
    const levels = venue.levels(side);
    const queue = venue.queue(side);
    for (let i = 0; i < levels.length; i += 2) {
      const orders = queue
        .filter((o) => o.price === levels[i])
        .map((o) => `${owners[o.owner]} #${o.id} ${o.open}`);
      lines.push(`${side === BUY ? 'bid' : 'ask'} ${levels[i]}: ${orders.join(', ')}`);
    }
  }
  return lines.length === 0 ? ['empty'] : lines;
}
