/** Bytes in tests: conversion to and from hex, and the oracle encoder. */

import { decode, encode } from '@msgpack/msgpack';

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** Reads hex, which may have spaces for readability. */
export function fromHex(hex: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
}

/** The bytes that @msgpack/msgpack makes from what it has decoded. */
export function reencoded(bytes: Uint8Array): Uint8Array {
  return encode(decode(bytes, { useBigInt64: true }), { useBigInt64: true });
}
