/**
 * Probe: what must hold inside the stage at any moment. The one place of the simulation that looks at
 * what is private.
 */

import type { Message } from '../../protocol/messages';
import type { Mirror, TopicState } from '../../src/broadcast/mirror';
import type { Session } from '../../src/broadcast/session';
import type { SimServer } from './server';
import { hold } from './truth';

interface OutboxInside {
  readonly state: readonly { topic: TopicState; message: Message; bytes: number }[];
  readonly queue: readonly { topic: TopicState | null; message: Message; bytes: number }[];
  readonly bytes: number;
  readonly answers: number;
}

interface SessionInside {
  readonly outbox: OutboxInside;
  readonly paced: { readonly groups: ReadonlyMap<number, { readonly outbox: OutboxInside }> };
}

/** Topics, their subscribers and what waits for them. */
export function probe(server: SimServer): void {
  const topics = allTopics(server);
  for (const topic of topics) probeTopic(topic, server);
  for (const session of server.broadcaster.sessions) probeOutboxes(session, server);
}

/** With nobody there, nothing is left of anybody. */
export function probeEmpty(server: SimServer): void {
  hold(server.broadcaster.sessions.size === 0, () => ['sessions are left']);
  hold(Bun.deepEquals(server.plays.counts, { open: 0, waiting: 0 }), () => ['plays are left', server.plays.counts]); // prettier-ignore
  for (const topic of allTopics(server)) {
    const { binarySubscribers, textSubscribers, followers, pending, name } = topic;
    const left = binarySubscribers + textSubscribers + followers.size + pending.length;
    hold(left === 0, () => ['readers are left', name, binarySubscribers, textSubscribers, followers.size]); // prettier-ignore
  }
}

function allTopics(server: SimServer): TopicState[] {
  const { mirror } = server.broadcaster as unknown as { mirror: Mirror };
  return [mirror.statusTopic, ...[...mirror.all()].flatMap((i) => Object.values(i.topics))];
}

function probeTopic(topic: TopicState, { wires, broadcaster }: SimServer): void {
  let binary = 0;
  let text = 0;
  for (const { session, native, server } of wires) {
    if (server !== 'open') continue;
    const isNative = native.has(session.text ? topic.nativeText : topic.nativeBinary);
    const follows = topic.followers.has(session);
    const isOn = session.topics.has(topic);
    hold(Number(isNative) + Number(follows) === Number(isOn), () => ['on a topic', topic.name, session.name, isOn, isNative, follows]); // prettier-ignore
    if (isNative && session.text) text += 1;
    else if (isNative) binary += 1;
  }
  for (const follower of topic.followers) {
    hold(broadcaster.sessions.has(follower as Session), () => ['a follower that is gone', topic.name]); // prettier-ignore
  }
  const counted = [topic.binarySubscribers, topic.textSubscribers];
  hold(Bun.deepEquals(counted, [binary, text]), () => ['subscribers', topic.name, counted, binary, text]); // prettier-ignore
}

function probeOutboxes(session: Session, { options }: SimServer): void {
  const { outbox, paced } = session as unknown as SessionInside;
  const bytesMax = options.session.outboxBytesMax;
  for (const one of [outbox, ...[...paced.groups.values()].map((g) => g.outbox)]) {
    probeOutbox(one, session, bytesMax);
  }
}

/** Bounded by twice what is set, besides one message of state a topic, and answers. */
function probeOutbox({ state, queue, bytes, answers }: OutboxInside, session: Session, bytesMax: number): void { // prettier-ignore
  const all = [...state, ...queue];
  const sum = all.reduce((total, w) => total + w.bytes, 0);
  hold(sum === bytes, () => ['bytes of an outbox', session.name, bytes, sum]);
  const largest = new Map<TopicState, number>();
  let exempt = 0;
  let answered = 0;
  for (const { topic, message, bytes: size } of all) {
    if (topic === null) {
      answered += 1;
      exempt += size;
    } else if (message.type === 'status') exempt += size;
    else largest.set(topic, Math.max(largest.get(topic) ?? 0, size));
  }
  hold(answered === answers, () => ['answers of an outbox', answers, answered]);
  for (const size of largest.values()) exempt += size;
  hold(bytes <= 2 * (bytesMax + exempt), () => ['an outbox too full', session.name, bytes, bytesMax, exempt]); // prettier-ignore
}
