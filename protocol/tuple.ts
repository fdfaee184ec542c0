/**
 * Tuples: the general path between a message and the array that MessagePack carries, by walking the
 * fields of its definition. Every received value is checked against its field here, so the result of
 * `fromTuple` is a valid message.
 */

import { fieldFault, type Fault } from './codes';
import type { Field, Fields, FieldSpec } from './fields';
import type { MessageDef } from './define';
import { messageByCode, messageByType, type Message } from './messages';
import { parseSumDigits, type Sum } from './sums';
import { Nanos } from './time';
import { isDecimalText, isSymbol } from './units';

/** A value does not fit its field. Caught at the edge of this module and returned as a `Fault`. */
export class FieldError extends Error {
  readonly fault: Fault;
  constructor(f: Fault) {
    super(f.message);
    this.fault = f;
  }
}

/** The array of a message: its code, then its fields; integers past 2^32 and times as bigint. */
export function toTuple(message: Message): unknown[] {
  const def = messageByType(message.type)!;
  return [def.code, ...structValues(def.fields, message)];
}

/** The values of fields in wire order. */
export function structValues(fields: Fields, object: unknown): unknown[] {
  const values = object as Record<string, unknown>;
  return Object.entries(fields).map(([name, f]) => encodeValue(f.spec, values[name]));
}

function encodeValue(spec: FieldSpec, value: unknown): unknown {
  switch (spec.type) {
    case 'nullable':
      return value === null || value === undefined ? null : encodeValue(spec.inner.spec, value);
    case 'int':
    case 'price':
    case 'quantity':
      return wireInt(value as number);
    case 'sum':
      return wireSum(value as Sum);
    case 'nanos': {
      const time = value as Nanos;
      return time.hi === 0 ? time.lo : time.toBigInt();
    }
    case 'enum':
      return spec.values.indexOf(value as string);
    case 'levels':
      return (value as number[]).map(wireInt);
    case 'list':
      return (value as unknown[]).map((item) => encodeValue(spec.item.spec, item));
    case 'struct':
      return structValues(spec.fields, value);
    case 'messages':
      return (value as Message[]).map(toTuple);
    default:
      return value;
  }
}

/** An integer if that is exact for every reader, else the string of its digits. */
function wireSum(value: Sum): number | bigint | string {
  return typeof value === 'bigint' ? value.toString() : wireInt(value);
}

function wireInt(value: number): number | bigint {
  return value > 0xffff_ffff || value < -0x8000_0000 ? BigInt(value) : value;
}

/** A message from its array, or its first fault. */
export function fromTuple(tuple: unknown): Message | Fault {
  try {
    return readTuple(tuple, '');
  } catch (e) {
    if (!(e instanceof FieldError)) throw e;
    const [code, id] = Array.isArray(tuple) ? (tuple as unknown[]) : [];
    return ofRequest(e.fault, typeof code === 'number' ? messageByCode(code) : undefined, id);
  }
}

/** The fault with the id of its request, if it is a request with a valid id. */
export function ofRequest(f: Fault, def: MessageDef | undefined, id: unknown): Fault {
  const sound = Number.isInteger(id) && (id as number) >= 0 && (id as number) <= 0xffff_ffff;
  return def?.names[0] === 'id' && sound ? { ...f, id: id as number } : f;
}

function readTuple(tuple: unknown, path: string, kinds?: readonly string[]): Message {
  if (!Array.isArray(tuple) || tuple.length === 0) {
    throw new FieldError(fieldFault(path || 'message', tuple, 'an array that opens with a code'));
  }
  const code = typeof tuple[0] === 'bigint' ? Number(tuple[0]) : tuple[0];
  const def = typeof code === 'number' ? messageByCode(code) : undefined;
  if (def === undefined) {
    throw new FieldError({
      ...fieldFault(`${path || 'message'}[0]`, code, 'the code of a message'),
      code: 'unknown-message',
    });
  }
  // Checked before its fields: a type that is not allowed here is not parsed, so nothing nests.
  if (kinds !== undefined) checkKind(def.type, kinds, path);
  return readStruct(def.fields, tuple, 1, path === '' ? def.type : path, {
    type: def.type,
  }) as unknown as Message;
}

/** The values of a struct from its array. @throws FieldError */
export function structOf(fields: Fields, value: unknown, path: string): Record<string, unknown> {
  if (!Array.isArray(value)) throw new FieldError(fieldFault(path, value, 'an array'));
  return readStruct(fields, value, 0, path, {});
}

function readStruct(
  fields: Fields,
  tuple: readonly unknown[],
  offset: number,
  path: string,
  target: Record<string, unknown>,
): Record<string, unknown> {
  let index = offset;
  for (const name of Object.keys(fields)) {
    target[name] = decodeValue(fields[name]!, tuple[index], `${path}.${name}`);
    index += 1;
  }
  return target;
}

function decodeValue(f: Field<unknown>, value: unknown, path: string): unknown {
  const spec = f.spec;
  switch (spec.type) {
    case 'nullable':
      return value === null || value === undefined ? null : decodeValue(spec.inner, value, path);
    case 'int':
      return readInt(value, spec.min, spec.max, path);
    case 'price':
      return readInt(value, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, path);
    case 'quantity':
      return readInt(value, 0, Number.MAX_SAFE_INTEGER, path);
    case 'sum':
      return readSum(value, path);
    case 'nanos':
      return readNanos(value, path);
    case 'enum':
      return spec.values[readInt(value, 0, spec.values.length - 1, path)];
    case 'levels':
      return readLevels(value, spec.levelsMax, path);
    case 'list':
      return checkList(value, spec.lengthMax, path).map((item, i) =>
        decodeValue(spec.item, item, `${path}[${i}]`),
      );
    case 'struct':
      return structOf(spec.fields, value, path);
    case 'messages':
      return checkList(value, spec.lengthMax, path).map((item, i) =>
        readTuple(item, `${path}[${i}]`, spec.kinds),
      );
    default:
      return checkScalar(spec, value, path);
  }
}

/** Checks values that are the same in both wire forms: text, symbols, booleans, decimals as text. */
export function checkScalar(spec: FieldSpec, value: unknown, path: string): unknown {
  switch (spec.type) {
    case 'boolean':
      if (typeof value === 'boolean') return value;
      throw new FieldError(fieldFault(path, value, 'true or false'));
    case 'symbol':
      if (isSymbol(value)) return value;
      throw new FieldError(
        fieldFault(path, value, '1 to 16 letters, digits, dots, dashes or underscores'),
      );
    case 'text':
      if (typeof value === 'string' && value.length <= spec.lengthMax && value.isWellFormed()) {
        return value; // JSON can escape half a surrogate pair, which UTF-8 cannot encode
      }
      throw new FieldError(
        fieldFault(path, value, `a string of at most ${spec.lengthMax} characters in UTF-8`),
      );
    case 'decimal':
      if (typeof value === 'string' && isDecimalText(value)) return value;
      throw new FieldError(fieldFault(path, value, 'a decimal string'));
    default:
      throw new Error(`checkScalar does not know ${spec.type}`);
  }
}

export function checkList(value: unknown, lengthMax: number, path: string): unknown[] {
  if (Array.isArray(value) && value.length <= lengthMax) return value as unknown[];
  throw new FieldError(fieldFault(path, value, `an array of at most ${lengthMax}`));
}

/** Checks that a message of this type is allowed inside the one around it. */
export function checkKind(type: string, kinds: readonly string[], path: string): void {
  if (kinds.includes(type)) return;
  throw new FieldError(fieldFault(`${path}.type`, type, `one of ${kinds.join(', ')}`));
}

function readInt(value: unknown, min: number, max: number, path: string): number {
  const n = typeof value === 'bigint' ? Number(value) : value;
  // A float of -0 becomes 0: no other code has to distinguish the two.
  if (typeof n === 'number' && Number.isSafeInteger(n) && n >= min && n <= max) return n + 0;
  throw new FieldError(intFault(path, n, min, max));
}

/** The fault of a value that is no integer within bounds, in either wire form. */
export function intFault(path: string, value: unknown, min: number, max: number): Fault {
  const unsafe = Number.isInteger(value) && !Number.isSafeInteger(value);
  const code = unsafe ? 'out-of-range' : 'invalid-field';
  return fieldFault(path, value, `an integer from ${min} to ${max}`, code);
}

function readSum(value: unknown, path: string): Sum {
  if (typeof value !== 'string') return readInt(value, 0, Number.MAX_SAFE_INTEGER, path);
  const sum = parseSumDigits(value);
  if (sum !== undefined) return sum;
  throw new FieldError(fieldFault(path, value, 'an integer, or a string of at most 32 digits'));
}

function readNanos(value: unknown, path: string): Nanos {
  if (typeof value === 'bigint' && value >= 0n && value < 1n << 63n) return Nanos.fromBigInt(value);
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) {
    return Nanos.fromBigInt(BigInt(value));
  }
  throw new FieldError(fieldFault(path, value, 'nanoseconds since 1970 as an integer below 2^63'));
}

function readLevels(value: unknown, levelsMax: number, path: string): number[] {
  const flat = checkList(value, levelsMax * 2, path);
  if (flat.length % 2 !== 0) {
    throw new FieldError(fieldFault(path, value, 'pairs of price and quantity, flat'));
  }
  return flat.map((item, i) =>
    readInt(
      item,
      i % 2 === 0 ? Number.MIN_SAFE_INTEGER : 0,
      Number.MAX_SAFE_INTEGER,
      `${path}[${i}]`,
    ),
  );
}
