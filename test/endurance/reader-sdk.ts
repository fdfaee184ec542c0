/**
 * Reader SDK: the SDK as a reader of `READER.md`: a process that writes what a consumer of the SDK concludes.
 *
 *     bun test/endurance/reader-sdk.ts --url ws://127.0.0.1:PORT/v1/stream --form msgpack --topics a,b
 */

import { parseArgs } from 'node:util';

import { decodeFrame, isFault } from '../../protocol/codec';
import { toJson } from '../../protocol/json';
import type { Message } from '../../protocol/messages';
import {
  LocalBook,
  TapedeckClient,
  formatDecimal,
  type Item,
  type TopicMessage,
} from '../../src/client';
import type { SocketConstructor } from '../../src/client';
import { covers } from './reader-record';
import { topicOf } from './reader-truth';

const { values: given } = parseArgs({
  options: {
    url: { type: 'string' },
    form: { type: 'string', default: 'msgpack' },
    topics: { type: 'string' },
  },
});
const QUIET_MS = 1_500;
const url = given.url!.replace(/^ws/, 'http').replace('/v1/stream', '');
const topics = given.topics!.split(',');

/** The server has sent everything up to this seq, by its heartbeats; a new connection starts it again. */
let heard = -1;
let lastItemMs = 0;
let isConnected = false;
/** Messages of a topic up to this seq are its state: the first answer, then each reset. */
const stateUpTo: { readonly topics: readonly string[]; readonly seq: number }[] = [];

/** A WebSocket whose heartbeats are also read here. */
class Overheard extends WebSocket {
  constructor(address: string, protocols: string[]) {
    super(address, protocols);
    heard = -1;
    this.addEventListener('message', ({ data }: MessageEvent) => overhear(data as unknown));
  }
}

function overhear(data: unknown): void {
  const messages =
    typeof data === 'string'
      ? (JSON.parse(data) as Message[])
      : decodeFrame(new Uint8Array(data as ArrayBuffer));
  for (const m of messages) {
    if (isFault(m)) continue;
    if (m.type === 'heartbeat') heard = m.seq;
    if (m.type === 'ack' && stateUpTo.length === 0) {
      stateUpTo.push({ topics, seq: m.seq });
      say({ kind: 'subscribed', epoch: epoch(), topics, seq: m.seq });
    }
  }
}

function say(line: Record<string, unknown>): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

async function connect(): Promise<TapedeckClient> {
  for (;;) {
    try {
      return await TapedeckClient.connect(url, {
        form: given.form as 'msgpack' | 'json',
        reconnect: { maxMs: 1_000 },
        environment: { WebSocket: Overheard as unknown as SocketConstructor },
      });
    } catch {
      await Bun.sleep(200);
    }
  }
}

const client = await connect();
const epoch = (): number => client.welcome?.epoch ?? 0;
const books = new Map<string, LocalBook>();
const held = new Map<string, number>();
const lost = new Map<string, { from: number; to: number }>();

client.on('connected', (e) => {
  isConnected = true;
  say({ kind: 'connected', ...e });
});
client.on('disconnected', (e) => {
  isConnected = false;
  say({ kind: 'disconnected', why: e.reason });
});
client.on('chain-break', (e) => say({ kind: 'chain-break', ...e }));
client.on('resumed', (e) => say({ kind: 'resumed', epoch: epoch(), ...e }));

function take(item: Item): void {
  if (item.type === 'gap') {
    const { topic, from, to, count, reason } = item;
    const isVoid = (held.get(topic) ?? 0) >= from && reason === 'not-journaled';
    if (reason === 'not-journaled') lost.set(topic, { from, to });
    held.set(topic, to);
    say({
      kind: 'gap',
      epoch: epoch(),
      topic,
      from,
      to,
      count,
      reason,
      void_from: isVoid ? from : null,
    });
  } else if (item.type === 'reset') {
    stateUpTo.push({ topics: item.topics, seq: item.seq });
    for (const topic of [...held.keys(), ...lost.keys()]) {
      if (!covers(item.topics, topic)) continue;
      held.delete(topic);
      lost.delete(topic);
    }
    say({
      kind: 'reset',
      epoch: item.epoch,
      topics: item.topics,
      seq: item.seq,
      reason: item.reason,
      local: item.local,
    });
  } else {
    message(item);
  }
}

function message(item: TopicMessage): void {
  const m = toJson(item, (symbol) => client.instruments.get(symbol));
  const topic = topicOf(m);
  const state = stateUpTo.findLast((s) => covers(s.topics, topic));
  const gap = lost.get(topic);
  const isTold =
    gap !== undefined && (item.seq < gap.from || (item.seq === gap.to && item.prevSeq === gap.to));
  const isState = (state !== undefined && item.seq <= state.seq) || isTold;
  if (!isTold) lost.delete(topic);
  held.set(topic, Math.max(held.get(topic) ?? 0, item.seq));
  const line = { kind: isState ? 'state' : 'message', epoch: epoch(), message: m };
  say(item.type === 'book' ? { ...line, book: copyBehind(item) } : line);
}

function copyBehind(item: Extract<TopicMessage, { type: 'book' }>): unknown {
  let book = books.get(item.symbol);
  if (book === undefined) books.set(item.symbol, (book = new LocalBook()));
  book.apply(item);
  if (!book.trusted) return null;
  const { priceScale, quantityScale } = client.instruments.get(item.symbol)!;
  const pairs = (flat: readonly number[]): string[][] =>
    Array.from({ length: flat.length / 2 }, (_, i) => [
      formatDecimal(flat[2 * i]!, priceScale),
      formatDecimal(flat[2 * i + 1]!, quantityScale),
    ]);
  return { bids: pairs(book.bids), asks: pairs(book.asks) };
}

async function finish(seq: number): Promise<void> {
  const isDone = (): boolean =>
    isConnected && heard >= seq && performance.now() - lastItemMs > QUIET_MS;
  for (let tries = 0; tries < 600 && !isDone(); tries++) await Bun.sleep(100);
  if (!isDone()) console.error(`not finished: heard ${heard} of ${seq}`);
  say({ kind: isDone() ? 'finished' : 'unfinished', seq });
  process.exit(isDone() ? 0 : 1);
}

async function orders(): Promise<void> {
  for await (const line of console) {
    const [word, seq] = line.split(' ');
    if (word === 'finish') await finish(Number(seq));
  }
  process.exit(0);
}

void orders();
const subscription = client.subscribe(topics, { queueMax: 1_000_000 });
for await (const item of subscription) {
  lastItemMs = performance.now();
  take(item);
}
