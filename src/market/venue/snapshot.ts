/**
 * Snapshot: a venue's whole state as bytes (the canonical sequence, 40 bytes an order), and back.
 *
 * A snapshot that is read may be damaged or of another version; that is an expected failure, and the result says what
 * is wrong. A state that a venue could not have written is refused.
 */

import { reaches } from './auction';
import {
  VERSION_IN_AUCTION,
  writeCanonical,
  type CanonicalSink,
  type VenueCounters,
} from './canonical';
import { OWNER_MAX, type VenueDefinition } from './definition';
import { OrderBook } from './order-book';
import { BUY, OPEN, SELL, STATE_NAMES, type Side } from './constants';

const NUMBER_BYTES = 8;
const HEADER_NUMBERS = 7;
/** An old version with the sum of all traded quantities behind the next trade id; the sum is ignored. */
const VERSION_WITH_VOLUME = 1;
const ORDER_NUMBERS = 5;
const WORD = 4_294_967_296;

export function encodeSnapshot(
  counters: Readonly<VenueCounters>,
  book: OrderBook,
): Uint8Array<ArrayBuffer> {
  const header = HEADER_NUMBERS + (counters.auctionPrice === 0 ? 0 : 1);
  const bytes = new Uint8Array((header + book.count * ORDER_NUMBERS) * NUMBER_BYTES);
  writeCanonical(counters, book, new ByteSink(bytes));
  return bytes;
}

/** @returns the content of the snapshot, or a text that says why it is invalid */
export function decodeSnapshot(
  bytes: Uint8Array,
  definition: VenueDefinition,
): { counters: VenueCounters; book: OrderBook } | string {
  const source = new ByteSource(bytes);
  const version = source.number();
  if (version < VERSION_WITH_VOLUME || version > VERSION_IN_AUCTION) {
    return `version is ${version}; expected ${VERSION_WITH_VOLUME} to ${VERSION_IN_AUCTION}`;
  }
  const counters: VenueCounters = {
    state: source.number(),
    nextOrderId: source.number(),
    nextTradeId: source.number(),
    lastPrice: 0,
    auctionPrice: 0,
  };
  if (version === VERSION_WITH_VOLUME) source.number();
  counters.lastPrice = source.number();
  if (version === VERSION_IN_AUCTION) counters.auctionPrice = source.number();
  const book = new OrderBook();
  const wrong =
    readSide(source, BUY, counters.nextOrderId, definition, book) ??
    readSide(source, SELL, counters.nextOrderId, definition, book);
  if (wrong !== undefined) return wrong;
  if (!source.isExact) return `it is ${bytes.length} bytes long, not ${source.length}`;
  if (counters.state >= STATE_NAMES.length) return `state is ${counters.state}`;
  if (counters.nextOrderId < 1 || counters.nextTradeId < 1) return 'an id is not positive';
  if (counters.state === OPEN && isCrossed(book)) return 'the book is open and crossed';
  if (version === VERSION_IN_AUCTION && !mayGoOn(counters, book)) {
    return `there is no auction at ${counters.auctionPrice}`;
  }
  return { counters, book };
}

/** Whether the best bid and the best ask could trade. */
export function isCrossed(book: OrderBook): boolean {
  const { bids, asks } = book;
  return bids.count > 0 && asks.count > 0 && bids.bestPrice >= asks.bestPrice;
}

/** Whether an auction at this price is unfinished. */
function mayGoOn({ state, auctionPrice }: VenueCounters, book: OrderBook): boolean {
  return state !== OPEN && auctionPrice > 0 && reaches(book, auctionPrice);
}

function readSide(
  source: ByteSource,
  side: Side,
  nextOrderId: number,
  definition: VenueDefinition,
  book: OrderBook,
): string | undefined {
  const ladder = book.ladder(side);
  const orders = source.number();
  let lastKey = Infinity;
  for (let i = 0; i < orders; i++) {
    const id = source.number();
    const owner = source.number();
    const price = source.number();
    const quantity = source.number();
    const postOnly = source.number();
    if (source.isShort) return 'it ends too early';
    const at = `order ${i} of the ${side === BUY ? 'bids' : 'asks'}`;
    if (id < 1 || id >= nextOrderId || book.find(id) !== -1) return `${at} has the id ${id}`;
    if (owner > OWNER_MAX) return `${at} has the owner ${owner}`;
    const key = price * ladder.sign;
    if (price < 1 || key > lastKey || price % definition.priceIncrement !== 0) {
      return `${at} has the price ${price}`;
    }
    if (quantity % definition.quantityIncrement !== 0) return `${at} is off the increment`;
    if (quantity < 1 || ladder.sum > Number.MAX_SAFE_INTEGER - quantity) {
      return `${at} has the quantity ${quantity}`;
    }
    if (postOnly > 1) return `${at} has the flags ${postOnly}`;
    lastKey = key;
    book.add(id, owner, side, price, quantity, postOnly === 1);
  }
  return undefined;
}

class ByteSink implements CanonicalSink {
  private readonly view: DataView;
  private at = 0;

  constructor(bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  number(value: number): void {
    this.view.setInt32(this.at, value | 0, true);
    this.view.setInt32(this.at + 4, Math.floor(value / WORD) | 0, true);
    this.at += NUMBER_BYTES;
  }
}

/** Past the end, or out of range, it returns a value that no check accepts. */
class ByteSource {
  private readonly view: DataView;
  private at = 0;
  isShort = false;

  constructor(bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get length(): number {
    return this.at;
  }

  get isExact(): boolean {
    return !this.isShort && this.at === this.view.byteLength;
  }

  number(): number {
    if (this.at + NUMBER_BYTES > this.view.byteLength) {
      this.isShort = true;
      return 0;
    }
    const high = this.view.getUint32(this.at + 4, true);
    const low = this.view.getUint32(this.at, true);
    this.at += NUMBER_BYTES;
    if (high > 0x1f_ffff) this.isShort = true;
    return high * WORD + low;
  }
}
