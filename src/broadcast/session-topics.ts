/** Session topics: which topics a session is on, and whether each comes natively or from the backlog. */

import type { Message } from '../../protocol/messages';
import type { Meter } from '../base/byte-account';
import type { Backlog } from './backlog';
import type { TopicState } from './mirror';
import type { NativeReader } from './native-readers';
import { TOPIC_BYTES } from './session-limits';
import type { Wire } from './wire';

/** What it causes to be held is counted. */
interface CountedReader extends NativeReader {
  readonly meter: Meter;
}

/** Asks for a turn of the event loop. */
type Soon = (act: () => void) => void;

/** So many topics a session that has gone leaves in a turn. */
const LEFT_A_TURN = 2_000;

export class SessionTopics {
  /** With the head that the last heartbeat told. */
  heads = new Map<TopicState, number>();
  private readonly wire: Wire;
  private readonly backlog: Backlog;
  private readonly reader: CountedReader;

  constructor(wire: Wire, backlog: Backlog, reader: CountedReader) {
    this.wire = wire;
    this.backlog = backlog;
    this.reader = reader;
  }

  /**
   * Goes on with a topic from its state as it is now.
   * @param intervalMs at most one frame of it in this time; 0: as it comes
   * @returns what of the topic goes before its state
   */
  enter(topic: TopicState, intervalMs: number, isNative: boolean, nowMs: number): Message[] {
    const { backlog } = this;
    let messages: Message[] = [];
    if (this.heads.has(topic)) {
      messages = backlog.settle(topic);
      if (intervalMs === 0 && !backlog.isPaced(topic)) return messages;
      this.stop(topic);
    } else {
      this.heads.set(topic, topic.head);
      this.reader.meter.add('topics', TOPIC_BYTES);
    }
    if (intervalMs === 0 && isNative) this.wire.join(topic, this.reader);
    else backlog.attach(topic, intervalMs, nowMs);
    return messages;
  }

  leave(topic: TopicState): void {
    if (!this.heads.delete(topic)) return;
    this.reader.meter.add('topics', -TOPIC_BYTES);
    this.stop(topic);
  }

  /** It comes no more. */
  private stop(topic: TopicState): void {
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
    this.backlog.end();
    this.reader.meter.close();
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
