/** Session topics: which topics a session is on, and whether each comes natively or from the backlog. */

import type { Backlog } from './backlog';
import type { TopicState } from './mirror';
import type { NativeReader } from './native-readers';
import type { Wire } from './wire';

/** Asks for a turn of the event loop. */
type Soon = (act: () => void) => void;

/** So many topics a session that has gone leaves in a turn. */
const LEFT_A_TURN = 2_000;

export class SessionTopics {
  /** With the head that the last heartbeat told. */
  heads = new Map<TopicState, number>();
  private readonly wire: Wire;
  private readonly backlog: Backlog;
  private readonly reader: NativeReader;

  constructor(wire: Wire, backlog: Backlog, reader: NativeReader) {
    this.wire = wire;
    this.backlog = backlog;
    this.reader = reader;
  }

  join(topic: TopicState): void {
    this.wire.join(topic, this.reader);
  }

  /** From the backlog, at most one frame in this time; 0: as it comes. */
  read(topic: TopicState, intervalMs: number, nowMs: number): void {
    this.backlog.attach(topic, intervalMs, nowMs);
  }

  /** It comes no more. */
  stop(topic: TopicState): void {
    if (!this.backlog.detach(topic)) this.wire.leave(topic, this.reader);
  }

  /** All of them from the backlog. */
  readAll(nowMs: number): void {
    for (const topic of this.heads.keys()) {
      if (this.backlog.has(topic)) continue;
      this.wire.leave(topic, this.reader);
      this.backlog.attach(topic, 0, nowMs);
    }
  }

  /** All of them natively, but for those at intervals. */
  joinAll(): void {
    for (const topic of this.heads.keys()) {
      if (this.backlog.isPaced(topic)) continue;
      this.backlog.detach(topic);
      this.wire.join(topic, this.reader);
    }
  }

  /** The connection has gone: of many topics it leaves some now, and others in turns that it asks for. */
  end(soon: Soon): void {
    const topics = this.heads.keys();
    this.heads = new Map();
    this.endSome(topics, soon);
  }

  private endSome(topics: Iterator<TopicState>, soon: Soon): void {
    for (let i = 0; i < LEFT_A_TURN; i++) {
      const next = topics.next();
      if (next.done === true) return;
      if (!this.backlog.detach(next.value)) this.wire.forget(next.value, this.reader);
    }
    soon(() => this.endSome(topics, soon));
  }
}
