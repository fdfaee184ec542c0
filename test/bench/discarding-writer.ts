/** Discarding writer: takes frames for committed and throws them away, for what costs without a disk. */

import type { CreateWriter } from '../../src/journal/write/writer';

export const createDiscardingWriter: CreateWriter = (_settings, _db, events) => ({
  send: () => events.committed(1),
  close: (done) => done(),
  abandon: () => {},
});
