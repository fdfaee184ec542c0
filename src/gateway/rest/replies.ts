/**
 * Replies: long answers, sent in pieces as the client reads them. Bun would otherwise keep a copy of each
 * answer until its client has read it or timed out. What is held of an answer is counted until the client
 * has all of it or has gone.
 */

import { fault, type Fault } from '../../../protocol/codes';
import type { Meter } from '../../base/byte-account';

/** Shorter answers are sent at once: they fit into the buffer of a socket. */
export const REPLY_BYTES_MIN = 131_072;
const PIECE_BYTES = 65_536;

export class Replies {
  private readonly meterOf: (request: Request) => Meter;

  /** @param meterOf counts what is held for a request */
  constructor(meterOf: (request: Request) => Meter) {
    this.meterOf = meterOf;
  }

  /** A response in pieces if it is long; a fault if there is no room for it. */
  async of(request: Request, response: Response): Promise<Response | Fault> {
    const bytes = new Uint8Array(await response.arrayBuffer());
    const { status, headers } = response;
    if (bytes.length < REPLY_BYTES_MIN) return new Response(bytes, { status, headers });
    const meter = this.meterOf(request);
    if (!meter.take('replies', bytes.length)) {
      meter.close();
      return fault(
        'overloaded',
        `an answer of ${bytes.length} bytes beside those that are not read yet`,
      );
    }
    const over = (): void => {
      meter.set('replies', 0);
      meter.close();
    };
    let at = 0;
    const pieces = new ReadableStream<Uint8Array>(
      {
        pull: (reader) => {
          if (at < bytes.length) return reader.enqueue(bytes.subarray(at, (at += PIECE_BYTES)));
          over();
          reader.close();
        },
        cancel: over,
      },
      { highWaterMark: 0 },
    );
    return new Response(pieces, { status, headers });
  }
}
