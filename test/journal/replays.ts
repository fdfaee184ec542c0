/**
 * What the tests of replays share: a function that reads a replay to its end, and a reader of its
 * messages. The reader knows the rules of protocol/README.md and nothing of the implementation: it
 * follows the chain of each topic [T5] [R5], keeps a copy of each book, and throws when a message
 * does not continue what it holds.
 */

import { bookChecksum } from '../../protocol/checksum';
import { decodeFrame, decodeTextFrame, isFault } from '../../protocol/codec';
import { TenLevels } from '../../protocol/levels';
import type { Book, Instrument, Message, MessageOf } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import { parseTopic, topicOf } from '../../protocol/topics';
import type { ReplayChunk, ReplayOpen, ReplayOpened } from '../../src/journal/playback/messages';
import { PlaybackReader } from '../../src/journal/playback/reader';
import { SCALES } from '../support/stream-client';

export interface Replayed {
  readonly opened: ReplayOpened;
  readonly chunks: readonly ReplayChunk[];
  readonly frames: readonly (readonly Message[])[];
  readonly messages: readonly Message[];
}

let lastReplay = 0;

/** @param between called before each chunk but the first */
export function replay(
  reader: PlaybackReader,
  topics: readonly string[],
  more: Partial<ReplayOpen> = {},
  between: () => void = () => {},
): Replayed {
  const id = ++lastReplay;
  const open: ReplayOpen = {
    kind: 'replay-open',
    replay: id,
    topics,
    isText: false,
    fromSeq: 1,
    toSeq: 1e9,
    from: null,
    to: null,
    hasOpening: true,
    speed: 0,
    ...more,
  };
  const opened = reader.answer(open) as ReplayOpened;
  const chunks: ReplayChunk[] = [];
  for (;;) {
    const chunk = reader.answer({ kind: 'replay-next', replay: id });
    if (chunk === null || !('isLast' in chunk)) throw new Error(JSON.stringify(chunk));
    chunks.push(chunk);
    if (chunk.isLast) break;
    between();
  }
  const frames = chunks.flatMap(framesOf);
  return { opened, chunks, frames, messages: frames.flat() };
}

export function framesOf({ bytes, ends, texts }: ReplayChunk): Message[][] {
  const frames =
    texts.length > 0
      ? texts.map((text) => decodeTextFrame(text, () => SCALES))
      : ends.map((end, i) => decodeFrame(bytes.subarray(ends[i - 1] ?? 0, end)));
  return frames.map((frame) =>
    frame.map((message) => {
      if (isFault(message)) throw new Error(message.message);
      return message;
    }),
  );
}

/** As messages of the wire: without the fields that readers do not get. */
export function asPushed(event: BatchEvent): Message | undefined {
  if (event.type === 'command' || event.type === 'snapshot') return undefined;
  if (event.type !== 'trade') return event;
  const { sourceSeq: _, ...trade } = event;
  return trade;
}

export function isOfTopics(message: Message, topics: readonly string[]): boolean {
  const name = topicOf(message);
  if (name === undefined) return false;
  const { channel } = parseTopic(name)!;
  return topics.includes(name) || topics.includes(`${channel}:*`);
}

export interface Levels {
  readonly bids: readonly number[];
  readonly asks: readonly number[];
}

type Chained = Extract<Message, { prevSeq: number }>;

/** What a reader holds of one topic. */
interface Held {
  last: number;
  /** The newest message; a gap does not change it. */
  messageSeq: number;
  copy: TenLevels | null;
}

export class ReplayedReader {
  readonly received: Chained[] = [];
  readonly gaps: MessageOf<'gap'>[] = [];
  readonly definitions: Instrument[] = [];
  /** The books after each of their messages; null while unknown. */
  readonly states: { symbol: string; seq: number; levels: Levels | null }[] = [];
  private readonly held = new Map<string, Held>();
  private readonly start: number;
  private isOpening = true;

  /** @param fromSeq first seq of the replay */
  constructor(fromSeq: number) {
    this.start = fromSeq - 1;
  }

  take(message: Message): void {
    if (message.type === 'instrument') this.definitions.push(message);
    else if (message.type === 'gap') this.gap(message);
    else if ('prevSeq' in message) this.chained(message);
    else throw new Error(`${message.type} in a replay`);
  }

  private of(topic: string): Held {
    let held = this.held.get(topic);
    if (held === undefined) {
      held = { last: this.start, messageSeq: this.start, copy: null };
      this.held.set(topic, held);
    }
    return held;
  }

  private gap(message: MessageOf<'gap'>): void {
    const { topic, from, to, count } = message;
    const held = this.of(topic);
    if (from <= held.last || to < from || count !== to - from + 1) {
      throw new Error(`gap ${JSON.stringify(message)} after ${held.last}`);
    }
    held.last = to;
    this.gaps.push(message);
  }

  private chained(m: Chained): void {
    const topic = topicOf(m)!;
    const held = this.of(topic);
    if (m.type === 'book' && m.seq <= this.start && this.isOpening) {
      if (m.form === 'delta' || m.prevSeq !== 0) throw new Error('an opening that is not whole');
      held.last = m.seq;
      held.messageSeq = m.seq;
      held.copy = wholeOf(m);
      this.prove(m, held);
      return;
    }
    this.isOpening = false;
    const isWhole = m.type === 'book' && m.form !== 'delta';
    // A whole book may stand at the seq of a message that was not sent.
    const isRepeated =
      isWhole && m.prevSeq === m.seq && m.seq > held.messageSeq && m.seq >= held.last;
    const isNext = m.prevSeq <= held.last && m.seq > held.last;
    if (!isNext && !isRepeated)
      throw new Error(`${topic} ${m.seq} after ${m.prevSeq}, held up to ${held.last}`);
    if (m.type === 'book') {
      if (isWhole) held.copy = wholeOf(m);
      else if (held.copy === null) throw new Error(`a change of ${topic} that nothing is behind`);
      else if (m.prevSeq > held.messageSeq) throw new Error(`a change of ${topic} after a gap`);
      else held.copy.apply(m.bids, m.asks);
      this.prove(m, held);
    }
    held.last = Math.max(held.last, m.seq);
    held.messageSeq = m.seq;
    this.received.push(m);
  }

  private prove(m: Book, { copy }: Held): void {
    if (copy !== null && m.crc !== null && bookChecksum(copy.bids, copy.asks) !== m.crc) {
      throw new Error(`the book at ${m.seq} does not prove`);
    }
    const levels = copy && { bids: copy.bids, asks: copy.asks };
    this.states.push({ symbol: m.symbol, seq: m.seq, levels });
  }
}

function wholeOf({ form, bids, asks }: Book): TenLevels | null {
  if (form === 'incomplete') return null;
  const levels = new TenLevels();
  levels.replace(bids, asks);
  return levels;
}
