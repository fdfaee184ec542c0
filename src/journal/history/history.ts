/**
 * History: questions about the past, answered by a thread of its own. So a long answer delays
 * neither the event loop nor the writer.
 *
 * The thread starts on request, or with the first question. If it ends unexpectedly, its questions
 * are answered with a fault, and the next question starts another thread. Bounded: at most
 * `questionsMax` questions under way, the others are refused as `overloaded`; each question has a
 * limit of its own.
 */

import { fault, type Fault } from '../../../protocol/codes';
import { hasDescriptors, THREAD_DESCRIPTORS } from '../../base/descriptors';
import type { TurnMeter } from '../../base/turn-meter';
import type { MissingRange } from '../../base/contracts/past';
import type { AnswerTo, FromThread, Question, ToThread } from './messages';
import { startThread } from '../threads';

const CLOSE_WITHIN_MS = 1_000;

/** The part of a Worker that is used. */
export interface HistoryThread {
  postMessage(message: ToThread): void;
  terminate(): void;
  onmessage: ((event: MessageEvent<FromThread>) => void) | null;
  addEventListener(type: 'error' | 'close', listener: (event: Event) => void): void;
}

export interface HistoryOptions {
  readonly questionsMax: number;
  /**
   * Commits what the journal still holds back, so that an answer has everything published before
   * the question. If the disk fails, it returns at once, and `open` says what is missing.
   */
  readonly flush: () => Promise<void> | void;
  /** What was published and is not in the journal because its disk fails; normally null. */
  readonly open?: () => MissingRange | null;
  /** Called when the thread has found a block that is not sound. */
  readonly onDamage?: (range: MissingRange) => void;
  /** Times the turns in which answers arrive. */
  readonly turns?: TurnMeter;
  /** Undefined if no thread can be started now. */
  readonly start: () => HistoryThread | undefined;
}

/** @param path of the journal's file */
export function startHistoryThread(path: string): HistoryThread | undefined {
  return startReader('history', path);
}

/** Starts the thread for replays, which answers the questions `replay-…`. */
export function startPlaybackThread(path: string): HistoryThread | undefined {
  return startReader('playback', path);
}

function startReader(name: 'history' | 'playback', path: string): HistoryThread | undefined {
  if (!hasDescriptors(THREAD_DESCRIPTORS)) return undefined;
  const worker = startThread(name, [path]);
  worker.unref();
  return worker;
}

function post(thread: HistoryThread, message: ToThread): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- that is for windows
  thread.postMessage(message);
}

type Answerer = (answer: never) => void;

export class History {
  private readonly options: HistoryOptions;
  private readonly waiting = new Map<number, Answerer>();
  /** Commits that questions wait for. */
  private readonly flushes = new Set<Promise<void>>();
  private thread: HistoryThread | null = null;
  private lastId = 0;
  private closed: (() => void) | null = null;

  constructor(options: HistoryOptions) {
    this.options = options;
  }

  /** Starts the thread before the first question, if enough file descriptors are free. */
  prepare(): void {
    this.started();
  }

  ask<Q extends Question>(question: Q): Promise<AnswerTo<Q> | Fault> {
    if (this.closed !== null) {
      return Promise.resolve(fault('shutting-down', 'the server is shutting down'));
    }
    const { questionsMax, flush } = this.options;
    if (this.waiting.size >= questionsMax) {
      const message = `${questionsMax} questions about the past are under way already`;
      return Promise.resolve(fault('overloaded', message));
    }
    const id = ++this.lastId;
    const { promise, resolve } = Promise.withResolvers<AnswerTo<Q> | Fault>();
    this.waiting.set(id, resolve);
    const flushed = flush();
    if (flushed === undefined) this.put(id, question);
    else this.putBehind(flushed, id, question);
    return promise;
  }

  /** Lets the thread close its connection, and ends it. */
  async close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = resolve;
    const timer = setTimeout(resolve, CLOSE_WITHIN_MS);
    await Promise.race([promise, Promise.all(this.flushes)]);
    const { thread } = this;
    if (thread !== null) {
      post(thread, 'close');
      await promise;
    }
    clearTimeout(timer);
    this.thread = null;
    this.fail(fault('shutting-down', 'the server is shutting down'));
    thread?.terminate();
  }

  private putBehind(flushed: Promise<void>, id: number, question: Question): void {
    const put = (): void => {
      this.flushes.delete(behind);
      this.put(id, question);
    };
    const behind = flushed.then(put, put);
    this.flushes.add(behind);
  }

  private put(id: number, question: Question): void {
    // The question may have failed meanwhile, with the thread or with the close.
    if (!this.waiting.has(id)) return;
    const open = this.options.open?.() ?? null;
    const thread = this.started();
    if (thread !== undefined) return post(thread, { id, question, open });
    const resolve = this.waiting.get(id)!;
    this.waiting.delete(id);
    resolve(fault('overloaded', 'no thread can be started: descriptors have run out') as never);
  }

  /** The thread, started if there is none; undefined if none can be started. */
  private started(): HistoryThread | undefined {
    if (this.thread !== null) return this.thread;
    const thread = this.options.start();
    if (thread !== undefined) this.thread = this.follow(thread);
    return thread;
  }

  private follow(thread: HistoryThread): HistoryThread {
    thread.onmessage = ({ data }): void => {
      const { turns } = this.options;
      if (turns === undefined) this.take(data);
      else turns.whole('read', () => this.take(data));
    };
    for (const end of ['error', 'close'] as const) {
      thread.addEventListener(end, () => this.ended(thread));
    }
    return thread;
  }

  private take(data: FromThread): void {
    if (data === 'closed') {
      this.closed?.();
      return;
    }
    if ('damaged' in data) return this.options.onDamage?.(data.damaged);
    const resolve = this.waiting.get(data.id);
    this.waiting.delete(data.id);
    resolve?.(data.answer as never);
  }

  private ended(thread: HistoryThread): void {
    if (this.thread !== thread) return;
    this.thread = null;
    thread.terminate();
    this.closed?.();
    this.fail(fault('history-failed', 'the thread that reads the journal ended'));
  }

  private fail(reason: Fault): void {
    const waiting = [...this.waiting.values()];
    this.waiting.clear();
    for (const resolve of waiting) resolve(reason as never);
  }
}
