/** Body: reads the body of a request up to its largest length, and holds it to the schema of its route. */

import type { Static, TObject, TSchema } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';

import { fault, fieldFault, type Fault } from '../../../protocol/codes';
import { parseJson } from '../../../protocol/json';
import { unknownName } from '../../base/members';
import type { TurnMeter } from '../../base/turn-meter';
import type { BodyRoom, BodyShare } from './body-room';

/** How a route declares its body. */
export type Body<B> = JsonBody<B> | TapeBody<B>;

interface JsonBody<B> {
  readonly type: 'application/json';
  readonly schema: TSchema;
  readonly example: unknown;
  /** The value of a body, or what is wrong with it. */
  read(text: string): { readonly value: B } | Fault;
}

interface TapeBody<B> {
  readonly type: 'application/x-ndjson';
  readonly example: string;
  /** Carries the type only; never set. */
  readonly value?: B;
}

/** The bytes of a body in the pieces in which they came. */
export type Pieces = readonly Uint8Array[];

/** A JSON object: unknown members are refused with the nearest name, the others held to their schema. */
export function jsonBody<T extends TObject>(schema: T, example: unknown): Body<Static<T>> {
  const read = (text: string): { readonly value: Static<T> } | Fault => {
    const object = objectOf(text, schema);
    if ('code' in object) return object;
    const wrong = Value.Errors(schema, object.value).First();
    if (wrong === undefined) return { value: object.value };
    const name = wrong.path.slice(1).replaceAll('/', '.');
    return fieldFault(name, wrong.value, expectedOf(wrong.schema));
  };
  return { type: 'application/json', schema, example, read };
}

/** The same, except that the handler checks the values of the members: they depend on the instrument. */
export function jsonMembers(
  schema: TObject,
  example: unknown,
): Body<Readonly<Record<string, unknown>>> {
  return {
    type: 'application/json',
    schema,
    example,
    read: (text) => objectOf(text, schema),
  };
}

/** Lines of a tape; they may be many, and are handed on as bytes. */
export function tapeBody(example: string): Body<Pieces> {
  return { type: 'application/x-ndjson', example };
}

function objectOf(
  text: string,
  { properties }: TObject,
): { readonly value: Record<string, unknown> } | Fault {
  const parsed = parseJson(text);
  if (!('value' in parsed)) return parsed;
  const { value } = parsed;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return fieldFault('body', value, 'a JSON object');
  }
  const known = Object.keys(properties);
  const unknown = Object.keys(value).find((name) => !Object.hasOwn(properties, name));
  if (unknown !== undefined) return unknownName(unknown, known);
  return { value: value as Record<string, unknown> };
}

function expectedOf(schema: TSchema): string {
  const options = schema['anyOf'] as readonly { readonly const: unknown }[] | undefined;
  return options === undefined
    ? `a value of type ${String(schema['type'])}`
    : `one of ${options.map((option) => String(option.const)).join(', ')}`;
}

/**
 * Reads a body and acts on its text. The memory of the body counts until `act` is done.
 * @returns a fault if the body is longer than `bytesMax`, breaks off or is not UTF-8, or if there is no
 *   room for it beside the other bodies that are being read
 */
export function withText<T>(
  request: Request,
  bytesMax: number,
  room: BodyRoom,
  turns: TurnMeter,
  act: (text: string) => Promise<T | Fault>,
): Promise<T | Fault> {
  return withPieces(request, bytesMax, room, turns, (pieces, size) => textOf(pieces, size, act));
}

/** The same with the bytes as they came, for long bodies whose text takes a while to decode. */
export async function withPieces<T>(
  request: Request,
  bytesMax: number,
  room: BodyRoom,
  turns: TurnMeter,
  act: (pieces: readonly Uint8Array[], size: number) => Promise<T | Fault>,
): Promise<T | Fault> {
  const body = room.open(request);
  try {
    const whole = await read(request, bytesMax, body);
    if ('code' in whole) return whole;
    const { pieces, size } = whole;
    const detail = (): string => `${request.method} ${new URL(request.url).pathname}`;
    return await turns.whole('body', () => act(pieces, size), detail);
  } finally {
    body.close();
  }
}

interface Whole {
  readonly pieces: Pieces;
  readonly size: number;
}

async function read(request: Request, bytesMax: number, body: BodyShare): Promise<Whole | Fault> {
  const declared = Number(request.headers.get('content-length') ?? 0);
  if (declared > bytesMax) return tooLarge(declared, bytesMax);
  const pieces: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const piece of (request.body ?? []) as AsyncIterable<Uint8Array>) {
      if (size + piece.length > bytesMax) return tooLarge(size + piece.length, bytesMax);
      if (!body.take(piece.length)) {
        return fault('overloaded', 'too many bodies are being read', 'body');
      }
      size += piece.length;
      pieces.push(piece);
    }
  } catch {
    // The client has gone, or stopped speaking HTTP; hardly anybody reads this answer.
    return fault('malformed-json', `the body breaks off after ${size} bytes`, 'body');
  }
  return { pieces, size };
}

async function textOf<T>(
  pieces: readonly Uint8Array[],
  size: number,
  act: (text: string) => Promise<T | Fault>,
): Promise<T | Fault> {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(pieces, size));
  } catch {
    return fault('malformed-json', 'the body is not UTF-8', 'body');
  }
  return act(text);
}

function tooLarge(bytes: number, bytesMax: number): Fault {
  return fault('frame-too-large', `a body of ${bytes} bytes; at most ${bytesMax}`, 'body');
}
