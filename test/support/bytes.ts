/** Bytes in tests: hex and back, and the oracle encoder. */

import { decode, encode } from '@msgpack/msgpack';

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** Reads hex in which spaces may stand for the reader's eye. */
export function fromHex(hex: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
}

/** What @msgpack/msgpack makes of bytes that it has read itself. */
export function reencoded(bytes: Uint8Array): Uint8Array {
  return encode(decode(bytes, { useBigInt64: true }), { useBigInt64: true });
}
