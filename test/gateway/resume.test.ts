/** Resume over real sockets: what was missed is sent in order and once, then live messages; or a reset says why not. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';

import { book, instrument, tape, trade } from '../support/feed';
import { FORMS, StreamClient, type Seen } from '../support/stream-client';
import { ServerProcess } from '../support/tapedeck-process';

let server: ServerProcess;
let count = 0;

beforeAll(async () => {
  server = await ServerProcess.start({ config: '[cache]\nmemtableEventsMax = 1000\n' });
});
afterAll(() => server.remove());

async function given(...events: Record<string, unknown>[]): Promise<void> {
  const response = await server.ingest(tape(...events));
  if (response.status !== 200) throw new Error(await response.text());
}

/** A feed instrument with a book. */
async function market(): Promise<string> {
  const symbol = `R${++count}`;
  await given(
    instrument(symbol),
    book(symbol, 'snapshot', [['9.00', '1.000']], [['11.00', '1.000']], { seq: 1 }),
  );
  return symbol;
}

async function publish(symbol: string, n: number): Promise<void> {
  await given(
    trade(symbol, `${10 + n}.00`, '1.000', { seq: n }),
    book(symbol, 'delta', [['9.00', `${n + 1}.000`]], [], { seq: n + 1, prevSeq: n }),
  );
}

function ofTopics(seen: readonly Seen[]): Seen[] {
  return seen.filter((m) => ['tick', 'trade', 'bbo', 'book', 'bar', 'stats'].includes(m.type));
}

describe.each(FORMS)('%s', (form) => {
  const open = (): Promise<StreamClient> => StreamClient.open(server.url, form);

  test('[R2] everything after the position, once and in order, then ack, then live', async () => {
    const symbol = await market();
    const topics = [`tick:${symbol}`, `trade:${symbol}`, `book:${symbol}`];
    const whole = await open();
    await whole.subscribe(...topics);
    const cut = await open();
    const { epoch } = (await cut.next('welcome')) as unknown as { epoch: number };
    await cut.subscribe(...topics);
    for (let n = 1; n <= 5; n++) await publish(symbol, n);
    await cut.find((m) => m.type === 'tick' && m['last'] === '15.00');
    await cut.settle();
    const position = Math.max(...ofTopics(cut.seen).map((m) => Number(m['seq'])));
    await cut.close();
    for (let n = 6; n <= 20; n++) await publish(symbol, n);

    const back = await open();
    back.send({ type: 'resume', id: 9, epoch, seq: position, topics });
    const ack = await back.next('ack');
    const resumed = ofTopics(back.seen);
    expect(
      resumed.every((m) => Number(m['seq']) > position && Number(m['seq']) <= Number(ack['seq'])),
    ).toBe(true);
    for (let n = 21; n <= 23; n++) await publish(symbol, n);
    await back.find((m) => m.type === 'tick' && m['last'] === '33.00');
    await back.settle();
    await whole.settle();
    // What one reader got in two parts, the other got in one.
    const parts = [...ofTopics(cut.seen), ...ofTopics(back.seen)].filter(
      (m) => Number(m['prevSeq']) > 0,
    );
    const once = ofTopics(whole.seen).filter((m) => Number(m['prevSeq']) > 0);
    const bySeq = (a: Seen, b: Seen): number => Number(a['seq']) - Number(b['seq']);
    expect(parts.toSorted(bySeq)).toEqual(once.toSorted(bySeq));
    await Promise.all([back.close(), whole.close()]);
  });

  test.each([
    ['other-epoch', (epoch: number) => ({ epoch: epoch - 1, seq: 1 })],
    ['from-the-future', (epoch: number) => ({ epoch, seq: 1e12 })],
  ])('[R3] %s: a reset, and the state as for subscribe', async (reason, position) => {
    const symbol = await market();
    await publish(symbol, 1);
    const client = await open();
    const welcome = (await client.next('welcome')) as unknown as { epoch: number };
    const topics = [`tick:${symbol}`, `book:${symbol}`];
    client.send({ type: 'resume', id: 3, ...position(welcome.epoch), topics });
    const ack = await client.next('ack');
    const types = client.seen.slice(1).map((m) => m.type);
    expect(types).toEqual(['instrument', 'reset', 'tick', 'book', 'ack']);
    expect(client.seen.find((m) => m.type === 'reset')).toMatchObject({
      topics,
      reason,
      epoch: welcome.epoch,
      seq: ack['seq'],
    });
    expect(client.seen.find((m) => m.type === 'book')).toMatchObject({ form: 'snapshot' });
    await client.close();
  });

  test('[R2] what memory does not have comes from the journal, and continues live', async () => {
    const symbol = await market();
    const topics = [`tick:${symbol}`, `trade:${symbol}`, `book:${symbol}`];
    const whole = await open();
    await whole.subscribe(...topics);
    const client = await open();
    const { epoch, seq } = (await client.next('welcome')) as unknown as {
      epoch: number;
      seq: number;
    };
    for (let n = 1; n <= 900; n++) {
      if (n % 150 > 0) continue;
      await given(...Array.from({ length: 150 }, () => trade(symbol, '10.00', '0.001')));
      await publish(symbol, n / 150);
    }
    // The market continues while the journal is read; requests after it keep their order.
    client.send(
      { type: 'resume', id: 4, epoch, seq, topics },
      { type: 'unsubscribe', id: 5, topics: [topics[2]!] },
    );
    for (let n = 7; n <= 40; n++) await publish(symbol, n);
    await client.find((m) => m.type === 'tick' && m['last'] === '50.00');
    await whole.find(
      (m) =>
        m.type === 'book' &&
        BigInt(String((m['bids'] as string[][])[0]?.[1]).replace('.', '')) === 41_000n,
    );
    await client.settle();
    expect(client.seen.some((m) => m.type === 'reset')).toBe(false);
    await client.find((m) => m.type === 'ack' && m['id'] === 4);
    const left = client.seen.findIndex((m) => m.type === 'ack' && m['id'] === 5);
    expect(left).toBeGreaterThan(1_000); // it waited for the resume
    expect(client.seen.slice(left).filter((m) => m.type === 'book')).toEqual([]);
    const bySeq = (a: Seen, b: Seen): number => Number(a['seq']) - Number(b['seq']);
    for (const channel of ['tick', 'trade']) {
      const of = (seen: readonly Seen[]): Seen[] =>
        seen.filter((m) => m.type === channel && Number(m['seq']) > seq).toSorted(bySeq);
      expect(of(client.seen)).toEqual(of(whole.seen));
    }
    const books = (seen: readonly Seen[]): Seen[] =>
      seen.filter((m) => m.type === 'book' && Number(m['seq']) > seq);
    const got = books(client.seen);
    expect(got.length).toBeGreaterThan(5);
    expect(got).toEqual(books(whole.seen).slice(0, got.length));
    await Promise.all([client.close(), whole.close()]);
  });

  test('[D9] bars and statistics are sent in their present state, after all else, and nothing is reset', async () => {
    const symbol = await market();
    await publish(symbol, 1);
    const client = await open();
    const { epoch, seq } = (await client.next('welcome')) as unknown as {
      epoch: number;
      seq: number;
    };
    const topics = [`stats:${symbol}`, `bar:${symbol}:1m`, `trade:${symbol}`];
    client.send({ type: 'resume', id: 5, epoch, seq, topics });
    await client.next('ack');
    expect(client.seen.filter((m) => m.type === 'reset')).toEqual([]);
    const kinds = client.seen.map((m) => m.type).filter((type) => type !== 'heartbeat');
    expect(kinds.slice(-3)).toEqual(['stats', 'bar', 'ack']);
    await client.close();
  });

  test('an invalid resume is refused, and nothing is subscribed', async () => {
    const client = await open();
    client.send({ type: 'resume', id: 6, epoch: 1, seq: 1, topics: ['trade:NOBODY'] });
    expect(await client.next('error')).toMatchObject({
      id: 6,
      code: 'unknown-symbol',
      field: 'resume.topics[0]',
    });
    await client.close();
  });
});
