/**
 * Checkpoint upload: a leader stores its newest checkpoint beside the batch log now and then, for new members.
 *
 * The journal of a leader can be ahead of the log, and what is ahead may come to nothing. So a checkpoint is stored only
 * once the log has everything that it has: a member that began with it could otherwise never follow.
 */

import { join } from 'node:path';

import type { Clock } from '../base/clock';
import type { CheckpointStore } from '../cluster/broker';
import type { LogPosition } from '../cluster/frame-chain';
import type { CheckpointAnswer, CheckpointTask } from '../journal/checkpoint-thread';
import { startThread } from '../journal/threads';
import type { Log } from '../log/contract';

export interface UploadParts {
  readonly store: CheckpointStore;
  readonly clock: Clock;
  readonly log: Log;
  /** Of the journal. */
  readonly path: string;
  readonly directory: string;
  readonly everyMs: number;
  /** Completed cycles of checkpoints since the start. */
  readonly cycles: () => number;
  /** Whether the log has everything up to a position; `never`: it goes on without that. */
  readonly logged: (position: LogPosition) => 'yes' | 'not-yet' | 'never';
}

/** The file that a thread writes meanwhile. */
const SCRATCH = 'checkpoint.partial.sqlite';

export class CheckpointUpload {
  /** Checkpoints stored by this process, and the sequence number of the newest. */
  stored = 0;
  seq = 0;
  private readonly parts: UploadParts;
  private worker: Worker | null = null;
  private isUnderWay = false;
  private nextMs = 0;
  private cycles = -1;
  /** A checkpoint that waits for the log. */
  private waiting: { readonly position: LogPosition; readonly goOn: () => void } | null = null;

  constructor(parts: UploadParts) {
    this.parts = parts;
  }

  /** To be called often. */
  look(): void {
    const { clock, everyMs, cycles } = this.parts;
    const nowMs = clock.monotonicMs();
    if (this.waiting !== null && this.parts.logged(this.waiting.position) !== 'not-yet') {
      this.waiting.goOn();
    }
    if (this.isUnderWay || nowMs < this.nextMs || cycles() === this.cycles) return;
    this.isUnderWay = true;
    this.nextMs = nowMs + everyMs;
    this.cycles = cycles();
    void this.store().finally(() => (this.isUnderWay = false));
  }

  stop(): void {
    this.worker?.terminate();
    this.worker = null;
    this.nextMs = Infinity;
    this.waiting = null;
  }

  private async store(): Promise<void> {
    const { store, log } = this.parts;
    const answer = await this.written();
    if (typeof answer === 'string') {
      log.warn({ reason: answer }, 'no checkpoint could be written for new members');
    } else if (answer !== null && (await this.isLogged(answer))) {
      const stored = await store.put(answer, answer.content);
      if (stored.outcome === 'ok') {
        this.stored += 1;
        this.seq = answer.seq;
      } else log.warn({ reason: stored.reason }, 'the broker did not store a checkpoint');
    }
  }

  /** Resolves once the log has everything up to a position, or goes on without it. */
  private async isLogged(position: LogPosition): Promise<boolean> {
    const { logged } = this.parts;
    if (logged(position) === 'not-yet') {
      await new Promise<void>((goOn) => (this.waiting = { position, goOn }));
      this.waiting = null;
    }
    return logged(position) === 'yes';
  }

  private written(): Promise<CheckpointAnswer> {
    const { path, directory, clock } = this.parts;
    const worker = (this.worker ??= startThread('checkpoint'));
    return new Promise((resolve) => {
      worker.onmessage = ({ data }: MessageEvent<CheckpointAnswer>) =>
        clock.turns.whole('checkpoint', () => resolve(data));
      worker.onerror = ({ message }) => resolve(message);
      const task: CheckpointTask = { path, scratch: join(directory, SCRATCH) };
      worker.postMessage(task, []);
    });
  }
}
