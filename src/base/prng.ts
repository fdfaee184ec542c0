/**
 * Prng: the only source of randomness that can be repeated from a seed.
 * Algorithm: sfc32 (Chris Doty-Humphrey, PractRand), 128 bits of state, period about 2^127.
 */
export class Prng {
  private a: number;
  private b: number;
  private c: number;
  private counter = 1;

  /** @param seed any integer; equal seeds give equal sequences */
  constructor(seed: number) {
    this.a = seed | 0;
    this.b = Math.floor(seed / 4_294_967_296) | 0;
    this.c = 0x9e37_79b9;
    for (let i = 0; i < 15; i++) this.uint32();
  }

  /** 0 … 2^32 − 1 */
  uint32(): number {
    const sum = (((this.a + this.b) | 0) + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (((this.c << 21) | (this.c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** 0 ≤ x < 1 */
  unit(): number {
    return this.uint32() / 4_294_967_296;
  }

  /** A whole number from `min` to `max`, both included; the range is below 2^32. */
  int(min: number, max: number): number {
    return min + Math.floor(this.unit() * (max - min + 1));
  }

  /** Exponentially distributed with mean 1. */
  exponential(): number {
    return -Math.log(1 - this.unit());
  }

  /** Normally distributed with mean 0 and deviation 1 (Box and Muller, 1958). */
  normal(): number {
    return Math.sqrt(2 * this.exponential()) * Math.cos(2 * Math.PI * this.unit());
  }

  /** True with the given probability. */
  chance(probability: number): boolean {
    return this.unit() < probability;
  }
}
