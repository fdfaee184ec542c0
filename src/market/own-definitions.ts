/**
 * Own definitions: definitions by the operator, in the settings or over REST, and whether the market can accept them.
 * They bring no events, so no source has to feed their symbols. A venue keeps its rules.
 */

import { isDeepStrictEqual } from 'node:util';

import { fault, fieldFault, type Fault } from '../../protocol/codes';
import type { Instrument } from '../../protocol/messages';
import { foreignSymbol, tooManyInstruments, type EventFault, type FeedChecks } from './feed-checks';
import { venueDefinition } from './venue-instrument';
import { venueDefinitionFault } from './venue/definition';

/** The part of the market that is needed here. */
interface Defined {
  get(symbol: string): { readonly definition: Instrument } | undefined;
}

/** The first of these definitions that is invalid, and why. */
export function checkOwn(
  definitions: readonly Instrument[],
  market: Defined,
  checks: FeedChecks,
): EventFault | undefined {
  const added = new Set<string>();
  for (const [index, definition] of definitions.entries()) {
    const refused = faultOf(definition, added.size, market, checks);
    if (refused !== undefined) return { index, fault: refused };
    if (market.get(definition.symbol) === undefined) added.add(definition.symbol);
  }
  return undefined;
}

/** @param more instruments added before it */
function faultOf(
  definition: Instrument,
  more: number,
  market: Defined,
  checks: FeedChecks,
): Fault | undefined {
  const { symbol } = definition;
  const existing = market.get(symbol)?.definition;
  const isNew = existing === undefined && checks.known.get(symbol) === undefined;
  if (isNew && !checks.isOwn(symbol)) return foreignSymbol(symbol);
  if (existing === undefined && checks.isFull(more)) {
    return tooManyInstruments(checks.instrumentsMax);
  }
  if (definition.market === 'feed') {
    const operator = { source: 0, owner: '', isDecimal: false };
    return checks.admit(operator, [definition], false).check(1)?.fault;
  }
  if (checks.isHeld(symbol)) {
    const expected = 'a symbol that nobody else is defining';
    return fieldFault('symbol', symbol, expected, 'symbol-in-use');
  }
  const before = existing ?? checks.known.get(symbol)?.definition; // a deleted feed instrument keeps its definition
  if (before === undefined) {
    const wrong = venueDefinitionFault(venueDefinition(definition));
    return wrong === undefined ? undefined : fault('invalid-field', wrong);
  }
  // Definitions of earlier journals have no `shard`.
  const ignored = { seq: 0, shard: null };
  if (isDeepStrictEqual({ ...before, ...ignored }, { ...definition, ...ignored })) return undefined;
  const expected = 'the definition that the journal has of it; a venue keeps its rules';
  return fieldFault('symbol', symbol, expected, 'definition-conflict');
}
