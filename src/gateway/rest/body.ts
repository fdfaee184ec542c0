/** Body: the text of a request, read no further than it may be long. */

import { fault, fieldFault, type Fault } from '../../../protocol/codes';
import { parseJson } from '../../../protocol/json';
import type { TurnMeter } from '../../base/turn-meter';
import type { Body, BodyRoom } from './body-room';

/**
 * Reads it, and does something with its text; what it takes in memory counts until that is done.
 * @returns a fault when the body is longer than `bytesMax`, breaks off, or is not UTF-8; or when all that
 *   are being read take too much
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

/** The same with its bytes, as they came: of a long body, whose text takes a while to make. */
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

/** The object that a body of JSON is. */
export function objectOf(text: string): { readonly object: Record<string, unknown> } | Fault {
  const parsed = parseJson(text);
  if (!('value' in parsed)) return parsed;
  const { value } = parsed;
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? { object: value as Record<string, unknown> }
    : fieldFault('body', value, 'a JSON object');
}

interface Pieces {
  readonly pieces: readonly Uint8Array[];
  readonly size: number;
}

async function read(request: Request, bytesMax: number, body: Body): Promise<Pieces | Fault> {
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
    // The client has gone, or what it sent was no HTTP any more; hardly anybody reads this answer.
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
