/**
 * Probe: invariants of the broadcast stage that hold at any time. It is the only part of the simulation that looks
 * at private fields.
 */

import type { Mirror, TopicState } from '../../src/broadcast/topics/mirror';
import type { Session } from '../../src/broadcast/sessions/session';
import type { Logged } from '../../src/broadcast/topics/topic-log';
import type { SimServer } from './server';
import { hold } from './truth';

interface SessionInside {
  readonly backlog: {
    has(topic: TopicState): boolean;
    readonly cursors: ReadonlyMap<TopicState, unknown>;
  };
}

interface LogInside {
  readonly start: number;
  readonly end: number;
  readonly heldBytes: number;
  readonly entries: { readonly length: number; at(i: number): Logged | undefined };
}

/** Topics, their subscribers and what waits for them. */
export function probe(server: SimServer): void {
  const topics = allTopics(server);
  for (const topic of topics) probeTopic(topic, server);
  for (const session of server.broadcaster.sessions) {
    const { cursors } = insideOf(session);
    for (const topic of cursors.keys()) {
      hold(session.topics.has(topic), () => ['reads what it is not on', session.name, topic.name]);
    }
    for (const [topic] of session.topics) {
      hold(topics.includes(topic), () => ['on a topic that is none', session.name, topic.name]);
    }
  }
}

/** When all readers have left, nothing of them remains. */
export function probeEmpty(server: SimServer): void {
  hold(server.broadcaster.sessions.size === 0, () => ['sessions are left']);
  hold(Bun.deepEquals(server.playbacks.counts, { open: 0, waiting: 0 }), () => [
    'plays are left',
    server.playbacks.counts,
  ]);
  for (const topic of allTopics(server)) {
    const { binary, text, log, pending, name } = topic;
    const isLeft = binary !== null || text !== null || pending.length > 0;
    hold(!isLeft && log === null, () => ['readers are left', name, binary?.size, text?.size]);
  }
}

function insideOf(session: Session): SessionInside['backlog'] {
  return (session as unknown as SessionInside).backlog;
}

function allTopics(server: SimServer): TopicState[] {
  const { mirror } = server.broadcaster as unknown as { mirror: Mirror };
  return [...mirror.statusTopics, ...[...mirror.all()].flatMap((i) => Object.values(i.topics))];
}

/** Each session on a topic has it natively or reads its log, and is counted there. */
function probeTopic(topic: TopicState, server: SimServer): void {
  let binary = 0;
  let text = 0;
  let readers = 0;
  for (const { session, native, server: end } of server.wires) {
    if (end === 'ended') continue;
    const reads = insideOf(session).has(topic);
    const isOn = session.topics.has(topic);
    // The stage learns only at the end that a socket is closing: until then it counts.
    const nativeName = session.isText ? topic.nativeText : topic.nativeBinary;
    const isNative = end === 'open' ? native.has(nativeName) : isOn && !reads;
    hold(Number(isNative) + Number(reads) === Number(isOn), () => [
      'on a topic',
      topic.name,
      session.name,
      isOn,
      isNative,
      reads,
    ]);
    if (isNative && session.isText) text += 1;
    else if (isNative) binary += 1;
  }
  for (const session of server.broadcaster.sessions) if (insideOf(session).has(topic)) readers += 1;
  const { logReaders } = topic as unknown as { logReaders: number };
  const [binaries, texts] = [topic.binary?.size ?? 0, topic.text?.size ?? 0];
  const counted = [binaries, texts, logReaders, topic.log !== null];
  const real = [binary, text, readers, readers > 0];
  hold(Bun.deepEquals(counted, real), () => ['subscribers', topic.name, counted, real]);
  if (topic.log !== null) probeLog(topic, server.options.session.outboxBytesMax);
}

/** A log is bounded by its bytes, except that it may have one message more. */
function probeLog({ log, name }: TopicState, bytesMax: number): void {
  const { entries, heldBytes, start, end } = log as unknown as LogInside;
  let bytes = 0;
  for (let i = 0; i < entries.length; i++) bytes += entries.at(i)!.bytes;
  hold(bytes === heldBytes && entries.length === end - start, () => [
    'a log',
    name,
    bytes,
    heldBytes,
    entries.length,
    start,
    end,
  ]);
  hold(bytes <= bytesMax || entries.length === 1, () => ['a log too full', name, bytes, bytesMax]);
}
