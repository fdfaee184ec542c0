/**
 * Session topics: which topics a session is on, and whether each comes natively or from the backlog.
 *
 * From one to the other so many go in a turn, so for some turns a session of many topics has both kinds. Each
 * topic goes over with nothing of it waiting, so its messages stay in their order; between topics there is none.
 */

import type { Message } from '../../../protocol/messages';
import type { Meter } from '../../base/byte-account';
import type { Backlog } from '../backlog/backlog';
import type { TopicState } from '../topics/mirror';
import type { NativeReader } from '../topics/native-readers';
import { TOPIC_BYTES } from './session-limits';
import type { Wire } from './connection';

/** What it causes to be held is counted. */
interface CountedReader extends NativeReader {
  readonly meter: Meter;
}

/** Asks for a turn of the event loop. */
type Soon = (act: () => void) => void;

/** So many topics a session that has gone leaves in a turn. */
const LEFT_A_TURN = 2_000;
/** So many go from native to the backlog, or back, in a turn. */
const MOVED_A_TURN = 1_000;
/** So many go to the backlog at once: in one turn many sessions may fall behind. */
const MOVED_AT_ONCE = 100;

export class SessionTopics {
  /** With the head that the last heartbeat told. */
  heads = new Map<TopicState, number>();
  private readonly wire: Wire;
  private readonly backlog: Backlog;
  private readonly reader: CountedReader;
  private readonly soon: Soon;
  private readonly movedATurn: number;
  /** What waits for its turn to go on with; what was asked for later takes its place. */
  private next: (() => unknown) | null = null;

  constructor(
    wire: Wire,
    backlog: Backlog,
    reader: CountedReader,
    soon: Soon,
    movedATurn = MOVED_A_TURN,
  ) {
    this.wire = wire;
    this.backlog = backlog;
    this.reader = reader;
    this.soon = soon;
    this.movedATurn = movedATurn;
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
      // Its state goes by the backlog, so what follows has to as well.
      const isThere = isNative || backlog.has(topic);
      if (intervalMs === 0 && !backlog.isPaced(topic) && isThere) return messages;
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

  /** All of them from the backlog: some now, the others in turns. */
  readAll(most = Math.min(MOVED_AT_ONCE, this.movedATurn)): void {
    const { wire } = this;
    for (const topic of wire.native().take(most).toArray()) {
      wire.leave(topic, this.reader);
      this.backlog.attach(topic, 0, 0);
    }
    this.next = null;
    if (wire.hasNative) this.goOn(() => this.readAll(this.movedATurn));
  }

  /**
   * Some of them natively, but for those at intervals. Only while nothing of them waits.
   * @param rest called in another turn to go on with those that are left; where it cannot, all go back
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
      this.wire.join(topic, this.reader);
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

  /** The connection has gone: of many topics it leaves some now, and others in turns. */
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
      if (!this.backlog.detach(next.value)) this.wire.forget(next.value, this.reader);
    }
    this.soon(() => this.endSome(topics));
  }
}
