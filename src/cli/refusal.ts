/** Refusal: what a command says of topics and symbols that are none. */

import { closest, distance } from 'fastest-levenshtein';

import { parseTopic, topicFault } from '../../protocol/topics';
import { StartFault } from '../base/start-fault';
import { TapedeckError } from '../client/errors';
import { fetchSymbols } from '../client/rest';
import { clientFault } from './failure';
import { hintOf } from './hints';

/** Symbols that are named in one hint. */
const NAMED_MAX = 8;

/** The first text that is no topic, and which part of it is at fault; no server need be asked. */
export function topicsFault(texts: readonly string[]): StartFault | undefined {
  const wrong = texts.find((text) => parseTopic(text) === undefined);
  if (wrong === undefined) return undefined;
  const { code, message } = topicFault(wrong, 'the topic');
  return new StartFault('bad-usage', `${message} (${code})`, hintOf(code, null));
}

/**
 * Why the server refuses a command that was about some symbols; of an unknown one, with those that it has.
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
