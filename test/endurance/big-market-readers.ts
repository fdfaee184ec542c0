/**
 * Readers of the big market: many sessions in one process. Each checks by `seq` and `prevSeq` that it has every
 * message of its topics; some also check the content of messages, and their latency.
 */

import { decodeFrame, isFault } from '../../protocol/codec';
import { MESSAGES, type Message } from '../../protocol/messages';
import { MsgReader } from '../../protocol/reader';
import { SystemClock } from '../../src/base/clock';
import { Prng } from '../../src/base/prng';
import { LocalBook } from '../../src/client/local-book';
import { QuickSocket } from '../bench/quick-socket';
import { Samples, type Figures } from '../bench/samples';
import { instrumentOf, symbolOf, tradePrice, tradeQuantity } from './big-market-shape';
import { until } from '../support/until';

export type BigReaderJob =
  | {
      readonly act: 'open';
      readonly url: string;
      readonly sessions: number;
      readonly topics: number;
      readonly instruments: number;
      /** One session in this many checks the content of messages. */
      readonly sampleEvery: number;
      readonly seed: number;
    }
  | { readonly act: 'begin' | 'sum' };

export interface BigReaderDone {
  readonly sessions: number;
  readonly messages: number;
  /** Messages whose `prevSeq` is not the newest seq that the session had of the topic, and repetitions. */
  readonly holes: number;
  readonly repeated: number;
  readonly gaps: number;
  readonly resets: number;
  readonly errors: number;
  /** Sessions that ended. */
  readonly ended: number;
  /** Of the sampled sessions: messages whose content was checked, and those that were wrong. */
  readonly checked: number;
  readonly wrong: number;
  readonly latency: Figures;
}

const CHANNELS = ['trade', 'tick', 'bbo', 'book'] as const;
const CHAINED: ReadonlySet<number> = new Set(CHANNELS.map((channel) => MESSAGES[channel].code));
const OPENING_MAX = 50;
const SYMBOL_MAX = 48;
/** The first byte of a frame with one message. */
const ONE_MESSAGE = Uint8Array.of(0x91);

const clock = new SystemClock();
const latency = new Samples();
const sum = {
  sessions: 0,
  messages: 0,
  holes: 0,
  repeated: 0,
  gaps: 0,
  resets: 0,
  errors: 0,
  ended: 0,
  checked: 0,
  wrong: 0,
};
/** Welcomes and acknowledgements. */
const got = { answers: 0 };

class Chains {
  /** The newest `seq` of each topic. */
  private readonly heads = new Map<string, number>();

  take(payload: Uint8Array): void {
    const reader = new MsgReader(payload);
    const count = reader.arrayHeader();
    for (let i = 0; i < count; i++) {
      const start = reader.position;
      reader.arrayHeader();
      const code = reader.int();
      if (CHAINED.has(code)) {
        this.link(code, reader.ascii(SYMBOL_MAX), reader.int(), reader.int());
      }
      reader.position = start;
      reader.skip();
      if (code < MESSAGES.instrument.code) this.control(payload.subarray(start, reader.position));
    }
  }

  private link(code: number, symbol: string, seq: number, prevSeq: number): void {
    sum.messages += 1;
    const topic = `${code}:${symbol}`;
    const head = this.heads.get(topic);
    this.heads.set(topic, seq);
    if (head === undefined || prevSeq === head) return;
    if (seq <= head) sum.repeated += 1;
    else sum.holes += 1;
  }

  /** An answer, a gap or a reset. */
  private control(message: Uint8Array): void {
    const [m] = decodeFrame(Buffer.concat([ONE_MESSAGE, message]));
    if (m === undefined || isFault(m)) throw new Error(m?.message ?? 'an empty message');
    if (m.type === 'welcome' || m.type === 'ack') got.answers += 1;
    else if (m.type === 'error') sum.errors += 1;
    else if (m.type === 'reset') {
      sum.resets += m.topics.length;
      this.heads.clear();
    } else if (m.type === 'gap') {
      sum.gaps += 1;
      const [channel = '', symbol = ''] = m.topic.split(':');
      this.heads.set(`${MESSAGES[channel as 'trade'].code}:${symbol}`, m.to);
    }
  }
}

/** What the source sent, as the session received it. */
class Content {
  private readonly books = new Map<string, LocalBook>();

  take(messages: readonly Message[], nowMs: number): void {
    for (const m of messages) {
      if (m.type === 'trade') {
        const instrument = instrumentOf(m.symbol);
        this.judge(
          m.price === tradePrice(instrument, m.tradeId) &&
            m.quantity === tradeQuantity(instrument, m.tradeId),
        );
        const { seconds, nanosOfSecond } = m.eventTime;
        latency.add(nowMs - (seconds * 1_000 + nanosOfSecond / 1e6), 1);
      } else if (m.type === 'book') {
        let book = this.books.get(m.symbol);
        if (book === undefined) this.books.set(m.symbol, (book = new LocalBook()));
        const outcome = book.apply(m);
        this.judge(outcome === 'applied' || outcome === 'repeated');
      }
    }
  }

  private judge(isRight: boolean): void {
    sum.checked += 1;
    if (!isRight) sum.wrong += 1;
  }
}

async function open(job: Extract<BigReaderJob, { act: 'open' }>): Promise<void> {
  const random = new Prng(job.seed);
  for (let i = 1; i <= job.sessions; i++) {
    const chains = new Chains();
    const content = i % job.sampleEvery === 0 ? new Content() : undefined;
    const take = (payload: Uint8Array): void => {
      chains.take(payload);
      if (content === undefined) return;
      const now = clock.now();
      const messages = decodeFrame(payload).filter((m): m is Message => !isFault(m));
      content.take(messages, now.seconds * 1_000 + now.nanosOfSecond / 1e6);
    };
    const socket = await QuickSocket.open(job.url, take, () => (sum.ended += 1));
    const topics = new Set<string>();
    while (topics.size < Math.min(job.topics, CHANNELS.length * job.instruments)) {
      topics.add(
        `${CHANNELS[random.int(0, CHANNELS.length - 1)]!}:${symbolOf(random.int(0, job.instruments - 1))}`,
      );
    }
    socket.subscribe([...topics]);
    sum.sessions += 1;
    if (i % OPENING_MAX === 0 || i === job.sessions) await answered(2 * i);
  }
}

async function answered(count: number): Promise<void> {
  await until(() => got.answers >= count);
}

async function act(job: BigReaderJob): Promise<void> {
  if (job.act === 'open') await open(job);
  else if (job.act === 'begin') latency.clear();
  process.send!({ ...sum, latency: latency.figures() } satisfies BigReaderDone);
}

process.on('message', (job: BigReaderJob) => void act(job));
process.on('disconnect', () => process.exit(0));
