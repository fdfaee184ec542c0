/** The stream on a real server, in both forms: the promises to a reader in § 1, § 3 and § 4. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';

import { SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import { book, instrument, tape, trade } from '../support/feed';
import { FORMS, StreamClient, type Seen } from '../support/stream-client';
import { PUBLISH_KEY, ServerProcess, TRADE_KEY } from '../support/tapedeck-process';

const HEARTBEAT_MS = 150;
let server: ServerProcess;
let count = 0;

beforeAll(async () => {
  server = await ServerProcess.start({ config: `[push]\nheartbeatMs = ${HEARTBEAT_MS}` });
});
afterAll(() => server.remove());

async function given(...events: Record<string, unknown>[]): Promise<void> {
  const response = await server.ingest(tape(...events));
  if (!response.ok) throw new Error(await response.text());
}

/** A new instrument with a book of one level a side. */
async function givenBook(): Promise<string> {
  const symbol = `S${count++}`;
  await given(instrument(symbol), book(symbol, 'snapshot', [['1.00', '1']], [['1.02', '1']]));
  return symbol;
}

const unlessHeartbeat = (m: Seen): boolean => m.type !== 'heartbeat';
const kinds = (messages: Seen[]): string[] => messages.filter(unlessHeartbeat).map((m) => m.type);

describe('the connection', () => {
  test('[W1] the first known subprotocol of several is used; without one it is JSON', async () => {
    for (const [offered, chosen] of [
      [[SUBPROTOCOL_MSGPACK], SUBPROTOCOL_MSGPACK],
      [['mqtt', SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK], SUBPROTOCOL_JSON],
      [[], ''],
    ] as const) {
      const client = StreamClient.start(server.url, [...offered]);
      const welcome = await client.next('welcome');
      expect([client.protocol, welcome.type]).toEqual([chosen, 'welcome']);
      await client.close();
    }
  });

  test('[W1] an unknown subprotocol is refused before the connection opens', async () => {
    const client = StreamClient.start(server.url, ['mqtt']);
    expect((await client.closed).code).toBe(1006);
    expect(client.seen).toEqual([]);
  });
});

describe.each(FORMS)('%s', (form) => {
  const open = (headers: Record<string, string> = {}): Promise<StreamClient> =>
    StreamClient.open(server.url, form, headers);

  test('[W15] welcome is sent at once and unrequested, alone in its frame', async () => {
    const { epoch, seq } = await server.json('/v1/instruments');
    const client = await open();
    // Late events of an earlier connection may be published in between.
    const after = (await server.json('/v1/instruments'))['seq'] as number;
    expect(client.seen[0]).toEqual({
      type: 'welcome',
      version: 1,
      server: expect.stringMatching(/^tapedeck\//),
      session: expect.any(String),
      epoch,
      seq: expect.any(Number),
      time: expect.stringMatching(/^\d{19}$/),
      limits: expect.objectContaining({ topicsMax: 10_000, heartbeatMs: HEARTBEAT_MS }),
      shards: null,
    });
    expect(client.seen[0]!['seq']).toBeWithin(seq as number, after + 1);
    expect(client.frames[0]).toBe(1);
    await client.close();
  });

  test('[W15] hello without a key, or with a valid one, is not answered', async () => {
    const client = await open();
    client.send({ type: 'hello', version: 1, client: 'test', key: null });
    client.send({ type: 'hello', version: 1, client: 'test', key: PUBLISH_KEY });
    await client.settle();
    expect(kinds(client.seen)).toEqual(['welcome', 'pong']);
    await client.close();
  });

  test('[W15] a wrong key closes with 4001, after an error message', async () => {
    const client = await open();
    client.send({ type: 'hello', version: 1, client: 'test', key: 'wrong-key-wrong-key' });
    expect(await client.closed).toEqual({ code: 4001, reason: 'unauthorized' });
    expect(client.seen.filter(unlessHeartbeat).slice(-2)).toMatchObject([
      { type: 'error', id: null, code: 'unauthorized', field: 'hello.key' },
      { type: 'closing', code: 4001, reason: 'unauthorized', reconnect: false },
    ]);
  });

  test('[W15] another version closes with 4000, and later messages of the frame have no effect', async () => {
    const client = await open();
    client.send(
      { type: 'hello', version: 2, client: 'test', key: null },
      { type: 'ping', id: 1, time: '1' },
    );
    expect(await client.closed).toEqual({ code: 4000, reason: 'protocol-error' });
    const answers = client.seen.filter(unlessHeartbeat);
    expect(kinds(answers)).toEqual(['welcome', 'error', 'closing']);
    expect(answers[1]).toMatchObject({ code: 'invalid-field', field: 'hello.version' });
  });

  test('[W15] a wrong key in the upgrade opens no connection', async () => {
    const client = StreamClient.start(server.url, [form], { authorization: 'Bearer wrong' });
    expect((await client.closed).code).toBe(1006);
  });

  test('[W3] [W17] pings of one frame are answered in order with their times', async () => {
    const client = await open();
    client.send();
    client.send(
      { type: 'ping', id: 4_294_967_295, time: '9223372036854775807' },
      { type: 'ping', id: 0, time: '0' },
    );
    await client.settle();
    expect(client.seen.filter((m) => m.type === 'pong')).toMatchObject([
      { id: 4_294_967_295, time: '9223372036854775807' },
      { id: 0, time: '0' },
      { id: 1 },
    ]);
    await client.close();
  });

  test('[W18] received is accepted without an answer', async () => {
    const client = await open();
    client.send({ type: 'received', seq: 5 });
    await client.settle();
    expect(kinds(client.seen)).toEqual(['welcome', 'pong']);
    await client.close();
  });

  test('[S3] [S4] [S5] definition, state, ack, then live messages, and the chain is closed', async () => {
    const symbol = await givenBook();
    await given(trade(symbol, '1.01', '1'));
    const client = await open();
    const topics = ['tick', 'trade', 'bbo', 'book'].map((channel) => `${channel}:${symbol}`);
    const answer = (await client.subscribe(...topics)).filter(unlessHeartbeat);
    expect(kinds(answer)).toEqual(['instrument', 'tick', 'bbo', 'book', 'ack']);
    const [, tick, bbo, snapshot, ack] = answer as [Seen, Seen, Seen, Seen, Seen];
    expect(tick).toMatchObject({ symbol, last: '1.01', bid: '1.00', ask: '1.02', count: 1 });
    expect(bbo).toMatchObject({ bid: '1.00', bidQuantity: '1.000', ask: '1.02' });
    expect(snapshot).toMatchObject({
      form: 'snapshot',
      bids: [['1.00', '1.000']],
      asks: [['1.02', '1.000']],
      crc: expect.any(Number),
    });
    const at = client.seen.length;
    await given(
      trade(symbol, '1.02', '2'),
      book(symbol, 'delta', [['1.01', '5']], [['1.02', '0']], { seq: 0 }),
    );
    const live = await Promise.all(
      ['tick', 'trade', 'bbo', 'book'].map((type) => client.next(type, at)),
    );
    const [tick2, trade2, bbo2, delta] = live as [Seen, Seen, Seen, Seen];
    expect(tick2['prevSeq']).toBe(tick['seq'] as number);
    expect(bbo2['prevSeq']).toBe(bbo['seq'] as number);
    expect(delta).toMatchObject({
      form: 'delta',
      prevSeq: snapshot['seq'],
      bids: [['1.01', '5.000']],
      asks: [['1.02', '0.000']],
    });
    expect(trade2['prevSeq'] as number).toBeLessThanOrEqual(ack['seq'] as number);
    for (const message of live) expect(message['seq']).toBeGreaterThan(ack['seq'] as number);
    await client.close();
  });

  test('[S4] before any event, a topic has no state', async () => {
    const symbol = `S${count++}`;
    await given(instrument(symbol));
    const client = await open();
    const answer = await client.subscribe(`tick:${symbol}`, `bbo:${symbol}`, `book:${symbol}`);
    expect(kinds(answer)).toEqual(['instrument', 'ack']);
    await client.close();
  });

  test('[S4] [B2] a book without a complete state is sent as incomplete, then completed', async () => {
    const symbol = await givenBook();
    await given(book(symbol, 'incomplete', [], []));
    const client = await open();
    const answer = await client.subscribe(`book:${symbol}`, 'status');
    const state = answer.find((m) => m.type === 'book')!;
    expect(state).toMatchObject({ form: 'incomplete', bids: [], asks: [], crc: null });
    expect(answer.findLast((m) => m.type === 'status')).toMatchObject({
      symbol,
      state: 'incomplete',
    });
    await given(book(symbol, 'snapshot', [['2.00', '1']], []));
    expect(await client.find((m) => m['form'] === 'snapshot')).toMatchObject({
      prevSeq: state['seq'],
      bids: [['2.00', '1.000']],
      asks: [],
    });
    expect(await client.find((m) => m['reason'] === 'healed')).toMatchObject({ state: 'live' });
    await client.close();
  });

  test('[S7] subscribing again sends the state again and no message twice', async () => {
    const symbol = await givenBook();
    const client = await open();
    const first = await client.subscribe(`book:${symbol}`);
    const again = await client.subscribe(`book:${symbol}`, `book:${symbol}`, 'book:*');
    const own = (m: Seen): boolean => m.type === 'book' && m['symbol'] === symbol;
    expect(again.filter(own)).toEqual(first.filter(own));
    const at = client.seen.length;
    await given(book(symbol, 'delta', [['1.00', '3']], []));
    await client.find(own, at);
    await client.settle();
    expect(client.seen.slice(at).filter(own)).toHaveLength(1);
    await client.close();
  });

  test('[S6] a wildcard covers an instrument that is defined later', async () => {
    const client = await open();
    await client.subscribe('trade:*', 'book:*');
    const at = client.seen.length;
    const symbol = `S${count++}`;
    await given(
      instrument(symbol),
      trade(symbol, '1.00', '1'),
      book(symbol, 'snapshot', [['1', '1']], []),
    );
    await client.find((m) => m.type === 'book' && m['symbol'] === symbol, at);
    const own = client.seen.slice(at).filter((m) => m['symbol'] === symbol);
    expect(kinds(own)).toEqual(['instrument', 'trade', 'book']);
    expect(own.slice(1).map((m) => m['prevSeq'])).toEqual([0, 0]);
    await client.close();
  });

  test('[S6] a definition is sent to every session, whatever its topics', async () => {
    const client = await open();
    const symbol = `S${count++}`;
    await given(instrument(symbol));
    expect(await client.next('instrument')).toMatchObject({ symbol });
    await given(instrument(symbol, { previousClose: '3.00' }));
    expect(await client.find((m) => m['previousClose'] === '3.00')).toMatchObject({ symbol });
    await client.close();
  });

  test('[S8] after the ack of unsubscribe no message of the topic follows', async () => {
    const symbol = await givenBook();
    const client = await open();
    await client.subscribe(`trade:${symbol}`, `book:${symbol}`);
    const ack = await client.unsubscribe(`trade:${symbol}`);
    expect(ack.type).toBe('ack');
    const at = client.seen.length;
    await given(trade(symbol, '1.00', '1'), book(symbol, 'delta', [['1.00', '9']], []));
    await client.next('book', at);
    await client.settle();
    expect(kinds(client.seen.slice(at))).toEqual(['book', 'pong']);
    expect(await client.unsubscribe(`trade:${symbol}`)).toMatchObject({ code: 'not-subscribed' });
    await client.close();
  });

  test('[S8] one topic of a wildcard can be left, and the wildcard as a whole', async () => {
    const [left, kept] = [await givenBook(), await givenBook()];
    const client = await open();
    await client.subscribe('trade:*');
    expect(await client.unsubscribe(`trade:${left}`)).toMatchObject({ type: 'ack' });
    const at = client.seen.length;
    await given(trade(left, '1.00', '1'), trade(kept, '1.00', '1'));
    await client.next('trade', at);
    await client.settle();
    const trades = client.seen.slice(at).filter((m) => m.type === 'trade');
    expect(trades.map((m) => m['symbol'])).toEqual([kept]);
    expect(await client.unsubscribe('trade:*')).toMatchObject({ type: 'ack' });
    expect(await client.unsubscribe('trade:*')).toMatchObject({ code: 'not-subscribed' });
    const later = client.seen.length;
    const symbol = await givenBook();
    await given(trade(kept, '1.00', '1'), trade(symbol, '1.00', '1'));
    await client.settle();
    expect(client.seen.slice(later).some((m) => m.type === 'trade')).toBe(false);
    await client.close();
  });

  test('[S2] [S8] a request takes effect wholly or not at all', async () => {
    const symbol = await givenBook();
    const client = await open();
    const refused = await client.subscribe(`trade:${symbol}`, 'trade:NOBODY');
    expect(refused.filter(unlessHeartbeat)).toMatchObject([
      { type: 'error', code: 'unknown-symbol', field: 'subscribe.topics[1]' },
    ]);
    expect(await client.unsubscribe(`trade:${symbol}`)).toMatchObject({ code: 'not-subscribed' });
    await client.subscribe(`trade:${symbol}`);
    expect(await client.unsubscribe(`trade:${symbol}`, `book:${symbol}`)).toMatchObject({
      code: 'not-subscribed',
      field: 'unsubscribe.topics[1]',
    });
    const at = client.seen.length;
    await given(trade(symbol, '1.00', '1'));
    await client.next('trade', at);
    await client.close();
  });

  test('[T7] a heartbeat has the heads that moved, each once', async () => {
    const symbol = await givenBook();
    const client = await open();
    await client.subscribe(`trade:${symbol}`, `book:${symbol}`);
    await given(trade(symbol, '1.00', '1'));
    const { seq } = await client.next('trade');
    const received = (m: Seen): boolean => m.type === 'heartbeat' && (m['heads'] as []).length > 0;
    expect((await client.find(received))['heads']).toEqual([{ topic: `trade:${symbol}`, seq }]);
    const at = client.seen.length;
    await client.next('heartbeat', at);
    await client.next('heartbeat', at + 1);
    expect(client.seen.slice(at).some(received)).toBe(false);
    await client.close();
  });

  test('[S1] status brings each instrument that has one', async () => {
    const symbol = await givenBook();
    const key = { authorization: `Bearer ${PUBLISH_KEY}` };
    const source = await open(key);
    const other = `S${count++}`;
    await source.publish(instrument(other), book(other, 'snapshot', [['1', '1']], []));
    const client = await open();
    await client.subscribe('status');
    await source.close();
    expect(await client.find((m) => m['symbol'] === other && m.type === 'status')).toMatchObject({
      state: 'stale',
      reason: 'source-disconnected',
    });
    const late = await open();
    const states = (await late.subscribe('status')).filter((m) => m.type === 'status');
    expect(states.find((m) => m['symbol'] === other)).toMatchObject({ state: 'stale' });
    expect(states.find((m) => m['symbol'] === symbol)).toBeUndefined();
    const seqs = states.map((m) => m['seq'] as number);
    expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
    await Promise.all([client.close(), late.close()]);
  });

  test('[S9] at most one frame of a topic in an interval, each with the count of messages that it replaces', async () => {
    const symbol = await givenBook();
    const client = await open();
    const intervalMs = 200;
    client.send({
      type: 'subscribe',
      id: 5,
      topics: [`tick:${symbol}`, `book:${symbol}`],
      intervalMs,
    });
    await client.next('ack');
    const from = client.seen.length;
    const rounds = 40;
    const beganMs = performance.now();
    for (let i = 1; i <= rounds; i++) {
      await given(trade(symbol, `${100 + i}.00`, '1.000', { seq: i }));
      await Bun.sleep(10);
    }
    await client.find((m) => m.type === 'tick' && m['last'] === `${100 + rounds}.00`, from);
    const ticks = client.seen.slice(from).filter((m) => m.type === 'tick');
    expect(ticks.length).toBeLessThanOrEqual(
      Math.ceil((performance.now() - beganMs) / intervalMs) + 1,
    );
    expect(ticks.reduce((sum, m) => sum + Number(m['count']), 0)).toBe(rounds);
    for (let i = 1; i < ticks.length; i++) {
      expect(Number(ticks[i]!['prevSeq'])).toBe(Number(ticks[i - 1]!['seq']));
    }
    await client.close();
  });

  test('two sessions do not affect each other', async () => {
    const [a, b] = [await givenBook(), await givenBook()];
    const [one, two] = await Promise.all([open(), open({ authorization: `Bearer ${TRADE_KEY}` })]);
    await Promise.all([one.subscribe(`trade:${a}`), two.subscribe(`trade:${b}`)]);
    await given(trade(a, '1.00', '1'), trade(b, '2.00', '1'));
    await Promise.all([one.next('trade'), two.next('trade')]);
    await one.close();
    await given(trade(b, '3.00', '1'));
    await two.find((m) => m['price'] === '3.00');
    expect(two.seen.filter((m) => m.type === 'trade').map((m) => m['price'])).toEqual([
      '2.00',
      '3.00',
    ]);
  });
});
