/**
 * Health: what this page measures on its stream: messages per second, latency and missed messages.
 *
 * Latency is the time from the server's receive time until the page has the message. It uses the server's
 * clock, which pings estimate, so this machine's clock may be wrong by hours. Bounded: the newest
 * `SAMPLES_MAX` latencies of `WINDOW_MS`, and the newest pings.
 */

import { CHANNEL_TABLE } from '../../../protocol/channels';
import type { Item, Nanos, ServerClock } from '../../client/index';
import type { Clock } from '../../base/clock';

const SAMPLES_MAX = 8_192;
const WINDOW_MS = 10_000;
const PINGS_MAX = 12;

export class Health {
  /** Messages in the newest second. */
  perSecond = 0;
  messages = 0;
  /** Updates that were merged into a later one. */
  conflated = 0;
  /** Messages that gaps declared as missing. */
  missed = 0;
  gaps = 0;
  resets = 0;
  /** Newest sequence number received. */
  seq = 0;
  private readonly clock: Clock;
  private readonly latencies = new Float64Array(SAMPLES_MAX);
  private readonly takenAt = new Float64Array(SAMPLES_MAX);
  private samples = 0;
  private pings: ServerClock[] = [];
  private best: ServerClock | undefined;
  private countedAtMs: number;
  private countedMessages = 0;

  constructor(clock: Clock) {
    this.clock = clock;
    this.countedAtMs = clock.monotonicMs();
  }

  /** Difference from this machine's clock to the server's, in ms; undefined before the first pong. */
  get offsetMs(): number | undefined {
    return this.best?.offsetMs;
  }

  get roundTripMs(): number | undefined {
    return this.best?.roundTripMs;
  }

  /** Age by the server's clock, in ms. */
  ageMs(time: Nanos): number | undefined {
    const { offsetMs } = this;
    return offsetMs === undefined ? undefined : this.clock.now().since(time) / 1e6 + offsetMs;
  }

  ping(answer: ServerClock): void {
    // The quickest of the newest pings was delayed least, so its estimate of the clock is best.
    this.pings = [answer, ...this.pings].slice(0, PINGS_MAX);
    this.best = this.pings.reduce((a, b) => (b.roundTripMs < a.roundTripMs ? b : a));
    // If a clock was set since, the older pings are invalid.
    if (Math.abs(this.best.offsetMs - answer.offsetMs) <= answer.roundTripMs + 50) return;
    this.pings = [answer];
    this.best = answer;
  }

  /** @param live whether the item happened since this connection began, so that its latency is meaningful */
  take(item: Item, live: boolean): void {
    this.messages += 1;
    if (item.type === 'gap') {
      this.gaps += 1;
      this.missed += item.count;
      return;
    }
    if (item.type === 'reset') {
      this.resets += 1;
      this.seq = item.seq;
      return;
    }
    if (item.seq > this.seq) this.seq = item.seq;
    // Bars and statistics count trades.
    if ('count' in item && CHANNEL_TABLE[item.type].nature !== 'derived') {
      this.conflated += Math.max(0, item.count - 1);
    }
    if (!live || this.best === undefined) return;
    const now = this.clock.now();
    const at = this.samples++ % SAMPLES_MAX;
    this.latencies[at] = Math.max(0, now.since(item.receiveTime) / 1e6 + this.best.offsetMs);
    this.takenAt[at] = this.clock.monotonicMs();
  }

  /** Computes the figures of the time since the last call. */
  count(): void {
    const nowMs = this.clock.monotonicMs();
    const seconds = (nowMs - this.countedAtMs) / 1000;
    if (seconds < 0.5) return;
    this.perSecond = Math.round((this.messages - this.countedMessages) / seconds);
    this.countedMessages = this.messages;
    this.countedAtMs = nowMs;
  }

  /** Median and 99th percentile of the newest latencies, in ms; undefined without any. */
  latency(): { p50: number; p99: number } | undefined {
    const sinceMs = this.clock.monotonicMs() - WINDOW_MS;
    const held = Math.min(this.samples, SAMPLES_MAX);
    const fresh = this.latencies.slice(0, held).filter((_, i) => this.takenAt[i]! >= sinceMs);
    if (fresh.length === 0) return undefined;
    fresh.sort();
    const rank = (share: number): number => fresh[Math.ceil(fresh.length * share) - 1]!;
    return { p50: rank(0.5), p99: rank(0.99) };
  }
}
