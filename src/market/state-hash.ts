/**
 * State hash of a market: sixteen hexadecimal digits that are equal if two markets are in the same state, however they
 * reached it (live, from a checkpoint, from all records).
 *
 * It is the beginning of the SHA-256 of these lines in UTF-8, each ended by a line feed:
 *
 *     tapedeck-state 1
 *     status SEQ                          newest seq of the topic status; 0 before the first
 *     for each instrument, by symbol in the order of its bytes:
 *       definition, newest tick, newest bbo, book, if they exist, each a line of compact JSON in
 *         the form of protocol/README.md, fields in wire order. The book is a message of form
 *         "snapshot" with the ten levels as published, or "incomplete" without any; prevSeq 0, crc null
 *       heads TICK TRADE BBO BOOK         newest seq of each topic; 0 before the first
 *       deleted                           if an operator has deleted it
 *       venue HASH                        for a venue: the state hash of its engine (venue/state-hash.ts)
 *
 * It leaves out what readers cannot see. For a feed that is the book behind the tenth level, which the journal does not
 * have, and its state and marks (null here), which differ after a restart. Ended orders are left out too, since a
 * setting bounds how many are kept.
 */

import { toJsonText } from '../../protocol/json-text';
import type { FeedInstrument } from './feed-instrument';
import type { Market } from './market';
import { isDeleted } from './deletions';
import { VenueInstrument } from './venue-instrument';

const DIGITS = 16;

/** Call it between batches. */
export function stateHash(market: Market): string {
  const hash = new Bun.CryptoHasher('sha256');
  hash.update(`tapedeck-state 1\nstatus ${market.newestStatus}\n`);
  // Symbols are ASCII, so the order of UTF-16 units is that of bytes.
  const bySymbol = [...market.all(), ...market.deleted()].toSorted((a, b) =>
    a.definition.symbol < b.definition.symbol ? -1 : 1,
  );
  for (const instrument of bySymbol) updateWith(hash, instrument);
  return hash.digest('hex').slice(0, DIGITS);
}

/** The hash of one instrument, of the same lines. */
export function instrumentHash(instrument: FeedInstrument | VenueInstrument): string {
  const hash = new Bun.CryptoHasher('sha256');
  updateWith(hash, instrument);
  return hash.digest('hex').slice(0, DIGITS);
}

function updateWith(hash: Bun.CryptoHasher, instrument: FeedInstrument | VenueInstrument): void {
  const { definition, heads } = instrument.head();
  for (const event of instrument.newest()) {
    const unmarked = 'mark' in event ? { ...event, mark: null } : event;
    hash.update(`${toJsonText(unmarked, () => definition)}\n`);
  }
  hash.update(`heads ${heads.tick} ${heads.trade} ${heads.bbo} ${heads.book}\n`);
  if (isDeleted(instrument)) hash.update('deleted\n');
  if (instrument instanceof VenueInstrument) hash.update(`venue ${instrument.stateHash()}\n`);
}
