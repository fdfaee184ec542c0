/**
 * State hash: 64 bits that are equal if two venues are in the same state, whatever their internal form.
 *
 * It is MurmurHash3_x86_32 (Appleby, 2011) of the bytes of the canonical sequence (`canonical.ts`),
 * taken twice, with the seeds 0 and 0x9747b28c, and written as sixteen hexadecimal digits, the first
 * seed's first. It detects divergence; it does not protect against forgery.
 */

import type { CanonicalSink } from './canonical';

const SECOND_SEED = 0x9747_b28c;

export class StateHasher implements CanonicalSink {
  private first = 0;
  private second = SECOND_SEED | 0;
  private bytes = 0;

  number(value: number): void {
    this.word(value | 0);
    this.word(Math.floor(value / 4_294_967_296) | 0);
  }

  /** Sixteen hexadecimal digits. */
  digest(): string {
    return hex(finish(this.first, this.bytes)) + hex(finish(this.second, this.bytes));
  }

  private word(value: number): void {
    let k = Math.imul(value, 0xcc9e_2d51);
    k = Math.imul((k << 15) | (k >>> 17), 0x1b87_3593);
    this.first = mix(this.first, k);
    this.second = mix(this.second, k);
    this.bytes += 4;
  }
}

function mix(hash: number, k: number): number {
  const h = hash ^ k;
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe654_6b64) | 0;
}

function finish(hash: number, bytes: number): number {
  let h = hash ^ bytes;
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function hex(value: number): string {
  return value.toString(16).padStart(8, '0');
}
