/** Discarding writer: reports frames as committed and throws them away, to measure costs without a disk. */

import type { CreateWriter } from '../../src/journal/write/writer';

export const createDiscardingWriter: CreateWriter = (_settings, _db, events) => ({
  send: () => events.committed(1),
  close: (done) => done(),
  abandon: () => {},
});
