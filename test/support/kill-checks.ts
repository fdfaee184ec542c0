/**
 * Checks of an epoch against the truth of the journal: what was acknowledged to clients is recorded, the streams of
 * readers are unbroken, and what a restarted server publishes follows from the records.
 */

import { naiveBars, naiveSession, naiveTurnover } from '../derived/naive-statistics';
import type { Trade } from '../../protocol/messages';
import { answersOf, type Outside, type Trader } from './kill-load';
import type { LoadedServer, Subscribed } from './kill-server';
import { decimal, type Json } from './kill-rows';
import { must, type Truth } from './kill-truth';
import type { Seen } from './stream-client';

const PRICE_SCALE = 2;
const QUANTITY_SCALE = 3;

/** Messages pushed in all epochs: a hash of each by its seq. */
export class Pushed {
  readonly hashes = new Map<number, number | bigint>();
  /** The newest seq that anybody was sent. */
  received = 0;

  /** @returns the text of the message */
  take(m: Seen): string {
    const text = JSON.stringify(m);
    const seq = m['seq'] as number;
    const hash = Bun.hash.wyhash(text);
    const known = this.hashes.get(seq);
    must(
      known === undefined || known === hash,
      () => `seq ${seq} was pushed with other content: ${text}`,
    );
    this.hashes.set(seq, hash);
    return text;
  }

  see(seq: unknown): void {
    if (typeof seq === 'number' && seq > this.received) this.received = seq;
  }
}

const DATA = new Set(['tick', 'trade', 'bbo', 'book', 'status']);

function topicOf(m: Seen): string {
  return m.type === 'status' ? 'status' : `${m.type}:${String(m['symbol'])}`;
}

/** Notes everything that clients of an epoch were sent, before its file is read. */
export function noteReceived({ readers, traders, publisher }: LoadedServer, pushed: Pushed): void {
  for (const { client } of [...readers, ...traders, publisher]) {
    for (const m of client.seen) pushed.see(m['seq']);
  }
}

/** @returns how many messages were pushed to readers that the journal does not have */
export function checkReaders(
  { readers }: LoadedServer,
  truth: Truth,
  pushed: Pushed,
  isAsync: boolean,
): number {
  let lost = 0;
  for (const reader of readers) {
    checkState(reader, truth, isAsync);
    const heads = new Map<string, number>();
    for (const m of reader.state) if (DATA.has(m.type)) heads.set(topicOf(m), m['seq'] as number);
    for (const m of reader.client.seen.slice(reader.liveFrom)) {
      if (m.type === 'heartbeat') checkHeartbeat(m, heads, reader.ackSeq);
      if (!DATA.has(m.type)) continue;
      follow(m, heads, reader.ackSeq);
      const text = pushed.take(m);
      if (isAsync && (m['seq'] as number) > truth.seq) lost += 1;
      else
        must(
          truth.texts.get(m['seq'] as number) === text,
          () => `pushed ${text}, on record ${truth.texts.get(m['seq'] as number)}`,
        );
    }
  }
  return lost;
}

/** [T5] [S5]. */
function follow(m: Seen, heads: Map<string, number>, ackSeq: number): void {
  const topic = topicOf(m);
  const head = heads.get(topic);
  const { seq, prevSeq } = m as unknown as { seq: number; prevSeq: number };
  const follows = head === undefined ? prevSeq <= ackSeq : prevSeq === head;
  must(
    follows && seq > (head ?? ackSeq),
    () => `${topic}: ${seq} with prevSeq ${prevSeq} follows ${head}, subscribed at ${ackSeq}`,
  );
  heads.set(topic, seq);
}

/** [T7]: the head of a heartbeat was received, or was there before. */
function checkHeartbeat(m: Seen, heads: ReadonlyMap<string, number>, ackSeq: number): void {
  for (const { topic, seq } of m['heads'] as { topic: string; seq: number }[]) {
    const head = heads.get(topic) ?? ackSeq;
    must(
      seq <= Math.max(head, ackSeq),
      () => `a heartbeat names ${seq} of ${topic}, and ${head} came`,
    );
  }
}

/** The state at the beginning of a subscription equals that of the records. */
function checkState({ state, ackSeq }: Subscribed, truth: Truth, isAsync: boolean): void {
  for (const m of state) {
    const seq = m['seq'] as number;
    if (!DATA.has(m.type)) continue;
    must(seq <= ackSeq, () => `a state at ${seq} is answered at ${ackSeq}`);
    if (isAsync && seq > truth.seq) continue;
    if (m.type === 'book') {
      const whole = truth.wholeBooks.get(seq);
      const { form, bids, asks } = m;
      const isSame =
        JSON.stringify([form, bids, asks]) ===
        JSON.stringify([
          whole?.isTrusted === true ? 'snapshot' : 'incomplete',
          whole?.bids,
          whole?.asks,
        ]);
      must(
        isSame,
        () => `a subscription got ${JSON.stringify(m)}, the records say ${JSON.stringify(whole)}`,
      );
    } else {
      // What was recorded before a restart is marked `recovered` until its source sends again.
      const text = JSON.stringify(m['mark'] === 'recovered' ? { ...m, mark: null } : m);
      must(
        truth.texts.get(seq) === text,
        () => `a state is ${text}, on record ${truth.texts.get(seq)}`,
      );
    }
  }
}

/** @returns how many requests were acknowledged */
export function checkTraders({ traders }: LoadedServer, truth: Truth, isAsync: boolean): number {
  let acknowledged = 0;
  for (const trader of traders) {
    const first = new Map<unknown, string>();
    const answers = answersOf(trader.client);
    for (const [id, answer] of answers) {
      const request = trader.sent.get(id as number);
      must(request !== undefined, () => `an answer to nothing: ${JSON.stringify(answer)}`);
      acknowledged += 1;
      const isLost = isAsync && answer.type === 'ack' && (answer['seq'] as number) > truth.seq;
      if (request['type'] === 'order') checkOrder(trader, request, answer, first, truth, isAsync);
      else if (answer.type === 'ack' && !isLost) {
        const command = truth.commands.get(answer['seq'] as number);
        const isSame = command?.action === request['type'] && command?.owner === trader.owner;
        must(
          isSame,
          () =>
            `${JSON.stringify(request)} was answered with ${JSON.stringify(answer)}, on record is ${JSON.stringify(command)}`,
        );
      }
    }
    checkExecutions(trader, truth, isAsync);
  }
  return acknowledged;
}

/** An acknowledged order is recorded once, and has one answer, however often it was sent. */
function checkOrder(
  { owner }: Trader,
  request: Json,
  answer: Seen,
  first: Map<unknown, string>,
  truth: Truth,
  isAsync: boolean,
): void {
  const describe = (): string =>
    `${JSON.stringify(request)} was answered with ${JSON.stringify(answer)}`;
  const name = request['clientOrderId'] as string;
  if (answer['code'] === 'duplicate-client-order-id') {
    must(request['quantity'] === '9.999', describe);
    return;
  }
  const same = withoutId(answer);
  const before = first.get(name);
  if (name !== '') first.set(name, same);
  must(
    name === '' || before === undefined || before === same,
    () => `${describe()}, before with ${before}`,
  );
  const seq = answer['seq'] as number;
  if (answer.type === 'error') {
    if (name === '') return;
    const onRecord = truth.orders.get(`${owner} ${name}`);
    must(isAsync || onRecord !== undefined, () => `${describe()}, and is not on record`);
    must(
      onRecord === undefined || onRecord.orderId === 0,
      () => `${describe()}, and has an id on record`,
    );
    return;
  }
  if (isAsync && seq > truth.seq) return;
  const command = name === '' ? truth.commands.get(seq) : truth.orders.get(`${owner} ${name}`);
  const fits =
    command?.seq === seq && command.owner === owner && command.symbol === request['symbol'];
  must(fits && command.orderId > 0, () => `${describe()}, on record is ${JSON.stringify(command)}`);
}

export function withoutId(answer: Seen): string {
  return JSON.stringify({ ...answer, id: 0 });
}

/** [O4]: an execution has the seq of its command, or of the trade that it reports. */
function checkExecutions({ client, owner }: Trader, truth: Truth, isAsync: boolean): void {
  for (const m of client.seen) {
    if (m.type !== 'execution') continue;
    const seq = m['seq'] as number;
    if (isAsync && seq > truth.seq) continue;
    const text = truth.texts.get(seq);
    const describe = (): string =>
      `${JSON.stringify(m)}, on record is ${text ?? JSON.stringify(truth.commands.get(seq))}`;
    if (m['event'] === 'traded') {
      const { type, price, quantity } = JSON.parse(text ?? '{}') as Json;
      must(
        type === 'trade' && price === m['tradePrice'] && quantity === m['tradeQuantity'],
        describe,
      );
    } else if (m['event'] === 'accepted' || m['event'] === 'rejected') {
      const command = truth.commands.get(seq);
      must(command?.owner === owner && command.clientOrderId === m['clientOrderId'], describe);
      must((command?.orderId ?? -1) === m['orderId'], describe);
    } else {
      must(text !== undefined || truth.commands.has(seq), describe);
    }
  }
}

/** @returns how many publishes were acknowledged */
export function checkPublisher(
  { publisher }: LoadedServer,
  outside: Outside,
  truth: Truth,
  isAsync: boolean,
): number {
  const answers = answersOf(publisher.client);
  let last = 0;
  for (const [, answer] of answers) {
    must(answer.type === 'ack', () => `a publish was refused: ${JSON.stringify(answer)}`);
    const seq = answer['seq'] as number;
    must(seq >= last, () => `the acknowledgement of ${seq} follows that of ${last}`);
    last = seq;
  }
  const lastTrade = outside.settle(publisher.published, answers);
  if (isAsync) return answers.size;
  must(
    last <= truth.seq,
    () => `a publish was acknowledged at ${last}, the journal ends at ${truth.seq}`,
  );
  must(
    lastTrade <= truth.sourceTrade,
    () => `trade ${lastTrade} was acknowledged, the journal ends with ${truth.sourceTrade}`,
  );
  return answers.size;
}

function mustEqual(what: string, received: unknown, naive: unknown): void {
  const [a, b] = [JSON.stringify(received), JSON.stringify(naive)];
  must(a === b, () => `${what} is ${a}, the records say ${b}`);
}

/** Checks what REST returned for an instrument before the server got any new request. */
export function checkAnswers(
  answers: ReadonlyMap<string, Json>,
  symbol: string,
  epoch: number,
  truth: Truth,
): void {
  const of = (path: string): Json => answers.get(path)!;
  const book = of(`orderbook/${symbol}`);
  const naive = truth.books.get(symbol);
  if (naive === undefined || !naive.isTrusted) {
    const code = (book['error'] as Json | undefined)?.['code'];
    mustEqual(`the book of ${symbol}`, code, naive === undefined ? 'no-data' : 'book-incomplete');
  } else {
    mustEqual(
      `the book of ${symbol}`,
      [book['seq'], book['bids'], book['asks'], book['epoch']],
      [naive.seq, naive.bids, naive.asks, epoch],
    );
  }
  const tick = truth.newest.get(`tick:${symbol}`);
  if (tick !== undefined) {
    const {
      epoch: _,
      source: __,
      ageMs: ___,
      state: ____,
      mark: _____,
      ...received
    } = of(`tick/${symbol}`);
    mustEqual(`the tick of ${symbol}`, received, JSON.parse(tick.text));
  }
  const recent = (truth.tradeMessages.get(symbol) ?? []).slice(-100).toReversed();
  mustEqual(`the trades of ${symbol}`, of(`trades/${symbol}`)['trades'], recent);
  checkStatistics(of(`stats/${symbol}`), of(`bars/${symbol}?interval=1m`), symbol, truth);
}

function checkStatistics(stats: Json, bars: Json, symbol: string, truth: Truth): void {
  const trades = truth.trades.get(symbol) ?? [];
  if (trades.length === 0) {
    mustEqual(`the bars of ${symbol}`, bars['bars'], []);
    return;
  }
  const price = (value: number | null): string | null => decimal(value, PRICE_SCALE);
  const session = naiveSession(trades, 0);
  const s = summary(session.trades);
  const { turnover, vwap } = naiveTurnover(session.trades, PRICE_SCALE, QUANTITY_SCALE);
  const names = [
    'open',
    'high',
    'low',
    'last',
    'previousClose',
    'volume',
    'trades',
    'seq',
    'turnover',
    'vwap',
  ];
  mustEqual(
    `the session of ${symbol}`,
    names.map((name) => stats[name]),
    [
      ...[s.open, s.high, s.low, s.close, session.previousClose].map(price),
      decimal(s.volume, QUANTITY_SCALE),
      s.trades,
      s.seq,
      turnover,
      vwap,
    ],
  );
  const received = (bars['bars'] as Json[]).map((b) =>
    ['openTime', 'open', 'high', 'low', 'close', 'volume', 'trades', 'seq'].map((name) => b[name]),
  );
  const naive = naiveBars(trades, '1m').map(({ openTime, trades: own }) => {
    const bar = summary(own);
    const volume = decimal(bar.volume, QUANTITY_SCALE);
    const [open, high, low, close] = [bar.open, bar.high, bar.low, bar.close].map(price);
    return [String(openTime), open, high, low, close, volume, bar.trades, bar.seq];
  });
  mustEqual(`the bars of ${symbol}`, received, naive.slice(-100));
}

/** Fields of a bar or session, scaled, of any number of trades. */
function summary(trades: readonly Trade[]) {
  const first = trades[0]!;
  const all = { open: first.price, high: first.price, low: first.price, close: 0, volume: 0 };
  for (const { price, quantity } of trades) {
    if (price > all.high) all.high = price;
    if (price < all.low) all.low = price;
    all.close = price;
    all.volume += quantity;
  }
  return { ...all, trades: trades.length, seq: Math.max(...trades.map(({ seq }) => seq)) };
}

/** [T6] [S4]: a reader that has come back: the epoch is new, and books equal those of REST. */
export function checkReturned(
  { state, welcome }: Subscribed,
  answers: ReadonlyMap<string, Json>,
  epochs: readonly number[],
): void {
  const epoch = welcome['epoch'] as number;
  must(!epochs.includes(epoch), () => `epoch ${epoch} follows ${epochs.join(', ')}`);
  for (const m of state) {
    if (m.type !== 'book') continue;
    const received = answers.get(`orderbook/${String(m['symbol'])}`)!;
    if (m['form'] === 'incomplete') {
      mustEqual('an incomplete book', (received['error'] as Json)['code'], 'book-incomplete');
    } else {
      mustEqual(
        'the book of a reader',
        [m['seq'], m['bids'], m['asks']],
        [received['seq'], received['bids'], received['asks']],
      );
    }
  }
}
