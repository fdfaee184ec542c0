/** A writer whose disk the test steers: it takes frames, and commits or refuses them on command. */

import type { RowFrame } from '../../src/journal/write/row-frame';
import type {
  CreateWriter,
  JournalWriter,
  WriteFailure,
  WriterEvents,
} from '../../src/journal/write/writer';

export class SteeredWriter implements JournalWriter {
  /** Sent and not yet committed, oldest first. */
  readonly waiting: RowFrame[] = [];
  readonly committed: RowFrame[] = [];
  isClosed = false;
  private events!: WriterEvents;

  readonly create: CreateWriter = (_settings, _db, events) => {
    this.events = events;
    return this;
  };

  send(frame: RowFrame): void {
    this.waiting.push(frame);
  }

  /** Commits the oldest frames. */
  commit(frames = this.waiting.length): void {
    this.committed.push(...this.waiting.splice(0, frames));
    this.events.committed(frames);
  }

  fail(message = 'database or disk is full', isRetried = true): void {
    this.events.failed({ message, isRetried, isDamage: false, cause: 'disk-full' });
  }

  close(done: (failure?: WriteFailure) => void): void {
    this.isClosed = true;
    if (this.waiting.length > 0) this.commit();
    done();
  }

  abandon(): void {
    this.isClosed = true;
  }
}
