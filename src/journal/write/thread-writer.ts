/** Thread writer: the main thread's end of the writer thread. */

import type { RowFrame } from './row-frame';
import type { FromWriter, ToWriter } from './thread-messages';
import { startThread } from '../threads';
import type {
  CreateWriter,
  JournalWriter,
  WriteFailure,
  WriterEvents,
  WriterSettings,
} from './writer';

export const createThreadWriter: CreateWriter = (settings, _, events) =>
  new ThreadWriter(settings, events);

class ThreadWriter implements JournalWriter {
  private readonly worker: Worker;
  private closed: ((failure?: WriteFailure) => void) | undefined;

  constructor(settings: WriterSettings, events: WriterEvents) {
    this.worker = startThread('writer');
    this.worker.onmessage = ({ data }: MessageEvent<FromWriter>): void => {
      switch (data.type) {
        case 'committed':
          return events.committed(data.frames, data.tookMs);
        case 'failed':
          return events.failed(data.failure);
        case 'bookless':
          return events.bookless(data.instruments);
        case 'closed':
          this.worker.terminate();
          this.closed?.(data.failure);
      }
    };
    this.worker.onerror = (e): void => {
      events.failed({
        message: `its thread ended: ${e.message}`,
        isRetried: false,
        isDamage: false,
        cause: 'other',
      });
    };
    this.post({ type: 'open', settings });
  }

  send(frame: RowFrame): void {
    // The buffers are moved, not copied. An empty array has nothing to move.
    const moved = [frame.numbers.buffer];
    if (frame.blobs.length > 0) moved.push(frame.blobs.buffer);
    for (const { levels, bytes } of frame.pieces ?? []) {
      for (const list of levels) if (list.length > 0) moved.push(list.buffer);
      if (bytes !== null && bytes.length > 0) moved.push(bytes.buffer);
    }
    this.post({ type: 'frame', frame }, moved);
  }

  close(done: (failure?: WriteFailure) => void): void {
    this.closed = done;
    this.post({ type: 'close' });
  }

  abandon(): void {
    this.worker.terminate();
  }

  private post(message: ToWriter, moved: ArrayBuffer[] = []): void {
    this.worker.postMessage(message, moved);
  }
}
