/**
 * Query: reads the parameters of a request by the schemas of its route.
 *
 * A parameter that the route does not declare is refused with the nearest name, and so is one that is
 * given twice: the client would misunderstand an answer that ignored it.
 */

import { Type, type TProperties, type TSchema } from '@sinclair/typebox';

import { fault, fieldFault, shown, type Fault } from '../../../protocol/codes';
import { Nanos, parseTime } from '../../../protocol/time';
import { timeUnitFault } from '../../../protocol/time-unit';
import { nearest } from '../../base/nearest';
import type { LimitName, ParameterLimits } from './parameters';

/** The parameters of a request; those that it left out have their default or are undefined. */
export interface Parameters {
  readonly values: Readonly<Record<string, unknown>>;
}

/** Parameters that had another name before 0.2. */
const RENAMED: ReadonlyMap<string, string> = new Map([
  ['before', 'next'],
  ['cursor', 'next'],
  ['after', 'next'],
]);

const FIELD_LENGTH_MAX = 80;
/** A longer query is refused unread: to split it takes a core a few thousand times a second. */
const QUERY_LENGTH_MAX = 2_048;
const TIME = 'nanoseconds since 1970, or a time such as 2024-08-09T00:35:00.5Z';

/** Reads the text of one parameter; undefined: it is absent. */
type Read = (text: string | undefined) => unknown;

/**
 * A function that reads the query string of an address.
 * @param title of the route, for messages
 * @param schemas by the name of the parameter
 * @param limits the settings that bound parameters; looked up for each request
 */
export function queryReader(
  title: string,
  schemas: TProperties,
  limits: ParameterLimits,
): (url: string) => Parameters | Fault {
  const names = Object.keys(schemas);
  const read = recordReader(schemas, limits);
  const none = new Map<string, string>();
  const absent = read(none);
  return (url) => {
    const start = queryStart(url);
    if (start < 0) return absent;
    const given = givenIn(url, start, title, names);
    return 'code' in given ? given : read(given);
  };
}

/** A function that reads the parts of a path; undefined if all are texts, which handlers look up. */
export function paramsReader(
  schemas: TProperties,
  limits: ParameterLimits,
): ((params: Readonly<Record<string, string>>) => Parameters | Fault) | undefined {
  if (Object.values(schemas).every(isPlainText)) return undefined;
  const read = recordReader(schemas, limits);
  return (params) => read(new Map(Object.entries(params)));
}

function isPlainText(schema: TSchema): boolean {
  return schema['type'] === 'string' && !('enum' in schema) && !('x-read' in schema);
}

function recordReader(
  schemas: TProperties,
  limits: ParameterLimits,
): (given: ReadonlyMap<string, string>) => Parameters | Fault {
  const required = new Set(Type.Object(schemas).required);
  const readers = Object.entries(schemas).map(
    ([name, schema]) => [name, readerOf(name, schema, required.has(name), limits)] as const,
  );
  return (given) => {
    const values: Record<string, unknown> = {};
    for (const [name, read] of readers) {
      const value = read(given.get(name));
      if (isFault(value)) return value;
      values[name] = value;
    }
    return { values };
  };
}

/** The parameters of a query string, or the fault of the first that is unknown or given twice. */
function givenIn(
  url: string,
  start: number,
  title: string,
  names: readonly string[],
): ReadonlyMap<string, string> | Fault {
  const length = url.length - start;
  if (length > QUERY_LENGTH_MAX) {
    return fieldFault('query', `${length} characters`, `at most ${QUERY_LENGTH_MAX}`);
  }
  const given = new Map<string, string>();
  for (const [name, text] of new URLSearchParams(url.slice(start))) {
    if (!names.includes(name)) return unknownParameter(name, title, names);
    if (given.has(name)) {
      return fault('invalid-field', `${name} is given twice; expected once`, name);
    }
    given.set(name, text);
  }
  return given;
}

function readerOf(
  name: string,
  schema: TSchema,
  isRequired: boolean,
  limits: ParameterLimits,
): Read {
  const { 'x-field': field = name, 'default': otherwise } = schema as {
    'x-field'?: string;
  } & TSchema;
  const read = textReaderOf(field, schema, limits);
  return (text) => {
    if (text !== undefined) return read(text);
    return isRequired && otherwise === undefined
      ? fieldFault(field, undefined, expectedOf(schema, limits))
      : otherwise;
  };
}

function textReaderOf(
  field: string,
  schema: TSchema,
  limits: ParameterLimits,
): (text: string) => unknown {
  const wrong = (text: string): Fault => fieldFault(field, text, expectedOf(schema, limits));
  const kind = (schema['x-read'] as string | undefined) ?? String(schema['type']);
  switch (kind) {
    case 'time':
      return (text) => readTime(field, text) ?? wrong(text);
    case 'integer':
    case 'number':
      return (text) => {
        const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
        return value >= leastOf(schema) && value <= mostOf(schema, limits) ? value : wrong(text);
      };
    case 'boolean':
      return (text) => (text === 'true' ? true : text === 'false' ? false : wrong(text));
    default: {
      const values = schema['enum'] as readonly string[] | undefined;
      return (text) => (values === undefined || values.includes(text) ? text : wrong(text));
    }
  }
}

function leastOf(schema: TSchema): number {
  return (schema['minimum'] as number | undefined) ?? 0;
}

function mostOf(schema: TSchema, limits: ParameterLimits): number {
  const name = schema['x-limit'] as LimitName | undefined;
  if (name !== undefined) return limits[name];
  return (schema['maximum'] as number | undefined) ?? Number.MAX_SAFE_INTEGER;
}

/** What a fault says that was expected. */
function expectedOf(schema: TSchema, limits: ParameterLimits): string {
  const own = schema['x-expected'] as string | undefined;
  if (own !== undefined) return own;
  if (schema['x-read'] === 'time') return TIME;
  const values = schema['enum'] as readonly string[] | undefined;
  if (values !== undefined) {
    return values.length === 2 ? values.join(' or ') : `one of ${values.join(', ')}`;
  }
  if (schema['type'] === 'boolean') return 'true or false';
  return `an integer from ${leastOf(schema)} to ${mostOf(schema, limits)}`;
}

function readTime(field: string, text: string): Nanos | Fault | undefined {
  const time = parseTime(text);
  if (time === undefined) return undefined;
  // A calendar date is unambiguous; of digits the size has to show the unit.
  const isDigits = /^\d+$/.test(text) && time.compare(Nanos.ZERO) !== 0;
  return (isDigits ? timeUnitFault(field, time) : undefined) ?? time;
}

function unknownParameter(name: string, title: string, known: readonly string[]): Fault {
  const field = name.slice(0, FIELD_LENGTH_MAX).toWellFormed();
  const message = `${title} has no query parameter ${shown(name)}: ${meantBy(name, known)}`;
  return fault('invalid-field', message, field);
}

function meantBy(name: string, known: readonly string[]): string {
  if (known.length === 0) return 'it takes none';
  const renamed = RENAMED.get(name);
  const meant =
    renamed !== undefined && known.includes(renamed)
      ? `it is now ${renamed}`
      : `the nearest known one is ${nearest(name, known)}`;
  return `${meant}; it takes ${known.join(', ')}`;
}

/** Where the query begins in an address; -1 if there is none. */
function queryStart(url: string): number {
  // The Host header is part of the address and may hold anything.
  return url.indexOf('?', url.indexOf('/', 'http://'.length) + 1);
}

function isFault(value: unknown): value is Fault {
  return typeof value === 'object' && value !== null && 'code' in value;
}
