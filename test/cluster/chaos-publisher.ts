/**
 * Chaos publisher: sends trades with rising numbers to whichever core takes them, one at a time. What gets no answer is
 * sent again under its number, to the other core in turn, so each number has to be in the journal once.
 */

import { TapedeckClient } from '../../src/client/client';
import { TapedeckError } from '../../src/client/errors';
import { Nanos } from '../../protocol/time';
import type { SourceEvent } from '../../protocol/messages';
import { PUBLISH_KEY } from '../support/tapedeck-process';

export const FEED_SYMBOL = 'NUMBERED';
const EVERY_MS = 10;
const ANSWER_MS = 150;
const AGAIN_MS = 10;
/** Refusals that pass: there is no leader here now. */
const PASSING = new Set([
  'no-leader',
  'connection-failed',
  'closed',
  'shutting-down',
  'journal-failing',
  'overloaded',
  'symbol-in-use',
  'unknown-symbol',
]);

export interface Acknowledged {
  readonly number: number;
  /** Of the try that was answered. */
  readonly sentMs: number;
  readonly ackMs: number;
}

const DEFINITION = {
  type: 'instrument',
  symbol: FEED_SYMBOL,
  seq: 0,
  market: 'feed',
  priceScale: 2,
  quantityScale: 0,
  priceIncrement: 1,
  quantityIncrement: 1,
  previousClose: null,
} as unknown as SourceEvent;

function tradeOf(number: number): SourceEvent {
  return {
    type: 'trade',
    symbol: FEED_SYMBOL,
    seq: number,
    prevSeq: number - 1,
    eventTime: Nanos.fromMillis(Date.now()),
    receiveTime: Nanos.ZERO,
    price: 10_000 + (number % 100),
    quantity: number,
    aggressor: 'none',
    tradeId: number,
    timing: null,
  } as unknown as SourceEvent;
}

export class ChaosPublisher {
  readonly acknowledged: Acknowledged[] = [];
  /** Refusals that nothing explains. */
  readonly wrong: string[] = [];
  /** How often each passing refusal came. */
  readonly refused: Record<string, number> = {};
  private readonly urls: readonly string[];
  private readonly clients = new Map<string, TapedeckClient>();
  private isEnding = false;
  private running: Promise<void> = Promise.resolve();

  constructor(urls: readonly string[]) {
    this.urls = urls;
  }

  begin(): void {
    this.running = this.run();
  }

  async end(): Promise<void> {
    this.isEnding = true;
    await this.running;
    for (const client of this.clients.values()) client.close();
  }

  private async run(): Promise<void> {
    let number = 0;
    let at = 0;
    let events = [DEFINITION];
    while (!this.isEnding) {
      if (await this.send(this.urls[at]!, events, number)) {
        number += 1;
        events = [tradeOf(number)]; // the same each time that it is sent
        await Bun.sleep(EVERY_MS);
      } else {
        at = (at + 1) % this.urls.length;
        await Bun.sleep(AGAIN_MS);
      }
    }
  }

  private async send(
    url: string,
    events: readonly SourceEvent[],
    number: number,
  ): Promise<boolean> {
    try {
      const client = await this.client(url);
      if (client.state !== 'connected') return false;
      const sentMs = Date.now();
      const answer = client.publish(events, number > 1 ? { continues: true } : {}).then(() => {
        if (number > 0) this.acknowledged.push({ number, sentMs, ackMs: Date.now() });
        return true;
      });
      answer.catch(() => {});
      return await Promise.race([answer, Bun.sleep(ANSWER_MS).then(() => false)]);
    } catch (e) {
      const code = e instanceof TapedeckError ? e.code : String(e);
      this.refused[code] = (this.refused[code] ?? 0) + 1;
      if (!PASSING.has(code)) this.wrong.push(`number ${number} was refused: ${String(e)}`);
      return false;
    }
  }

  private async client(url: string): Promise<TapedeckClient> {
    const known = this.clients.get(url);
    if (known !== undefined && known.state !== 'closed') return known;
    const client = await TapedeckClient.connect(url, {
      key: PUBLISH_KEY,
      reconnect: { baseMs: 20, maxMs: 100 },
      timeoutMs: 500,
    });
    this.clients.set(url, client);
    return client;
  }
}
