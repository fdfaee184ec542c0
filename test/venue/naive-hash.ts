/**
 * The state hash, implemented a second time from its definition in src/market/venue/state-hash.ts and canonical.ts,
 * over a buffer with all bytes: the oracle of the one that is computed number by number.
 */

/** Sixteen hexadecimal digits over the canonical sequence. */
export function naiveStateHash(canonical: readonly number[]): string {
  const bytes = Buffer.alloc(canonical.length * 8);
  canonical.forEach((value, i) => {
    bytes.writeUInt32LE(value % 2 ** 32, i * 8);
    bytes.writeUInt32LE(Math.floor(value / 2 ** 32), i * 8 + 4);
  });
  return murmur3(bytes, 0) + murmur3(bytes, 0x9747b28c);
}

/** MurmurHash3_x86_32 of a whole number of 32-bit words, as eight hexadecimal digits. */
export function murmur3(bytes: Buffer, seed: number): string {
  const rotate = (x: number, by: number): number => (x << by) | (x >>> (32 - by));
  let h = seed;
  for (let at = 0; at < bytes.length; at += 4) {
    const k = Math.imul(rotate(Math.imul(bytes.readInt32LE(at), 0xcc9e2d51), 15), 0x1b873593);
    h = (Math.imul(rotate(h ^ k, 13), 5) + 0xe6546b64) | 0;
  }
  h ^= bytes.length;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  h ^= h >>> 16;
  return (h >>> 0).toString(16).padStart(8, '0');
}
