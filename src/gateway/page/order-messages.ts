/** Order messages: texts of the ticket that explain why an order was refused. */

import {
  formatDecimal,
  parseDecimal,
  type Instrument,
  type TapedeckError,
} from '../../client/index';

/** Content of the ticket's fields. */
export interface Ticket {
  readonly side: 'buy' | 'sell';
  readonly kind: 'limit' | 'market';
  readonly price: string;
  readonly quantity: string;
}

/** What is wrong with the fields; undefined if they are valid. */
export function ticketFault({ kind, price, quantity }: Ticket, d: Instrument): string | undefined {
  const amounts = [['Quantity', quantity, d.quantityScale, d.quantityIncrement]] as const;
  const limits = [['Price', price, d.priceScale, d.priceIncrement]] as const;
  for (const [name, text, scale, step] of kind === 'limit' ? [...amounts, ...limits] : amounts) {
    const wrong = amountFault(text, scale, step, d.symbol);
    if (wrong !== undefined) return `${name}: ${wrong}`;
  }
  return undefined;
}

function amountFault(
  text: string,
  scale: number,
  step: number,
  symbol: string,
): string | undefined {
  const steps = formatDecimal(step, scale);
  if (text === '') return `no number is given. Enter one such as ${steps}.`;
  const read = parseDecimal(text, scale);
  const given = text.slice(0, 30);
  if (read === 'malformed') {
    const comma = text.includes(',') ? ' Use a point for decimals, and no commas.' : '';
    return `“${given}” is not a number. Enter one such as ${steps}.${comma}`;
  }
  if (read === 'too-many-decimals') {
    const most = scale === 0 ? 'none' : `at most ${scale}`;
    return `${given} has too many decimals; ${symbol} accepts ${most}. The smallest step is ${steps}.`;
  }
  if (read === 'out-of-range') {
    const most = formatDecimal(Number.MAX_SAFE_INTEGER, scale);
    return `${given} is too large. ${symbol} can hold at most ${most}.`;
  }
  if (read <= 0) return `${given} is not above zero.`;
  if (read % step !== 0) return `${given} is not a multiple of ${steps}, the step of ${symbol}.`;
  return undefined;
}

type Say = (ticket: Ticket, definition: Instrument) => string;

const priceOf = (scaled: number | undefined, { priceScale }: Instrument): string =>
  scaled === undefined ? 'the limit' : formatDecimal(scaled, priceScale);
const quantityOf = (scaled: number | undefined, { quantityScale }: Instrument): string =>
  scaled === undefined ? 'the limit' : formatDecimal(scaled, quantityScale);
const offPrice: Say = ({ price }, d) =>
  `Price: ${price} is not a multiple of ${priceOf(d.priceIncrement, d)}, the step of ${d.symbol}.`;
const offQuantity: Say = ({ quantity }, d) =>
  `Quantity: ${quantity} is not a multiple of ${quantityOf(d.quantityIncrement, d)}, the step of ${d.symbol}.`;
const tooMuch: Say = ({ quantity }, d) =>
  `Quantity: ${quantity} is too much together with the orders of ${d.symbol} at that price. Enter less.`;

/** Texts by the code of the refusal. */
const WORDS: Readonly<Record<string, Say>> = {
  'off-increment': offQuantity,
  'quantity-off-increment': offQuantity,
  'price-off-increment': offPrice,
  'invalid-quantity': () => 'Quantity: enter a number above zero.',
  'quantity-below-minimum': ({ quantity }, d) =>
    `Quantity: ${quantity} is less than ${quantityOf(d.rules?.quantityMin, d)}, the smallest order of ${d.symbol}.`,
  'quantity-above-maximum': ({ quantity }, d) =>
    `Quantity: ${quantity} is more than ${quantityOf(d.rules?.quantityMax, d)}, the largest order of ${d.symbol}.`,
  'invalid-price': () => 'Price: a limit order needs a price above zero.',
  'price-outside-band': ({ price }, d) =>
    `Price: ${price} is outside ${priceOf(d.rules?.priceMin, d)} to ${priceOf(d.rules?.priceMax, d)}, which ${d.symbol} allows.`,
  'out-of-range': () => 'Price and quantity together are too large. Enter less.',
  'resting-overflow': tooMuch,
  'volume-overflow': tooMuch,
  'would-cross': () => 'The order would trade at once, which it must not. Use another price.',
  'market-closed': (_, { symbol }) => `${symbol} is closed. Orders are accepted when it opens.`,
  'market-halted': (_, { symbol }) =>
    `${symbol} is halted. Orders are accepted when it opens again.`,
  'auction-under-way': (_, { symbol }) => `${symbol} is opening. Try again in a moment.`,
  'not-in-pre-open': (_, { symbol }) =>
    `${symbol} is not open yet. Before the opening it accepts limit orders only.`,
  'invalid-combination': () => 'This kind of order is not accepted in the present state.',
  'wrong-market': (_, { symbol }) => `${symbol} is a feed and accepts no orders.`,
  'unknown-symbol': (_, { symbol }) => `The server no longer has ${symbol}. Reload the page.`,
  'too-many-orders': () => 'You have as many open orders as you may. Cancel some first.',
  'limit-reached': () => 'Too many orders in a short time. Wait a moment and try again.',
  'book-full': (_, { symbol }) => `The book of ${symbol} is full. Try again later.`,
  'overloaded': () => 'The server is busy. Try again in a moment.',
  'journal-failing': () =>
    'The server cannot store orders now, so it accepts none. Try again later.',
  'no-leader': () => 'No server takes orders now; another takes over within seconds. Try again.',
  'unknown-outcome': () =>
    'Whether the order was accepted is not known. Check your open orders before you try again.',
  'shutting-down': () => 'The server is stopping. Try again when it is back.',
  'unauthorized': () => 'The key is not accepted. Enter another one.',
  'forbidden': (_, { symbol }) => `The key may not trade ${symbol}. Use one that may.`,
  'unknown-order': () => 'The order is no longer open: it has traded or ended.',
  'connection-failed': () =>
    'The connection ended before the answer arrived. Check your open orders before you try again.',
};

/** Text of a refusal for the user who filled in the ticket. */
export function refusalMessage(
  { code, message, hint }: TapedeckError,
  ticket: Ticket,
  definition: Instrument,
): string {
  const words = WORDS[code];
  if (words !== undefined) return words(ticket, definition);
  return hint === null ? `${message}.` : `${message}. ${hint}`;
}
