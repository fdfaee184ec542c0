/** One session over a virtual socket: what it is sent when it does not keep up, or is on very much. */

import { expect, test } from 'bun:test';

import { decodeFrame, isFault, SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import type { Message } from '../../protocol/messages';
import { ManualClock } from '../../src/base/clock';
import { Broadcaster } from '../../src/broadcast/broadcaster';
import { TopicState } from '../../src/broadcast/mirror';
import { Session } from '../../src/broadcast/session';
import type { Socket } from '../../src/broadcast/socket';
import { LIMITS, socketWith } from '../support/sockets';

const OPTIONS = { topicsMax: 100_000, sessionBoundary: 0 };

/** @param keeps how many frames its backlog takes */
function enter(keeps: number, own: Partial<Socket> = {}) {
  const broadcaster = new Broadcaster(OPTIONS, { publish: () => 1 }, new ManualClock());
  const frames: Message[][] = [];
  const socket = socketWith({
    send: (data: string | Uint8Array) => {
      frames.push(decodeFrame(data as Uint8Array).filter((item) => !isFault(item)) as Message[]);
      return frames.length > keeps ? 0 : 1;
    },
    ...own,
  });
  const session = new Session('s1', SUBPROTOCOL_MSGPACK, socket, broadcaster.encoders, LIMITS);
  broadcaster.sessions.add(session);
  return { broadcaster, session, frames };
}

test('past its backlog nothing more is encoded for a session, however much it asks for', () => {
  const { broadcaster, session, frames } = enter(2);
  for (let id = 1; id < 10; id++) {
    broadcaster.subscriptions.subscribe(session, id, ['status'], 0);
    expect(session.overrun).toBe(id > 2);
  }
  broadcaster.heartbeat();
  expect(frames).toHaveLength(3);
});

test('one that does not answer is closed once, and told of once', () => {
  const clock = new ManualClock();
  const broadcaster = new Broadcaster(OPTIONS, { publish: () => 1 }, clock);
  let terminated = 0;
  // Its close is heard of much later, if at all.
  const socket = socketWith({ getBufferedAmount: () => 1e6, terminate: () => (terminated += 1) });
  const session = new Session('s1', SUBPROTOCOL_MSGPACK, socket, broadcaster.encoders, LIMITS);
  broadcaster.sessions.add(session);
  const ended: string[] = [];
  broadcaster.ended = ({ name }, reason) => void ended.push(`${name} ${reason}`);
  for (let s = 0; s < 60; s++) {
    broadcaster.look();
    clock.set(clock.now().plus(1e9));
  }
  expect([terminated, ended]).toEqual([1, ['s1 unresponsive']]);
  expect(broadcaster.lanes).toMatchObject({ lagged: 1, lagging: 0 });
});

test('[T7] more heads than one heartbeat holds go out in several', () => {
  const { broadcaster, session, frames } = enter(10);
  broadcaster.heartbeat();
  for (let i = 0; i < 70_000; i++) {
    const topic = new TopicState(`tick:S${i}`);
    session.join(topic, 0);
    topic.head = i + 1;
  }
  broadcaster.heartbeat();
  broadcaster.heartbeat();
  const sizes = frames.map((frame) => frame.map((m) => m.type === 'heartbeat' && m.heads.length));
  expect(sizes).toEqual([[0], [65_535, 4_465], [0]]);
});

test('an operator sees what waits for one that is behind, and for how long', () => {
  const { broadcaster, session, frames } = enter(10, { getBufferedAmount: () => 70_000 });
  expect(session.state).toMatchObject({ lane: 'express', waitingBytes: 70_000, lagMs: 0 });
  session.look(1_000, 1e9);
  session.send([{ type: 'ack', id: 1, seq: 1 }]);
  session.look(1_250, 1e9);
  expect(session.state).toMatchObject({ lane: 'lagging', lagMs: 250, rttMs: null, lagged: 1 });
  expect(session.state.waitingBytes).toBeGreaterThan(70_000);
  expect([frames.length, session.state.sentBytes]).toEqual([0, 0]);
  session.pong(1_300);
  expect(session.state).toMatchObject({ lagMs: 0, rttMs: 300, waitingBytes: 70_000 });
  expect(session.state.sentBytes).toBe(broadcaster.encoders.binary.encode([{ type: 'ack', id: 1, seq: 1 }]).length); // prettier-ignore
});
