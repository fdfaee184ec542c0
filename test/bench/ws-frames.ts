/**
 * WebSocket frames by hand, as much as a client of our own servers needs: a ready-made client costs several times
 * as much for each frame, and reads on by itself.
 */

export const OPCODE = { text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface Frame {
  readonly opcode: number;
  /** Start of the payload. */
  readonly start: number;
  readonly end: number;
}

/** The upgrade request of a client. @param subprotocol empty: none; likewise @param key */
export function upgradeRequest(path: string, subprotocol: string, key = ''): string {
  const offer = subprotocol === '' ? '' : `Sec-WebSocket-Protocol: ${subprotocol}\r\n`;
  return (
    `GET ${path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
    `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n${offer}${bearer(key)}\r\n`
  );
}

/** The header line that presents a key; empty without one. */
export function bearer(key: string): string {
  return key === '' ? '' : `Authorization: Bearer ${key}\r\n`;
}

/** The frame of a server that begins at `at`; undefined when it does not end before `end`. */
export function frameAt(data: Buffer, at: number, end: number): Frame | undefined {
  if (at + 2 > end) return undefined;
  let length = data[at + 1]!;
  let start = at + 2;
  if (length === 126) {
    if (start + 2 > end) return undefined;
    length = data.readUInt16BE(start);
    start += 2;
  } else if (length === 127) {
    if (start + 8 > end) return undefined;
    length = Number(data.readBigUInt64BE(start));
    start += 8;
  }
  if (start + length > end) return undefined;
  return { opcode: data[at]! & 15, start, end: start + length };
}

/** A frame of a client, masked with zeros; at most 65,535 bytes. */
export function clientFrame(opcode: number, payload: Uint8Array): Buffer {
  const long = payload.length > 125;
  const head = Buffer.alloc(long ? 8 : 6);
  head[0] = 0x80 | opcode;
  head[1] = 0x80 | (long ? 126 : payload.length);
  if (long) head.writeUInt16BE(payload.length, 2);
  return Buffer.concat([head, payload]);
}
