/**
 * A source of playbacks that answers when the test says so: a journal of trades, one for each seq, and nothing
 * else.
 */

import { FrameEncoder } from '../../protocol/codec';
import { fault, type Fault } from '../../protocol/codes';
import type { Trade } from '../../protocol/messages';
import type { Prng } from '../../src/base/prng';
import type { PlaybackChunk } from '../../src/broadcast/playback/chunk';
import type { PlaybackLimits } from '../../src/broadcast/playback/playbacks';
import type {
  PlaybackRange,
  PlaybackRequest,
  PlaybackSource,
} from '../../src/broadcast/playback/playback';
import { at, trade } from '../support/market-events';

interface Asked {
  readonly playback: number;
  readonly is: 'open' | 'next';
  readonly answer: (fails: boolean) => void;
}

/** @param playbacksPerClientMax without it only the number for all clients together is limited */
export function playbackLimits(
  playbacksMax: number,
  playbacksPerClientMax = Infinity,
): PlaybackLimits {
  return {
    playbacksMax,
    playbacksPerClientMax,
    playbackIdleMs: Infinity,
    playbackWaitMs: Infinity,
  };
}

export const FAILED = fault('history-failed', 'as the test wants it');

export class SteeredPlaybacks implements PlaybackSource {
  /** Requests without an answer. */
  readonly asked: Asked[] = [];
  /** Playbacks that the thread has open. */
  readonly held = new Map<number, { request: PlaybackRequest; next: number }>();
  readonly requests: PlaybackRequest[] = [];
  private readonly opened = new Set<number>();
  /** How many chunks were read. */
  chunks = 0;
  isBroken = false;
  private readonly framesMax: number;
  private readonly encoder = new FrameEncoder();

  /** @param framesMax of a chunk; each frame has one trade */
  constructor(framesMax: number) {
    this.framesMax = framesMax;
  }

  open(playback: number, request: PlaybackRequest): Promise<PlaybackRange | Fault> {
    this.requests.push(request);
    const { fromSeq, toSeq } = request;
    return this.put(playback, 'open', () => {
      this.held.set(playback, { request, next: fromSeq });
      this.opened.add(playback);
      return { fromSeq, toSeq, isBroken: this.isBroken };
    });
  }

  next(playback: number): Promise<PlaybackChunk | Fault> {
    if (!this.opened.has(playback)) throw new Error(`play ${playback} is read before it is open`);
    return this.put(playback, 'next', () => this.read(playback));
  }

  close(playback: number): void {
    this.held.delete(playback);
  }

  /** Answers one request, by default the oldest. */
  async answer(fails = false, index = 0): Promise<void> {
    const [asked] = this.asked.splice(index, 1);
    asked?.answer(fails);
    await Bun.sleep(0);
  }

  /** Answers all requests, and those that follow from the answers. */
  async answerAll(): Promise<void> {
    while (this.asked.length > 0) await this.answer();
  }

  async answerSome(prng: Prng, fails: boolean): Promise<void> {
    if (this.asked.length > 0) await this.answer(fails, prng.int(0, this.asked.length - 1));
  }

  private put<T>(playback: number, is: Asked['is'], make: () => T | Fault): Promise<T | Fault> {
    return new Promise((resolve) => {
      const answer = (fails: boolean): void => {
        if (fails) this.held.delete(playback);
        resolve(fails ? FAILED : make());
      };
      this.asked.push({ playback, is, answer });
    });
  }

  private read(playback: number): PlaybackChunk | Fault {
    const held = this.held.get(playback);
    if (held === undefined) return FAILED;
    this.chunks += 1;
    const { request } = held;
    const last = Math.min(request.toSeq, held.next + this.framesMax - 1);
    const parts: Uint8Array[] = [];
    const [ends, atMs, seqs]: number[][] = [[], [], []];
    let length = 0;
    const hasTrades = request.topics.some((topic) => topic.startsWith('trade:'));
    for (; held.next <= last; held.next++) {
      if (!hasTrades) continue;
      parts.push(this.encoder.encode([tradeAt(held.next)]));
      length += parts.at(-1)!.length;
      ends!.push(length);
      const sinceMs = held.next - request.fromSeq;
      atMs!.push(request.speed === 0 ? 0 : (sinceMs * 100) / request.speed);
      seqs!.push(held.next);
    }
    const isLast = held.next > request.toSeq;
    if (isLast) this.held.delete(playback);
    const bytes = new Uint8Array(Buffer.concat(parts));
    return {
      bytes,
      ends: ends!,
      texts: [],
      atMs: atMs!,
      seqs: seqs!,
      borders: seqs!,
      reached: last,
      isLast,
    };
  }
}

/** The trade with a seq: one a millisecond. */
export function tradeAt(seq: number): Trade {
  return trade({ seq, prevSeq: seq - 1, eventTime: at(seq * 1_000), price: 100 + (seq % 50) });
}
