/**
 * Watcher: a well-behaved reader that trusts nothing, over a hand-written socket. For each topic it checks the
 * chain, for each book a copy by the checksums; what does not fit is kept as a complaint. It sends one request at a
 * time, so that messages can be judged by one state.
 */

import {
  decodeFrame,
  decodeTextFrame,
  encodeTextFrame,
  FrameEncoder,
  isFault,
  SUBPROTOCOL_JSON,
  SUBPROTOCOL_MSGPACK,
} from '../../protocol/codec';
import type { Instrument, Message, MessageOf } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { topicOf } from '../../protocol/topics';
import { LocalBook } from '../../src/client/local-book';
import { RawSocket, rawFrame } from './raw-socket';

export type WatcherForm = 'msgpack' | 'json';

interface Copy {
  last: number;
  readonly book: LocalBook;
}

type Request = Extract<Message, { id: number }>;

const WAIT_MS = 20_000;

export class Watcher {
  readonly complaints: string[] = [];
  epoch = 0;
  messages = 0;
  gaps = 0;
  proofs = 0;
  /** Why and how the connection ended. */
  closed: string | null = null;
  /** The server has announced that it ends the connection. */
  isClosing = false;
  private readonly form: WatcherForm;
  readonly name: string;
  private readonly encoder = new FrameEncoder();
  private readonly copies = new Map<string, Copy>();
  private readonly instruments = new Map<string, Instrument>();
  private readonly waiting = new Map<number, (answer: Message | null) => void>();
  private socket: RawSocket | undefined;
  private lastId = 0;
  /** Messages of a replay belong to no topic. */
  isReplaying = false;
  /** Topics whose state, or missed messages, are being sent. */
  private asked = new Set<string>();
  /** Some topics may be sent messages that it already has. */
  private isResuming = false;

  private constructor(name: string, form: WatcherForm) {
    this.name = name;
    this.form = form;
  }

  static async open(url: string, form: WatcherForm, name = 'bystander'): Promise<Watcher> {
    const watcher = new Watcher(name, form);
    await watcher.connect(url);
    return watcher;
  }

  /** Connects, for the first time or again; what it holds stays. */
  async connect(url: string): Promise<void> {
    this.closed = null;
    this.isClosing = false;
    const subprotocol = this.form === 'json' ? SUBPROTOCOL_JSON : SUBPROTOCOL_MSGPACK;
    const socket = await RawSocket.open(url, subprotocol, '', {
      message: (payload) => this.read(payload),
      ping: (payload, socket) => socket.write(rawFrame(10, payload)),
      pong: () => {},
      close: (code, reason) => {
        this.closed = `${code} ${reason}`;
      },
      end: () => {
        this.closed ??= 'without a word';
        for (const resolve of this.waiting.values()) resolve(null);
        this.waiting.clear();
      },
      wrong: (what) => this.complain(what),
    });
    this.socket = socket;
    if (!socket.isOpen) throw new Error(`no WebSocket: ${socket.head.split('\r\n')[0]}`);
    await this.settle();
  }

  /** The position up to which it has everything of what it holds; 0 when it holds nothing. */
  get position(): number {
    const seqs = [...this.copies.values()].map(({ last }) => last).filter((last) => last >= 0);
    return seqs.length === 0 ? 0 : Math.min(...seqs);
  }

  get topics(): string[] {
    return [...this.copies.keys()];
  }

  get isOpen(): boolean {
    return this.socket?.isOpen === true;
  }

  subscribe(topics: readonly string[]): Promise<Message | null> {
    for (const topic of topics) this.asked.add(topic);
    return this.ask({ type: 'subscribe', id: 0, topics: [...topics], intervalMs: null });
  }

  async unsubscribe(topics: readonly string[]): Promise<void> {
    const answer = await this.ask({ type: 'unsubscribe', id: 0, topics: [...topics] });
    if (answer?.type !== 'ack') return;
    for (const topic of topics)
      for (const name of this.copies.keys()) if (covers(topic, name)) this.copies.delete(name);
  }

  /** Resumes what it holds, from the position at which it has everything. */
  async resume(epoch = this.epoch, seq = this.position): Promise<Message | null> {
    const topics = this.topics;
    if (topics.length === 0) return null;
    this.isResuming = true;
    return this.ask({ type: 'resume', id: 0, epoch, seq, topics, newest: null, positions: null });
  }

  /** Sends a request with its own id, and waits for its answer; null: the connection ended. */
  ask(request: Request): Promise<Message | null> {
    const id = ++this.lastId;
    return new Promise((resolve) => {
      const timer = setTimeout(
        () => this.complain(`${request.type} ${id} is not answered`),
        WAIT_MS,
      );
      this.waiting.set(id, (answer) => {
        clearTimeout(timer);
        this.asked.clear();
        this.isResuming = false;
        resolve(answer);
      });
      this.send({ ...request, id });
    });
  }

  settle(): Promise<Message | null> {
    return this.ask({ type: 'ping', id: 0, time: Nanos.ZERO });
  }

  send(message: Message): void {
    const payload =
      this.form === 'json'
        ? Buffer.from(encodeTextFrame([message], (symbol) => this.instruments.get(symbol)))
        : Buffer.from(this.encoder.encode([message]));
    this.socket?.write(rawFrame(this.form === 'json' ? 1 : 2, payload));
  }

  /** Stops reading for a time; requests are still sent. */
  hold(ms: number): void {
    const { socket } = this;
    socket?.pause();
    setTimeout(() => socket?.goOn(), ms);
  }

  close(): void {
    this.socket?.write(rawFrame(8, Buffer.from([3, 232])));
  }

  drop(): void {
    this.socket?.drop();
  }

  private complain(what: string): void {
    if (this.complaints.length < 20) this.complaints.push(`${this.name}: ${what}`);
  }

  private read(payload: Buffer): void {
    const items =
      this.form === 'json'
        ? decodeTextFrame(payload.toString(), (symbol) => this.instruments.get(symbol))
        : decodeFrame(payload);
    for (const item of items) {
      if (isFault(item)) this.complain(`does not decode: ${item.message}`);
      else this.take(item);
    }
  }

  private take(m: Message): void {
    this.messages += 1;
    switch (m.type) {
      case 'welcome':
        if (this.epoch !== m.epoch) this.copies.clear();
        this.epoch = m.epoch;
        return;
      case 'instrument':
        this.instruments.set(m.symbol, m);
        return;
      case 'ack':
        return this.answered(m.id, m);
      case 'pong':
        return this.answered(m.id, m);
      case 'error':
        if (m.id !== null) this.answered(m.id, m);
        return;
      case 'closing':
        this.isClosing = true;
        return;
      case 'gap':
        return this.gap(m);
      case 'reset':
        for (const topic of m.topics) {
          this.asked.add(topic);
          this.forget(topic);
        }
        return;
      case 'heartbeat':
        return this.heartbeat(m);
      default:
        if ('prevSeq' in m && m.type !== 'execution' && !this.isReplaying) this.sequenced(m);
    }
  }

  private answered(id: number, answer: Message): void {
    const resolve = this.waiting.get(id);
    if (resolve === undefined) return this.complain(`an answer to nothing: ${show(answer)}`);
    this.waiting.delete(id);
    resolve(answer);
  }

  private sequenced(m: Extract<Message, { prevSeq: number }>): void {
    const topic = topicOf(m)!;
    let copy = this.copies.get(topic);
    const isState = [...this.asked].some((name) => covers(name, topic));
    if (copy === undefined) {
      copy = { last: -1, book: new LocalBook() };
      this.copies.set(topic, copy);
    } else if (isState && m.prevSeq !== copy.last) {
      copy.last = -1; // sent again
    }
    const { last } = copy;
    if (this.isResuming && m.seq <= last) return; // a repetition [T5]
    const isEnd = m.type === 'bar' && m.final && m.seq === last;
    const isRight = last === -1 || (m.prevSeq === last && m.seq > last) || isEnd;
    // The state of `status` has a message for each instrument, and they do not chain.
    if (!isRight && !(isState && topic === 'status'))
      this.complain(`${topic}: after ${last} comes ${m.seq} that follows ${m.prevSeq}`);
    copy.last = Math.max(last, m.seq);
    if (m.type !== 'book') return;
    const outcome = copy.book.apply(m);
    if (m.crc !== null) this.proofs += 1;
    if (outcome !== 'applied' && outcome !== 'incomplete' && !isState)
      this.complain(`${topic} at ${m.seq}: ${outcome}`);
  }

  private gap(m: MessageOf<'gap'>): void {
    this.gaps += 1;
    const copy = this.copies.get(m.topic);
    if (copy === undefined) return;
    copy.last = m.to;
    copy.book.skipTo(m.to);
  }

  private heartbeat({ heads }: MessageOf<'heartbeat'>): void {
    if (this.asked.size > 0 || this.isReplaying) return;
    for (const { topic, seq } of heads) {
      const copy = this.copies.get(topic);
      // If nothing was received since the state, the head may be that of the state.
      if (copy !== undefined && copy.last !== -1 && seq > copy.last)
        this.complain(`${topic}: the head is ${seq}, and ${copy.last} came last`);
    }
  }

  private forget(name: string): void {
    for (const topic of this.copies.keys()) if (covers(name, topic)) this.copies.delete(topic);
  }
}

/** Whether a requested name covers a topic. */
function covers(name: string, topic: string): boolean {
  if (name === topic) return true;
  const [channel, symbol, interval] = name.split(':');
  const [channelOfTopic, , intervalOfTopic] = topic.split(':');
  return symbol === '*' && channel === channelOfTopic && interval === intervalOfTopic;
}

function show(message: Message): string {
  return Bun.inspect(message, { depth: 3, compact: true }).slice(0, 200);
}
