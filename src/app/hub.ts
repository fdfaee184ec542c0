/** Hub: the stages as a WebSocket connection sees them, joined for the server. */

import type { ServerWebSocket } from 'bun';

import type { Access } from './access';
import type { ByteAccount } from '../base/byte-account';
import type { Clock } from '../base/clock';
import type { SliceQueue } from '../base/slice-queue';
import type { Broadcaster } from '../broadcast/broadcaster';
import type { Replays } from '../broadcast/replay/replay-requests';
import { Session } from '../broadcast/sessions/session';
import { pongNumber } from '../broadcast/sessions/connection';
import type { Config } from '../config/config';
import type { Sources } from './entry';
import type { Connections } from '../gateway/ws/connections';
import type { Shares } from '../gateway/auth/shares';
import { closeLabel, type StreamCounts } from '../gateway/ws/counts';
import type { StreamHub } from '../gateway/ws/hub';
import { FeedInstrument } from '../market/feed-instrument';
import type { Recorder } from './recorder';
import type { Limits } from './reload';
import type { Repeated } from '../log/repeated';
import { Takeovers } from './takeovers';
import { VERSION } from '../version';
import { welcomeLimits } from './welcome-limits';
import type { OrderStage } from '../gateway/order-entry';

/** About what a connection takes that has asked for nothing, in Bun and here. */
const CONNECTION_BYTES = 16_384;
/** Sessions come and go: so many lines of a kind are no flood yet. */
const ORDINARY_LINES = 20;

export function createHub(
  config: Config,
  clock: Clock,
  repeated: Repeated,
  registers: {
    readonly keys: Access['keys'];
    readonly connections: Connections;
    readonly shares: Shares;
    readonly counts: StreamCounts;
    readonly limits: Limits;
    readonly account: ByteAccount;
    readonly slices: SliceQueue;
  },
  broadcaster: Broadcaster,
  replays: Replays,
  { sequencer, market }: Recorder,
  sources: Sources,
  orders: OrderStage,
): StreamHub<Session> {
  const { connections } = registers;
  const sessions = new Map<number, Session>();
  const takeovers = new Takeovers({
    clock,
    takeoverMs: config.market.takeoverMs,
    holderOf: (symbol) => {
      const instrument = market.get(symbol);
      return instrument instanceof FeedInstrument ? instrument.owner : 0;
    },
    publisher: (source) => connections.get(nameOf(source)),
    ask: (source) => sessions.get(source)?.mark(clock.monotonicMs()),
    // Behind its release, which waits in the same lane.
    released: (source) => new Promise((resolve) => sequencer.act(() => {}, resolve, source)),
    submit: (source, owner, { events, continues }, done) => {
      sequencer.submit(source, events, done, { owner, continues: continues ?? false });
    },
  });
  return {
    epoch: sequencer.epoch,
    server: `tapedeck/${VERSION}`,
    scalesOf: broadcaster.encoders.scalesOf,
    ...registers,
    orders,
    clock,
    welcomeLimits: () => welcomeLimits(config, registers.limits),
    lastSeq: () => broadcaster.lastSeq,
    sentBytes: () => broadcaster.encoders.own.bytes,
    topicsIn: (names) => {
      const wild = names.filter((name) => name.endsWith(':*')).length;
      return names.length + wild * (market.size - 1);
    },
    enter: (socket: ServerWebSocket<unknown>, form) => {
      const meter = registers.account.open('', () => broadcaster.shed(session));
      meter.add('connections', CONNECTION_BYTES);
      const source = sources.nextId(() => meter.client);
      const { encoders } = broadcaster;
      const session = new Session(nameOf(source), form, socket, encoders, config.push, meter);
      sessions.set(source, session);
      broadcaster.enter(session);
      return { session, source };
    },
    leave: (session, source) => {
      sessions.delete(source);
      takeovers.leave(source);
      broadcaster.leave(session);
      sources.release(source);
    },
    follow: (session, owner) => broadcaster.traders.set(session, owner),
    settle: (session) => broadcaster.traders.settle(session),
    subscribe: (session, id, topics, intervalMs, done) =>
      broadcaster.subscriptions.subscribe(session, id, topics, intervalMs, done),
    resume: (session, request, done) => broadcaster.subscriptions.resume(session, request, done),
    replay: (session, request) => replays.handle(session, request),
    pong: (session, source, payload) => {
      takeovers.heard(source);
      return session.pong(clock.monotonicMs(), pongNumber(payload));
    },
    unsubscribe: (session, topics, done) =>
      broadcaster.subscriptions.unsubscribe(session, topics, done),
    acknowledge: (session, ack) => broadcaster.acknowledge(session, ack),
    submit: (source, owner, published, done) => takeovers.submit(source, owner, published, done),
    note: (session, event, detail) => {
      const code = event === 'closed' ? closeLabel(Number(detail.code)) : (detail.code ?? '');
      const first = event === 'refused' ? 1 : ORDINARY_LINES;
      repeated.tell('info', `session ${event}`, String(code), { session, ...detail }, first);
    },
  };
}

/** Of the session of a source. */
function nameOf(source: number): string {
  return `s${source}`;
}
