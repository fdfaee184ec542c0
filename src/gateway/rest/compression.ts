/**
 * Compression of long answers, for clients that accept one of the codings.
 *
 * The threads of the runtime compress, so the event loop goes on. Bounded: compressions under way at once,
 * over all clients (`UNDER_WAY_MAX`); further answers are sent uncompressed.
 */

import { constants, brotliCompress, gzip, zstdCompress } from 'node:zlib';
import { promisify } from 'node:util';

type Bytes = Uint8Array<ArrayBuffer>;

/** A shorter answer fits into one packet anyway. The most frequent ones (a tick, ten levels) are shorter. */
export const COMPRESSED_BYTES_MIN = 1_400;
const UNDER_WAY_MAX = 8;
/** At these levels a megabyte of JSON takes some milliseconds. */
const GZIP_LEVEL = 4;
const BROTLI_QUALITY = 4;
const ZSTD_LEVEL = 3;

export type Coding = 'zstd' | 'br' | 'gzip';

/** Best first, for clients without a preference. */
const CODINGS: readonly Coding[] = ['zstd', 'br', 'gzip'];

const gzipAsync = promisify(gzip);
const brotliAsync = promisify(brotliCompress);
const zstdAsync = promisify(zstdCompress);

/** The coding that `Accept-Encoding` prefers; null: it accepts none of ours. */
export function codingOf(accepted: string | null): Coding | null {
  if (accepted === null) return null;
  const weights = new Map<string, number>();
  for (const part of accepted.split(',')) {
    const [name = '', ...parameters] = part.split(';').map((piece) => piece.trim().toLowerCase());
    const q = parameters.find((parameter) => parameter.startsWith('q='));
    const weight = q === undefined ? 1 : Number(q.slice(2));
    weights.set(name, weight >= 0 && weight <= 1 ? weight : 0);
  }
  const others = weights.get('*') ?? 0;
  let best: Coding | null = null;
  let bestWeight = 0;
  for (const coding of CODINGS) {
    const weight = weights.get(coding) ?? others;
    if (weight <= bestWeight) continue;
    best = coding;
    bestWeight = weight;
  }
  return best;
}

export class Compression {
  private readonly vary: string;
  private underWay = 0;

  /** @param vary the header `Vary` of long answers */
  constructor(vary = 'accept-encoding') {
    this.vary = vary;
  }

  /** Whether an answer is long enough. */
  isFor(body: string): boolean {
    return body.length >= COMPRESSED_BYTES_MIN;
  }

  /**
   * A long answer, compressed if its client accepts that. Its headers state either way that it depends on
   * what the client accepts.
   * @param body the text of the response
   * @param kept if it is one that many ask for
   */
  async of(request: Request, body: string, response: Response, kept?: Kept): Promise<Response> {
    response.headers.set('vary', this.vary);
    const coding = codingOf(request.headers.get('accept-encoding'));
    const bytes = coding === null ? undefined : this.bytesOf(coding, body, kept);
    if (bytes === undefined) return response;
    const headers = new Headers(response.headers);
    headers.set('content-encoding', coding!);
    return new Response(await bytes, { status: response.status, headers });
  }

  /** Undefined when too many are under way. */
  private bytesOf(coding: Coding, body: string, kept?: Kept): Promise<Bytes> | undefined {
    const known = kept?.bytes.get(coding);
    if (known !== undefined || this.underWay >= UNDER_WAY_MAX) return known;
    this.underWay += 1;
    const bytes = compressed(coding, body).finally(() => {
      this.underWay -= 1;
    });
    kept?.bytes.set(coding, bytes);
    return bytes;
  }
}

async function compressed(coding: Coding, text: string): Promise<Bytes> {
  const bytes = new TextEncoder().encode(text);
  switch (coding) {
    case 'zstd':
      return new Uint8Array(
        await zstdAsync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL } }),
      );
    case 'br':
      return new Uint8Array(
        await brotliAsync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY } }),
      );
    case 'gzip':
      return new Uint8Array(await gzipAsync(bytes, { level: GZIP_LEVEL }));
  }
}

/** An answer that is kept; its compressed forms are made when a client accepts them. */
export class Kept {
  readonly text: string;
  readonly bytes = new Map<Coding, Promise<Uint8Array<ArrayBuffer>>>();

  constructor(text: string) {
    this.text = text;
  }
}
