/**
 * Query: what stands behind the question mark of a request. A route refuses parameters that it does not
 * know and those that are given twice, since whoever sent them would take the answer for another one.
 */

import { fault, fieldFault, shown, type Fault } from '../../../protocol/codes';
import { Nanos, parseTime } from '../../../protocol/time';
import { timeUnitFault } from '../../../protocol/time-unit';
import { nearest } from '../../base/nearest';
import { OPERATIONS } from './openapi-operations';

/** What a query string holds. */
export type Query = Readonly<Record<string, string | undefined>>;

/** The parameters of each route, by its method and path. */
const PARAMETERS: ReadonlyMap<string, readonly string[]> = new Map(
  OPERATIONS.map(({ method, path, parameters = [] }) => [
    `${method.toUpperCase()} ${path}`,
    parameters.filter((p) => p.in === 'query').map((p) => p.name),
  ]),
);

/** Names of before 0.2 and what they are called now. */
const RENAMED: ReadonlyMap<string, string> = new Map([
  ['before', 'next'],
  ['cursor', 'next'],
  ['after', 'next'],
]);

const FIELD_LENGTH_MAX = 80;
/** What is longer is not looked through: it takes a core a few thousand times a second. */
const QUERY_LENGTH_MAX = 2_048;

/** Where the query begins in an address; -1 where there is none. */
function queryStart(url: string): number {
  // The Host header stands in the address, and may hold anything.
  return url.indexOf('?', url.indexOf('/', 'http://'.length) + 1);
}

/** Whether an address has a query. */
export function hasQuery(url: string): boolean {
  return queryStart(url) >= 0;
}

/** The first parameter of a request that its route does not take, or that is given twice. */
export function queryFault(method: string, route: string, url: string): Fault | undefined {
  const start = queryStart(url);
  if (start < 0) return undefined;
  const length = url.length - start;
  if (length > QUERY_LENGTH_MAX) {
    return fieldFault('query', `${length} characters`, `at most ${QUERY_LENGTH_MAX}`);
  }
  const title = `${method === 'HEAD' ? 'GET' : method} ${route}`;
  const known = PARAMETERS.get(title) ?? [];
  const given = new Set<string>();
  for (const name of new URLSearchParams(url.slice(start)).keys()) {
    if (!known.includes(name)) return unknownParameter(name, title, known);
    if (given.has(name))
      return fault('invalid-field', `${name} is given twice; expected once`, name);
    given.add(name);
  }
  return undefined;
}

function unknownParameter(name: string, title: string, known: readonly string[]): Fault {
  const field = name.slice(0, FIELD_LENGTH_MAX).toWellFormed();
  const renamed = RENAMED.get(name);
  const isRenamed = renamed !== undefined && known.includes(renamed);
  const meant = known.length === 0 ? '' : isRenamed ? renamed : nearest(name, known);
  const expected =
    known.length === 0
      ? 'it takes none'
      : `${isRenamed ? 'it is now' : 'the nearest known one is'} ${meant}; it takes ${known.join(', ')}`;
  const message = `${title} has no query parameter ${shown(name)}: ${expected}`;
  return fault('invalid-field', message, field);
}

const TIME = 'nanoseconds since 1970, or a time such as 2024-08-09T00:35:00.5Z';

/** A time of a query; null when it is absent. */
export function readTime(field: string, text: string | undefined): Nanos | null | Fault {
  if (text === undefined) return null;
  const time = parseTime(text);
  if (time === undefined) return fieldFault(field, text, TIME);
  // A calendar says which moment it means; of digits the magnitude must.
  const isDigits = /^\d+$/.test(text) && time.compare(Nanos.ZERO) !== 0;
  return (isDigits ? timeUnitFault(field, time) : undefined) ?? time;
}

/** `from` and `to`; null without a bound. */
export function readRange(query: Query): { from: Nanos | null; to: Nanos | null } | Fault {
  const from = readTime('from', query['from']);
  if (from !== null && 'code' in from) return from;
  const to = readTime('to', query['to']);
  if (to !== null && 'code' in to) return to;
  if (from !== null && to !== null && from.compare(to) >= 0) {
    return fieldFault('to', query['to'], `a time after from (${from.toString()})`);
  }
  return { from, to };
}
