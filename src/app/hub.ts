/** Hub: the stages as a WebSocket connection uses them. */

import type { ServedMarket } from '../base/contracts/core';
import type { MessageOf } from '../../protocol/messages';
import type { OrderStage } from '../base/contracts/order-entry';
import type { Broadcaster } from '../broadcast/broadcaster';
import type { ReplayRequests } from '../broadcast/replay/replay-requests';
import { Session } from '../broadcast/sessions/session';
import { pongNumber } from '../broadcast/sessions/connection';
import type { Shares } from '../gateway/auth/shares';
import { closeLabel } from '../gateway/ws/counts';
import type { StreamHub } from '../gateway/ws/hub';
import { VERSION } from '../version';
import type { Ground } from './ground';
import type { Shards } from './shards';
import type { Sources } from './sources';
import { Takeovers } from './takeovers';
import { welcomeLimits } from './welcome-limits';

/** About the memory of a connection that has asked for nothing, in Bun and here. */
const CONNECTION_BYTES = 16_384;
/** Lines of a kind that are logged before the rest is counted only: sessions come and go. */
const ORDINARY_LINES = 20;

/** The stages that the connections use. */
export interface HubStages {
  readonly shards: Shards;
  readonly market: ServedMarket;
  readonly broadcaster: Broadcaster;
  readonly replays: ReplayRequests;
  readonly sources: Sources;
  readonly orders: OrderStage;
  readonly shares: Shares;
}

export function createHub(ground: Ground, stages: HubStages): StreamHub<Session> {
  const { config, clock, limits, slices, connections, access } = ground;
  const { market, broadcaster, orders, shares } = stages;
  const sessions = new Map<number, Session>();
  const takeovers = createTakeovers(ground, stages, sessions);
  market.entry.challenge = (source) => takeovers.challenge(source);
  return {
    numberings: broadcaster.numberings,
    server: `tapedeck/${VERSION}`,
    scalesOf: broadcaster.encoders.scalesOf,
    keys: access.keys,
    connections,
    shares,
    counts: ground.counts.stream,
    limits,
    slices,
    orders,
    clock,
    welcomeLimits: () => welcomeLimits(config, limits),
    sentBytes: () => broadcaster.encoders.own.bytes,
    topicsIn: (names) => {
      const wild = names.filter((name) => name.endsWith(':*')).length;
      return names.length + wild * (market.instruments.size - 1);
    },
    ...comingAndGoing(ground, stages, sessions, takeovers),
    ...requestsOf(stages),
    pong: (session, source, payload) => {
      takeovers.heard(source);
      return session.pong(clock.monotonicMs(), pongNumber(payload));
    },
    submit: (source, owner, published, done) => takeovers.submit(source, owner, published, done),
    note: (session, event, detail) => {
      const code = event === 'closed' ? closeLabel(Number(detail.code)) : (detail.code ?? '');
      const first = event === 'refused' ? 1 : ORDINARY_LINES;
      ground.repeated.report(
        'info',
        `session ${event}`,
        String(code),
        { session, ...detail },
        first,
      );
    },
  };
}

function createTakeovers(
  { config, clock, connections }: Ground,
  { market, sources }: HubStages,
  sessions: ReadonlyMap<number, Session>,
): Takeovers {
  return new Takeovers({
    clock,
    takeoverMs: config.market.takeoverMs,
    holderOf: (symbol) => market.entry.holderOf(symbol),
    publisher: (source) => connections.get(nameOf(source)),
    ask: (source) => sessions.get(source)?.mark(clock.monotonicMs()),
    released: (source) => market.entry.behind(source), // its release waits in the same lane
    submit: (source, owner, { events, continues }, done) => {
      sources.submit(source, events, done, { owner, continues: continues ?? false });
    },
  });
}

/** How the session of a socket begins and ends. */
function comingAndGoing(
  { config, account }: Ground,
  { broadcaster, sources }: HubStages,
  sessions: Map<number, Session>,
  takeovers: Takeovers,
): Pick<StreamHub<Session>, 'enter' | 'leave'> {
  return {
    enter: (socket, form) => {
      const meter = account.open('', () => broadcaster.shed(session));
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
  };
}

type Requests =
  'follow' | 'settle' | 'subscribe' | 'unsubscribe' | 'resume' | 'replay' | 'acknowledge';

/** What sessions ask of the broadcaster. */
function requestsOf({
  shards,
  broadcaster,
  replays,
}: HubStages): Pick<StreamHub<Session>, Requests> {
  const { subscriptions, executions } = broadcaster;
  return {
    follow: (session, owner) => executions.set(session, owner),
    settle: (session) => executions.settle(session),
    subscribe: (session, id, topics, intervalMs, done) =>
      subscriptions.subscribe(session, id, topics, intervalMs, done),
    unsubscribe: (session, topics, done) => subscriptions.unsubscribe(session, topics, done),
    resume: (session, request, done) => {
      const arrival = arrivalOf(shards, request);
      if (arrival === undefined) return subscriptions.resume(session, request, done);
      void arrival.then(() => {
        if (!session.isGone) subscriptions.resume(session, request, done);
      });
    },
    replay: (session, request) => replays.handle(session, request),
    acknowledge: (session, ack) => broadcaster.acknowledge(session, ack),
  };
}

/** Resolves when everything that the reader has met is here, or will not come soon; undefined: it need not wait. */
function arrivalOf(shards: Shards, request: MessageOf<'resume'>): Promise<unknown> | undefined {
  const { epoch, seq, newest, positions } = request;
  const { all } = shards;
  if (positions === null) {
    return all.length === 1 ? shards.first.core.arrival(epoch, newest ?? seq) : undefined;
  }
  const awaited = positions.flatMap((at) => {
    const shard = all.find(({ name }) => name === at.shard);
    return shard?.core.arrival(at.epoch, at.newest ?? at.seq) ?? [];
  });
  return awaited.length === 0 ? undefined : Promise.all(awaited);
}

/** The name of the session that is this source. */
function nameOf(source: number): string {
  return `s${source}`;
}
