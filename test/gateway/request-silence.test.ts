/** [P5] How long a source over REST may be silent: until then it owns the instruments that it feeds. */

import { describe, expect, test } from 'bun:test';

import { book, instrument, tape, trade } from '../support/feed';
import { OTHER_PUBLISH_KEY, ServerProcess } from '../support/tapedeck-process';
import { until } from '../support/until';

const SNAPSHOT = tape(
  instrument('CALM', { priceIncrement: '0.05', quantityScale: 0, quantityIncrement: '1' }),
  book('CALM', 'snapshot', [['20.00', '4']], [['20.10', '6']]),
);
const DELTA = tape(book('CALM', 'delta', [['20.05', '3']], []));
/** Two trades, the second off the increment: nothing is accepted, and the code says which one is at fault. */
const PROBE = tape(trade('CALM', '20.05', '1'), trade('CALM', '20.03', '1'));

async function served(market: string, body: (server: ServerProcess) => Promise<void>) {
  const server = await ServerProcess.start({ config: `[market]\n${market}` });
  try {
    expect((await server.ingest(SNAPSHOT)).status).toBe(200);
    await body(server);
  } finally {
    await server.remove();
  }
}

/** Why another key may not feed it now. */
async function refusal(server: ServerProcess): Promise<string> {
  const answer = await server.ingest(PROBE, OTHER_PUBLISH_KEY);
  return ((await answer.json()) as { error: { code: string } }).error.code;
}

async function bids(server: ServerProcess): Promise<unknown> {
  const { bids: levels, error } = await server.json('/v1/orderbook/CALM');
  return levels ?? error;
}

describe('a source over REST', () => {
  test('continues its book after any silence in which it owned nothing, if no other source fed it meanwhile', async () => {
    await served('requestsHoldMs = 1', async (server) => {
      await until(async () => (await refusal(server)) === 'off-increment');
      expect((await server.ingest(DELTA)).status).toBe(200);
      expect(await bids(server)).toEqual([
        ['20.05', '3'],
        ['20.00', '4'],
      ]);
      expect(await server.json('/v1/instruments/CALM')).toMatchObject({ state: 'live' });
    });
  });

  test('owns its instruments for a while, and must wait once another source has followed', async () => {
    await served('requestsHoldMs = 600000', async (server) => {
      expect(await refusal(server)).toBe('symbol-in-use');
    });
    await served('requestsHoldMs = 1', async (server) => {
      await until(async () => (await refusal(server)) === 'off-increment');
      const other = tape(trade('CALM', '20.05', '1'), book('CALM', 'delta', [['20.05', '1']], []));
      expect((await server.ingest(other, OTHER_PUBLISH_KEY)).status).toBe(200);
      // The levels are not those of this source, which does not give its numbers.
      expect(await bids(server)).toMatchObject({ code: 'book-incomplete' });
    });
  });

  test('counts as gone after the longest silence: what it fed is stale', async () => {
    await served('requestsHoldMs = 1\nrequestsIdleMs = 2', async (server) => {
      const state = async (): Promise<unknown> =>
        (await server.json('/v1/instruments/CALM'))['state'];
      await until(async () => (await state()) === 'stale');
      expect((await server.ingest(DELTA)).status).toBe(200);
      expect(await bids(server)).toMatchObject({ code: 'book-incomplete' });
    });
  });
});
