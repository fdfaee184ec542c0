/** [W2] Both forms carry the same messages: one flow of events is read in each form and compared message by message. */

import { afterAll, beforeAll, expect, test } from 'bun:test';
import { join } from 'node:path';

import { instrument, tape, trade } from '../support/feed';
import { FORMS, StreamClient, type Seen } from '../support/stream-client';
import { PUBLISH_KEY, ServerProcess, tapedeck } from '../support/tapedeck-process';

const TAPES = join(import.meta.dir, '../../fixtures/tapes');
let server: ServerProcess;

beforeAll(async () => {
  server = await ServerProcess.start({ config: '[push]\nheartbeatMs = 30000' });
});
afterAll(() => server.remove());

const TOPICS = ['tick:*', 'trade:*', 'bbo:*', 'book:*', 'status'];
const LAST = 'THE.END';

async function read(client: StreamClient): Promise<Seen[]> {
  await client.find((m) => m.type === 'tick' && m['symbol'] === LAST);
  return client.seen;
}

test('the fixtures, replayed into a server that has a reader of each form', async () => {
  const readers = await Promise.all(FORMS.map((form) => StreamClient.open(server.url, form)));
  for (const reader of readers) await reader.subscribe(...TOPICS);
  const names = ['two-instruments', 'gap-healed', 'deletes-empty-side', 'overlap', 'binance-mini'];
  for (const name of names) {
    const file = join(TAPES, name === 'binance-mini' ? `${name}.txt` : `${name}.ndjson`);
    const args = ['replay', file, '--to', server.url, '--key', PUBLISH_KEY];
    expect(await tapedeck(args)).toMatchObject({ code: 0, stderr: '' });
  }
  await server.ingest(tape(instrument(LAST), trade(LAST, '1.00', '1')));
  const [binary, text] = (await Promise.all(readers.map(read))) as [Seen[], Seen[]];
  // Heartbeats are spread over time, so one reader may get one where another does not.
  const ofMarket = (m: Seen): boolean => !['welcome', 'ack', 'heartbeat'].includes(m.type);
  expect(text.filter(ofMarket).length).toBeGreaterThan(60);
  expect(text.filter(ofMarket)).toEqual(binary.filter(ofMarket));
  for (const kind of ['instrument', 'tick', 'trade', 'bbo', 'book', 'status']) {
    expect(text.some((m) => m.type === kind)).toBe(true);
  }
  for (const topic of ['snapshot', 'delta', 'incomplete']) {
    expect(text.some((m) => m['form'] === topic)).toBe(true);
  }
});

test('the state of every topic and the answers to requests', async () => {
  const [binary, text] = await Promise.all(
    FORMS.map(async (form) => {
      const client = await StreamClient.open(server.url, form);
      const answers = [
        await client.subscribe(...TOPICS),
        await client.subscribe('tick:NOBODY'),
        await client.subscribe('nonsense'),
        [await client.unsubscribe('bbo:*')],
        [await client.publish(trade(LAST, '1.00', '1'))],
      ];
      await client.close();
      return answers;
    }),
  );
  expect(text!).toEqual(binary!);
  expect(text![0]!.length).toBeGreaterThan(10);
});
