/** Samples: latencies of a measurement, and their exact percentiles. */

import { percentile } from './harness';

export interface Figures {
  /** Ticks, trades, bbo and books. */
  readonly messages: number;
  /** How many messages these replace. */
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** Latencies, in ms. A typed array that grows causes no work for the collector. */
export class Samples {
  private values = new Float64Array(65_536);
  private length = 0;
  /** How many messages the received ones replace. */
  count = 0;

  add(latencyMs: number, count: number): void {
    if (this.length === this.values.length) {
      const larger = new Float64Array(this.length * 2);
      larger.set(this.values);
      this.values = larger;
    }
    this.values[this.length++] = latencyMs;
    this.count += count;
  }

  addAll(others: Samples): void {
    for (let i = 0; i < others.length; i++) this.add(others.values[i]!, 0);
    this.count += others.count;
  }

  clear(): void {
    this.length = 0;
    this.count = 0;
  }

  figures(): Figures {
    const { length: messages, count } = this;
    if (messages === 0) return { messages, count, p50: 0, p99: 0, p999: 0, max: 0 };
    const sorted = this.values.slice(0, messages).sort();
    const at = (percent: number): number => percentile(sorted, percent);
    return { messages, count, p50: at(50), p99: at(99), p999: at(99.9), max: at(100) };
  }
}
