/** Hub: the stages as a WebSocket connection sees them, joined for the server. */

import type { ServerWebSocket } from 'bun';

import type { Access } from './access';
import type { Clock } from './base/clock';
import type { Broadcaster } from './broadcast/broadcaster';
import type { Replays } from './broadcast/replays';
import { Session } from './broadcast/session';
import { pongNumber } from './broadcast/wire';
import type { Config } from './config';
import type { Sources } from './entry';
import type { Connections } from './gateway/connections';
import type { OrderStage } from './gateway/orders';
import { closeLabel, type StreamCounts } from './gateway/stream-counts';
import type { StreamHub } from './gateway/stream-hub';
import type { Recorder } from './recorder';
import type { Limits } from './reload';
import type { Repeated } from './repeated';
import { VERSION } from './version';
import { welcomeLimits } from './welcome-limits';

/** Sessions come and go: so many lines of a kind are no flood yet. */
const ORDINARY_LINES = 20;

export function createHub(
  config: Config,
  clock: Clock,
  repeated: Repeated,
  registers: {
    readonly keys: Access['keys'];
    readonly connections: Connections;
    readonly counts: StreamCounts;
    readonly limits: Limits;
  },
  broadcaster: Broadcaster,
  replays: Replays,
  { sequencer }: Recorder,
  sources: Sources,
  orders: OrderStage,
): StreamHub<Session> {
  return {
    epoch: sequencer.epoch,
    server: `tapedeck/${VERSION}`,
    scalesOf: broadcaster.encoders.scalesOf,
    ...registers,
    orders,
    clock,
    welcomeLimits: () => welcomeLimits(config, registers.limits),
    lastSeq: () => broadcaster.lastSeq,
    enter: (socket: ServerWebSocket<unknown>, form) => {
      const source = sources.nextId();
      const session = new Session(`s${source}`, form, socket, broadcaster.encoders, config.push);
      broadcaster.sessions.add(session);
      return { session, source };
    },
    leave: (session, source) => {
      broadcaster.leave(session);
      sources.release(source);
    },
    subscribe: (session, id, topics, intervalMs) =>
      broadcaster.subscriptions.subscribe(session, id, topics, intervalMs),
    resume: (session, request, done) => broadcaster.subscriptions.resume(session, request, done),
    replay: (session, request) => replays.handle(session, request),
    pong: (session, payload) => session.pong(clock.monotonicMs(), pongNumber(payload)),
    unsubscribe: (session, topics) => broadcaster.subscriptions.unsubscribe(session, topics),
    acknowledge: (session, ack) => broadcaster.acknowledge(session, ack),
    submit: (source, owner, { events, continues }, done) => {
      sequencer.submit(source, events, done, { owner, continues: continues ?? false });
    },
    note: (session, event, detail) => {
      const code = event === 'closed' ? closeLabel(Number(detail.code)) : (detail.code ?? '');
      const first = event === 'refused' ? 1 : ORDINARY_LINES;
      repeated.tell('info', `session ${event}`, String(code), { session, ...detail }, first);
    },
  };
}
