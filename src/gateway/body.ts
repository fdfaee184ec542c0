/** Body: the text of a request, read no further than it may be long. */

import { fault, type Fault } from '../../protocol/codes';

/** @returns a fault when the body is longer than `bytesMax`, breaks off, or is not UTF-8 */
export async function readText(request: Request, bytesMax: number): Promise<string | Fault> {
  const declared = Number(request.headers.get('content-length') ?? 0);
  if (declared > bytesMax) return tooLarge(declared, bytesMax);
  const pieces: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const piece of (request.body ?? []) as AsyncIterable<Uint8Array>) {
      size += piece.length;
      if (size > bytesMax) return tooLarge(size, bytesMax);
      pieces.push(piece);
    }
  } catch {
    // The client has gone, or what it sent was no HTTP any more; hardly anybody reads this answer.
    return fault('malformed-json', `the body breaks off after ${size} bytes`, 'body');
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(pieces, size));
  } catch {
    return fault('malformed-json', 'the body is not UTF-8', 'body');
  }
}

function tooLarge(bytes: number, bytesMax: number): Fault {
  return fault('frame-too-large', `a body of ${bytes} bytes; at most ${bytesMax}`, 'body');
}
