/**
 * Session topics: the topics of a session, and whether each comes natively or from the backlog.
 *
 * A bounded number moves from one to the other in a turn, so a session of many topics has both
 * kinds for some turns. A topic moves when nothing of it waits, so its messages stay in order;
 * there is no order between topics.
 */

import type { Message } from '../../../protocol/messages';
import type { Meter } from '../../base/byte-account';
import type { Backlog } from '../backlog/backlog';
import type { TopicState } from '../topics/mirror';
import type { NativeReader } from '../topics/native-readers';
import { TOPIC_BYTES } from './session-limits';
import type { Connection } from './connection';

/** A reader whose memory is accounted. */
interface CountedReader extends NativeReader {
  readonly meter: Meter;
}

/** Runs something in another turn of the event loop. */
type Soon = (act: () => void) => void;

/** Topics that a closed session leaves in one turn. */
const LEFT_A_TURN = 2_000;
/** Topics that move between native and windowed delivery in one turn. */
const MOVED_A_TURN = 1_000;
/** Topics that move to the backlog immediately; in one turn many sessions may become lagging. */
const MOVED_AT_ONCE = 100;

export class SessionTopics {
  /** The head of each topic that the last heartbeat stated. */
  heads = new Map<TopicState, number>();
  private readonly connection: Connection;
  private readonly backlog: Backlog;
  private readonly reader: CountedReader;
  private readonly soon: Soon;
  private readonly movedATurn: number;
  /** What continues in the next turn; a later request replaces it. */
  private next: (() => unknown) | null = null;

  constructor(
    connection: Connection,
    backlog: Backlog,
    reader: CountedReader,
    soon: Soon,
    movedATurn = MOVED_A_TURN,
  ) {
    this.connection = connection;
    this.backlog = backlog;
    this.reader = reader;
    this.soon = soon;
    this.movedATurn = movedATurn;
  }

  /**
   * Joins a topic at its current state.
   * @param intervalMs at most one frame of it in this time; 0: no interval
   * @returns messages of the topic that must be sent before its state
   */
  enter(topic: TopicState, intervalMs: number, isNative: boolean, nowMs: number): Message[] {
    const { backlog } = this;
    let messages: Message[] = [];
    if (this.heads.has(topic)) {
      messages = backlog.settle(topic);
      // Its state is sent from the backlog, so what follows must be as well.
      const isThere = isNative || backlog.has(topic);
      if (intervalMs === 0 && !backlog.isPaced(topic) && isThere) return messages;
      this.stop(topic);
    } else {
      this.heads.set(topic, topic.head);
      this.reader.meter.add('topics', TOPIC_BYTES);
    }
    if (intervalMs === 0 && isNative) this.connection.join(topic, this.reader);
    else backlog.attach(topic, intervalMs, nowMs);
    return messages;
  }

  leave(topic: TopicState): void {
    if (!this.heads.delete(topic)) return;
    this.reader.meter.add('topics', -TOPIC_BYTES);
    this.stop(topic);
  }

  /** Stops delivery of a topic. */
  private stop(topic: TopicState): void {
    if (!this.backlog.detach(topic)) this.connection.leave(topic, this.reader);
  }

  /** Moves all topics to the backlog: some now, the others in later turns. */
  readAll(most = Math.min(MOVED_AT_ONCE, this.movedATurn)): void {
    const { connection } = this;
    for (const topic of connection.native().take(most).toArray()) {
      connection.leave(topic, this.reader);
      this.backlog.attach(topic, 0, 0);
    }
    this.next = null;
    if (connection.hasNative) this.goOn(() => this.readAll(this.movedATurn));
  }

  /**
   * Moves some topics to native delivery, except those with an interval. Only while nothing of them
   * waits.
   * @param rest called in another turn to continue; if it cannot, all topics move back
   * @returns whether none is left
   */
  joinSome(rest: () => boolean): boolean {
    const { backlog, movedATurn } = this;
    const some = backlog
      .unpaced()
      .take(movedATurn + 1)
      .toArray();
    const isLast = some.length <= movedATurn;
    for (const topic of some.slice(0, movedATurn)) {
      backlog.detach(topic);
      this.connection.join(topic, this.reader);
    }
    this.next = null;
    if (!isLast) this.goOn(() => rest() || this.readAll());
    return isLast;
  }

  private goOn(next: () => unknown): void {
    this.next = next;
    this.soon(() => {
      if (this.next === next) next();
    });
  }

  /** The connection is closed: leaves some topics now, the others in later turns. */
  end(): void {
    const topics = this.heads.keys();
    this.heads = new Map();
    this.next = null;
    this.backlog.end();
    this.reader.meter.close();
    this.endSome(topics);
  }

  private endSome(topics: Iterator<TopicState>): void {
    for (let i = 0; i < LEFT_A_TURN; i++) {
      const next = topics.next();
      if (next.done === true) return;
      if (!this.backlog.detach(next.value)) this.connection.forget(next.value, this.reader);
    }
    this.soon(() => this.endSome(topics));
  }
}
