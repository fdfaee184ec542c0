/** Times where a `Nanos` cannot be used: between threads, where it would lose its methods. */

/** Nanoseconds since 1970 as the two 32-bit halves of a 64-bit integer; both are unsigned. */
export interface TimeHalves {
  readonly hi: number;
  readonly lo: number;
}
