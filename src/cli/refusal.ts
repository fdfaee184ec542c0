/** Refusal: what a command reports about invalid topics and unknown symbols. */

import { closest, distance } from 'fastest-levenshtein';

import { parseTopic, topicFault } from '../../protocol/topics';
import { StartFault } from '../base/start-fault';
import { TapedeckError } from '../client/errors';
import { fetchSymbols } from '../client/rest';
import { clientFault } from './failure';
import { hintOf } from './hints';

/** Most symbols named in one hint. */
const NAMED_MAX = 8;

/** The first text that is not a topic, and its faulty part; found without a server. */
export function topicsFault(texts: readonly string[]): StartFault | undefined {
  const wrong = texts.find((text) => parseTopic(text) === undefined);
  if (wrong === undefined) return undefined;
  const { code, message } = topicFault(wrong, 'the topic');
  return new StartFault('bad-usage', `${message} (${code})`, hintOf(code, null));
}

/**
 * Why the server refuses a command about some symbols; for an unknown one, with the symbols that it has.
 * @param symbolOf the symbol at fault, from the field that the server names
 */
export async function refusal(
  e: unknown,
  symbolOf: (field: string | null) => string | undefined,
  url: string,
  key?: string,
): Promise<StartFault> {
  const symbol =
    e instanceof TapedeckError && e.code === 'unknown-symbol' ? symbolOf(e.field) : undefined;
  if (symbol === undefined) return clientFault(e);
  const known = await fetchSymbols(url, key).catch(() => undefined);
  if (known === undefined) return clientFault(e);
  const message = `no instrument is named ${symbol} (unknown-symbol)`;
  return new StartFault('refused', message, hintOfSymbol(symbol, known));
}

function hintOfSymbol(symbol: string, known: readonly string[]): string {
  if (known.length === 0) return 'The server has no instrument yet.';
  const near = closest(symbol.toUpperCase(), known);
  const isNear = distance(symbol.toUpperCase(), near.toUpperCase()) <= near.length / 2;
  const more = known.length > NAMED_MAX ? `, and ${known.length - NAMED_MAX} more` : '';
  const all = `It has ${known.slice(0, NAMED_MAX).join(', ')}${more}.`;
  return isNear ? `The nearest is ${near}. ${all}` : all;
}
