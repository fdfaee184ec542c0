/**
 * JSON form: one object a message, `type` first, decimals and times as strings. The form of the
 * subprotocol `tapedeck.v1.json`, of tapes and of REST. Decimals need the scales of the instrument
 * that the message names, so both directions need a look-up of instruments. This file reads; `json-text.ts`
 * writes.
 */

import { fault, fieldFault, type ErrorCode, type Fault } from './codes';
import type { Fields, FieldSpec } from './fields';
import { toJsonText } from './json-text';
import type { MessageDef } from './define';
import { messageByType, type Message } from './messages';
import { Nesting } from './nesting';
import { parseSum, type Sum } from './sums';
import { Nanos } from './time';
import { checkKind, checkList, checkScalar, FieldError, ofRequest, intFault } from './tuple';
import {
  formatDecimal,
  isSymbol,
  parseDecimal,
  SCALE_MAX,
  scalesKnown,
  type Scales,
  type ScalesOf,
} from './units';

/** A frame is one level around messages; these nest as deep as `reader.ts` allows. */
export const JSON_DEPTH_MAX = 7;

/** The JSON object of a message. @throws Error if it names an instrument without known scales */
export function toJson(message: Message, scalesOf: ScalesOf): Record<string, unknown> {
  return JSON.parse(toJsonText(message, scalesOf)) as Record<string, unknown>;
}

/** Flat scaled levels as pairs of decimal strings. */
export function formatLevels(levels: ArrayLike<number>, scales: Scales): [string, string][] {
  const pairs: [string, string][] = [];
  for (let i = 0; i + 1 < levels.length; i += 2) {
    pairs.push([
      formatDecimal(levels[i]!, scales.priceScale),
      formatDecimal(levels[i + 1]!, scales.quantityScale),
    ]);
  }
  return pairs;
}

/**
 * A message from a parsed JSON value, or its first fault.
 * A missing field of `optional` takes the value given there (tapes and publishers may omit what the server
 * fills in); any other missing field is a fault unless it is nullable.
 * @param ready lists of the message that were read before
 */
export function fromJson(
  value: unknown,
  scalesOf: ScalesOf,
  optional: Readonly<Record<string, unknown>> = {},
  ready?: Ready,
): Message | Fault {
  try {
    return readMessage(value, scalesOf, optional, '', undefined, ready);
  } catch (e) {
    if (!(e instanceof FieldError)) throw e;
    const { type, id } = (typeof value === 'object' ? (value ?? {}) : {}) as Record<
      string,
      unknown
    >;
    return ofRequest(e.fault, typeof type === 'string' ? messageByType(type) : undefined, id);
  }
}

/** Lists of a message that were read before, or what is wrong with them (json-parts.ts). */
export type Ready = ReadonlyMap<unknown, unknown>;

export function readMessage(
  value: unknown,
  scalesOf: ScalesOf,
  optional: Readonly<Record<string, unknown>>,
  path: string,
  kinds?: readonly string[],
  ready?: Ready,
): Message {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new FieldError(fieldFault(path || 'message', value, 'a JSON object with a type'));
  }
  const object = value as Record<string, unknown>;
  const def = typeof object['type'] === 'string' ? messageByType(object['type']) : undefined;
  if (def === undefined) {
    throw new FieldError({
      ...fieldFault(path ? `${path}.type` : 'type', object['type'], 'the type of a message'),
      code: 'unknown-message',
    });
  }
  // Checked before its fields: a type that is not allowed here is not parsed, so nothing nests.
  if (kinds !== undefined) checkKind(def.type, kinds, path);
  const where = path || def.type;
  const scales = scalesOfInput(def, object, scalesOf, where);
  const message = {
    type: def.type,
    ...readStruct(def.fields, object, { scales, scalesOf, optional, ready }, where),
  };
  return message as unknown as Message;
}

/** The values of fields from a parsed JSON object that has these alone. @throws FieldError */
export function readFields(
  fields: Fields,
  value: unknown,
  scales: Scales,
  path: string,
): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) {
    throw new FieldError(fieldFault(path, value, 'a JSON object'));
  }
  const object = value as Record<string, unknown>;
  const missing = Object.keys(fields).find((name) => !Object.hasOwn(object, name));
  if (missing !== undefined) {
    throw new FieldError(fieldFault(`${path}.${missing}`, undefined, 'a value'));
  }
  return readStruct(
    fields,
    object,
    { scales, scalesOf: () => scales, optional: {}, ready: undefined },
    path,
  );
}

interface Context {
  readonly scales: Scales | undefined;
  readonly scalesOf: ScalesOf;
  readonly optional: Readonly<Record<string, unknown>>;
  readonly ready: Ready | undefined;
}

const DECIMALS: ReadonlySet<string> = new Set(['price', 'quantity', 'sum', 'levels']);

/** Whether a message has scaled fields; others need no known instrument. */
function hasDecimals(fields: Fields): boolean {
  return Object.values(fields).some(({ spec }) => {
    const { type } = spec.type === 'nullable' ? spec.inner.spec : spec;
    return DECIMALS.has(type);
  });
}

function scalesOfInput(
  def: MessageDef,
  object: Record<string, unknown>,
  scalesOf: ScalesOf,
  path: string,
): Scales | undefined {
  if (def.type === 'instrument') {
    const scale = (name: string): number => {
      const n = object[name];
      if (typeof n === 'number' && Number.isInteger(n) && n >= 0 && n <= SCALE_MAX) return n;
      throw new FieldError(fieldFault(`${path}.${name}`, n, `an integer from 0 to ${SCALE_MAX}`));
    };
    return { priceScale: scale('priceScale'), quantityScale: scale('quantityScale') };
  }
  const symbol = object['symbol'];
  if (!isSymbol(symbol) || !hasDecimals(def.fields)) return undefined;
  const scales = scalesOf(symbol);
  if (scales === undefined) {
    throw new FieldError({
      ...fieldFault(`${path}.symbol`, symbol, 'the symbol of a defined instrument'),
      code: 'unknown-symbol',
    });
  }
  return scales;
}

function readStruct(
  fields: Fields,
  object: Record<string, unknown>,
  context: Context,
  path: string,
): Record<string, unknown> {
  const target: Record<string, unknown> = {};
  for (const name of Object.keys(fields)) {
    const given = Object.hasOwn(object, name) ? object[name] : undefined;
    if (given === undefined && Object.hasOwn(context.optional, name)) {
      target[name] = context.optional[name];
    } else {
      target[name] = decodeValue(fields[name]!.spec, given, context, `${path}.${name}`);
    }
  }
  return target;
}

function decodeValue(spec: FieldSpec, value: unknown, context: Context, path: string): unknown {
  switch (spec.type) {
    case 'nullable':
      return value === null || value === undefined
        ? null
        : decodeValue(spec.inner.spec, value, context, path);
    case 'int':
      return readInt(value, spec, path);
    case 'price':
      return readDecimal(value, scalesKnown(context.scales).priceScale, path);
    case 'quantity':
      return readQuantity(value, scalesKnown(context.scales), path);
    case 'sum':
      return readSum(value, scalesKnown(context.scales), path);
    case 'nanos':
      return readNanos(value, path);
    case 'enum':
      if (typeof value === 'string' && spec.values.includes(value)) return value;
      throw new FieldError(fieldFault(path, value, `one of ${spec.values.join(', ')}`));
    case 'levels':
      return (
        takeReady(value, context) ??
        readLevels(checkList(value, spec.levelsMax, path), scalesKnown(context.scales), path)
      );
    case 'list':
      return checkList(value, spec.lengthMax, path).map((item, i) =>
        decodeValue(spec.item.spec, item, context, `${path}[${i}]`),
      );
    case 'struct':
      if (typeof value !== 'object' || value === null) {
        throw new FieldError(fieldFault(path, value, 'a JSON object'));
      }
      return readStruct(spec.fields, value as Record<string, unknown>, context, path);
    case 'messages':
      return takeReady(value, context) ?? readMessages(value, spec, context, path);
    default:
      return checkScalar(spec, value, path);
  }
}

function readInt(value: unknown, { min, max }: { min: number; max: number }, path: string): number {
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) {
    return (value as number) + 0; // -0 is 0
  }
  throw new FieldError(intFault(path, value, min, max));
}

function readQuantity(value: unknown, { quantityScale }: Scales, path: string): number {
  const quantity = readDecimal(value, quantityScale, path);
  if (quantity >= 0) return quantity;
  throw new FieldError(fieldFault(path, value, 'a decimal string that is not negative'));
}

function readSum(value: unknown, { quantityScale }: Scales, path: string): Sum {
  const sum = typeof value === 'string' ? parseSum(value, quantityScale) : undefined;
  if (sum !== undefined) return sum;
  const expected = `a decimal string that is not negative (${quantityScale} decimals)`;
  throw new FieldError(fieldFault(path, value, expected));
}

function readNanos(value: unknown, path: string): Nanos {
  const time = typeof value === 'string' ? Nanos.parse(value) : undefined;
  if (time !== undefined) return time;
  throw new FieldError(fieldFault(path, value, 'a string of digits: nanoseconds since 1970'));
}

/** @throws FieldError if the result is a fault */
function takeReady(value: unknown, { ready }: Context): unknown {
  const found = ready?.get(value);
  if (found instanceof FieldError) throw found;
  return found;
}

function readMessages(
  value: unknown,
  spec: Extract<FieldSpec, { type: 'messages' }>,
  context: Context,
  path: string,
): Message[] {
  // Later events may use an instrument that an earlier event of the same message defines.
  const defined = new Map<string, Scales>();
  const scalesOf: ScalesOf = (symbol) => defined.get(symbol) ?? context.scalesOf(symbol);
  return checkList(value, spec.lengthMax, path).map((item, i) => {
    const message = readMessage(item, scalesOf, SOURCE_OPTIONAL, `${path}[${i}]`, spec.kinds);
    if (message.type === 'instrument') defined.set(message.symbol, message);
    return message;
  });
}

/** Fields that a source may omit in JSON, and their defaults. */
export const SOURCE_OPTIONAL: Readonly<Record<string, unknown>> = {
  seq: 0,
  prevSeq: 0,
  receiveTime: Nanos.ZERO,
  count: 1,
  tradeId: 0,
  numbers: 'all',
};

function readDecimal(value: unknown, scale: number, path: string): number {
  const parsed = typeof value === 'string' ? parseDecimal(value, scale) : 'malformed';
  if (typeof parsed === 'number') return parsed;
  if (parsed === 'out-of-range') {
    const most = formatDecimal(Number.MAX_SAFE_INTEGER, scale);
    throw new FieldError(fieldFault(path, value, `a value from -${most} to ${most}`, parsed));
  }
  const [expected, code] = DECIMAL_FAULTS[parsed];
  throw new FieldError(fieldFault(path, value, `${expected} (${scale} decimals)`, code));
}

const DECIMAL_FAULTS: Record<
  Exclude<ReturnType<typeof parseDecimal>, number | 'out-of-range'>,
  [expected: string, code: ErrorCode]
> = {
  'malformed': ['a decimal string such as "1.50"', 'invalid-field'],
  'too-many-decimals': ["no more decimals than the instrument's scale", 'off-increment'],
};

/** @param flat receives the levels @param from index of the first of these pairs in their list */
export function readLevels(
  pairs: readonly unknown[],
  scales: Scales,
  path: string,
  flat: number[] = [],
  from = 0,
): number[] {
  pairs.forEach((pair, i) => {
    const at = `${path}[${from + i}]`;
    if (!Array.isArray(pair) || pair.length !== 2) {
      throw new FieldError(fieldFault(at, pair, 'a pair ["price", "quantity"]'));
    }
    const quantity = readDecimal(pair[1], scales.quantityScale, `${at}[1]`);
    if (quantity < 0) {
      throw new FieldError(fieldFault(`${at}[1]`, pair[1], 'a quantity that is not negative'));
    }
    flat.push(readDecimal(pair[0], scales.priceScale, `${at}[0]`), quantity);
  });
  return flat;
}

/** Parses JSON text into a value, or a fault that says where it breaks or that it nests too deep. */
export function parseJson(text: string, depthMax = JSON_DEPTH_MAX): { value: unknown } | Fault {
  if (new Nesting(text, depthMax).isDeeper()) return tooDeep(depthMax);
  try {
    return { value: JSON.parse(text) };
  } catch (e) {
    return notJson(e as Error);
  }
}

export function tooDeep(depthMax: number): Fault {
  return fault('too-deep', `the text nests deeper than ${depthMax}; at most that is expected`);
}

export function notJson({ message }: Error): Fault {
  return fault('malformed-json', `not JSON: ${message.slice(0, 120).toWellFormed()}`); // the engine quotes the input
}
