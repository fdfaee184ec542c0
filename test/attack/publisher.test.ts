/**
 * Publishers: a key that may publish or trade gets a bounded share of the server, however many sessions it opens
 * and however much it sends; what exceeds the share waits, and nothing of it is lost. The test counts what was
 * accepted in between and checks the order of answers; it never measures time.
 */

import { afterEach, describe, expect, setDefaultTimeout, test } from 'bun:test';

import { FrameEncoder } from '../../protocol/codec';
import { instrument, tape, trade } from '../support/feed';
import { asMessage, StreamClient, type Seen } from '../support/stream-client';
import { keyOf, Target } from './target';
import { until } from '../support/until';

setDefaultTimeout(120_000);

const SESSIONS = 330;
/** Of each frame of the flood, and of the other publisher. */
const EVENTS = 100;
/** Each trade also makes a tick. */
const SEQS = 2;
/** How many frames each session of the flood has in flight. */
const WINDOW = 4;
const encoder = new FrameEncoder();

const targets: Target[] = [];
afterEach(async () => {
  for (const target of targets.splice(0)) await target.remove();
});

async function given(limits = '', more = ''): Promise<Target> {
  const target = await Target.start({ config: `[limits]\n${limits}\n${more}` });
  targets.push(target);
  return target;
}

type Key = 'all' | 'publish';
const open = (target: Target, key: Key): Promise<StreamClient> =>
  StreamClient.open(target.url, undefined, { authorization: `Bearer ${keyOf(key)}` });

/** A frame with one publish of a number of trades. */
function frameOf(symbol: string, events: number, id: number): Uint8Array<ArrayBuffer> {
  const trades = Array.from({ length: events }, () => trade(symbol, '10.00', '0.001'));
  const message = asMessage({ type: 'publish', id, events: trades, continues: null });
  return Uint8Array.from(encoder.encode([message]));
}

const isAnswer = ({ type }: Seen): boolean => type === 'ack' || type === 'error';
const answersOf = (client: StreamClient): Seen[] => client.seen.filter(isAnswer);

/** Sends the next frame after each answer. */
class Flood {
  taken = 0;
  readonly refusals: Seen[] = [];
  private isRunning = true;
  private readonly clients: readonly StreamClient[];

  constructor(clients: readonly StreamClient[]) {
    this.clients = clients;
    for (const [i, client] of clients.entries()) void this.run(client, `F${i}`);
  }

  async stop(): Promise<void> {
    this.isRunning = false;
    await Promise.all(this.clients.map((client) => client.close()));
  }

  private async run(client: StreamClient, symbol: string): Promise<void> {
    const frame = frameOf(symbol, EVENTS, 1_000);
    for (let i = 0; i < WINDOW; i++) client.raw(frame);
    for (let at = client.seen.length; this.isRunning; at = client.seen.length) {
      const answer = await client.find(isAnswer, at).catch(() => undefined);
      if (answer === undefined) return;
      for (const seen of client.seen.slice(at).filter(isAnswer)) {
        if (seen.type === 'ack') this.taken += 1;
        else this.refusals.push(seen);
        client.raw(frame);
      }
    }
  }
}

test(`${SESSIONS} sessions of one key take no more turns than the one session of another key`, async () => {
  const target = await given();
  const symbols = Array.from({ length: SESSIONS }, (_, i) => instrument(`F${i}`));
  await target.ingest(tape(instrument('OWN'), ...symbols));
  const clients = await Promise.all(symbols.map(() => open(target, 'all')));
  const other = await open(target, 'publish');
  const flood = new Flood(clients);
  await until(() => flood.taken >= 2 * SESSIONS);
  const frames = 60;
  for (let i = 1; i <= frames; i++) other.raw(frameOf('OWN', EVENTS, i));
  await other.answer(frames, 0);
  const answers = answersOf(other);
  expect(answers.map(({ type, id }) => [type, id])).toEqual(answers.map((_, i) => ['ack', i + 1]));
  // Events accepted between its first and last frame: about as many of the flood as of its own, and more only while
  // it had nothing waiting.
  const seqs = Number(answers.at(-1)!['seq']) - Number(answers[0]!['seq']);
  expect(seqs / (frames * EVENTS * SEQS)).toBeLessThan(8);
  await flood.stop();
  expect(target.defects).toEqual([]);
});

test('a flood that does not wait for answers is slowed down by its connection; nothing of it is refused or lost', async () => {
  const target = await given('waitingEventsMax = 10000');
  const sessions = 20;
  const frames = 100;
  const symbols = Array.from({ length: sessions }, (_, i) => instrument(`F${i}`));
  await target.ingest(tape(instrument('OWN'), ...symbols));
  const clients = await Promise.all(symbols.map(() => open(target, 'all')));
  const other = await open(target, 'publish');
  // Twenty times the amount that may wait for a turn.
  for (let id = 1; id <= frames; id++) {
    for (const [i, client] of clients.entries()) client.raw(frameOf(`F${i}`, EVENTS, id));
  }
  for (let id = 1; id <= 50; id++) other.raw(frameOf('OWN', 1, id));
  await other.answer(50, 0);
  for (const client of [other, ...clients]) {
    const last = client === other ? 50 : frames;
    await client.answer(last, 0);
    expect(answersOf(client).map(({ type, id }) => [type, id])).toEqual(
      Array.from({ length: last }, (_, i) => ['ack', i + 1]),
    );
  }
  const taken = Math.max(...clients.map((client) => Number(answersOf(client).at(-1)!['seq'])));
  expect(taken).toBeGreaterThanOrEqual(sessions * frames * EVENTS * SEQS);
  expect(await target.metric('tapedeck_client_bytes{kind="publishes"}')).toBe(0);
  for (const client of clients) await client.close();
  expect(target.defects).toEqual([]);
});

describe('WebSocket and REST publishes of a key share one limit', () => {
  const LINES = 2_000;

  test('a tape first, then a frame', async () => {
    // The rate is so low that the debt of what was accepted outlasts the test.
    const target = await given('publishWorkPerSecond = 10000');
    await target.ingest(tape(instrument('OWN'), instrument('F0')));
    const flooder = await open(target, 'all');
    const other = await open(target, 'publish');
    const long = `${tape(trade('F0', '10.00', '0.001')).trimEnd()}\n`.repeat(LINES * 10);
    const tapes = await target.ask('/v1/ingest', 'all' as never, { method: 'POST', body: long });
    expect(tapes.status).toBe(200);
    flooder.raw(frameOf('F0', 1, 1));
    other.raw(frameOf('OWN', 1, 1));
    await other.answer(1, 0);
    expect(answersOf(flooder)).toEqual([]);
  });

  test('frames first, then a tape', async () => {
    const more = '[push]\nbacklogBytesMax = 16777216';
    const target = await given('publishWorkPerSecond = 10000\nframeBytesMax = 4194304', more);
    await target.ingest(tape(instrument('OWN'), instrument('F0')));
    const bearer = { authorization: `Bearer ${keyOf('all')}` };
    const flooder = await StreamClient.json(target.url, bearer);
    for (let id = 1; id <= 5; id++) {
      flooder.send({ type: 'ping', id, time: '1', more: 'x'.repeat(4_000_000) });
    }
    await flooder.next('pong');
    const order: string[] = [];
    const ingest = async (key: string, symbol: string): Promise<void> => {
      const body = tape(trade(symbol, '10.00', '0.001'));
      const response = await target.ask('/v1/ingest', key as never, { method: 'POST', body });
      if (response.status === 200) order.push(key);
    };
    void ingest('all', 'F0').catch(() => {}); // the server may end first
    await ingest('publish', 'OWN');
    expect(order).toEqual(['publish']);
    expect(flooder.ended).toBeUndefined();
  });
});
