/** Gateway: the HTTP app with its route groups, and the WebSocket connections. */

import { limitedOrders } from '../gateway/auth/limits';
import { Documents } from '../gateway/docs/documents';
import { Shares } from '../gateway/auth/shares';
import type { ClusterStatus } from '../base/contracts/cluster';
import type { ServedMarket } from '../base/contracts/core';
import { readiness } from '../gateway/metrics/readiness';
import { createApp } from '../gateway/rest/app';
import { Orders } from '../gateway/rest/orders';
import { Sessions } from '../gateway/rest/sessions';
import { StreamConnection } from '../gateway/ws/stream';
import { StreamTurns } from '../gateway/ws/turns';
import type { MarketInstrument } from '../market/instrument';
import { VERSION } from '../version';
import { isLoopback } from './access';
import type { Broadcasting } from './broadcasting';
import type { Ground } from './ground';
import { createHub } from './hub';
import { createIngest } from './ingest-requests';
import { createMetrics, type Measured } from './observing';
import type { Reading } from './reading';
import type { Shards } from './shards';
import type { Sources } from './sources';

export interface GatewayParts {
  readonly shards: Shards;
  readonly market: ServedMarket<MarketInstrument>;
  readonly sources: Sources;
  readonly broadcasting: Broadcasting;
  readonly reading: Reading;
  readonly measured: Measured;
  readonly isStopping: () => boolean;
  /** Of each shard; undefined: the server is no member of a cluster. */
  readonly cluster: (() => readonly ClusterStatus[]) | undefined;
}

export function createGateway(ground: Ground, parts: GatewayParts) {
  const { config, limits, clock, access, log, repeated, account, slices, connections } = ground;
  const { shards, market, sources, broadcasting, reading, measured, isStopping, cluster } = parts;
  const { queries } = reading;
  const shares = new Shares(limits, clock, (client) => market.entry.isCrowded(client));
  const orders = limitedOrders(market.orders, limits, clock);
  const hub = createHub(ground, { ...broadcasting, shards, market, sources, orders, shares });
  const { administration } = market;
  const definer = { ...administration, instrument: (symbol: string) => queries.instrument(symbol) };
  const options = {
    ...config.limits,
    limits,
    backlogBytesMax: config.push.backlogBytesMax,
    origins: config.server.origins,
    hosts: access.hosts,
    isTls: access.tls !== null && !isLoopback(config.server.host),
    sessionBoundary: config.market.sessionBoundary,
  };
  return createApp(options, {
    queries,
    keys: access.keys,
    orders: new Orders(orders, (operator, owner, done) => {
      log.info({ operator, owner, ...done }, 'the open orders of an owner were cancelled');
    }),
    sessions: new Sessions(connections, clock),
    definer,
    connection: (...of) => new StreamTurns(clock.turns, new StreamConnection(hub, ...of)),
    connections,
    account,
    shares,
    documents: new Documents(
      async () => (await import('../docs/documents')).DOCUMENTS,
      ground.slices,
    ),
    ingest: createIngest(market, sources, limits, slices),
    cluster: () => cluster?.() ?? [],
    readiness: () => {
      const { behindMsMax } = config.cluster;
      return readiness({
        journal: market.figures.journal(),
        isStopping: isStopping(),
        stale: measured.freshness.stale(),
        cluster: cluster && { shards: cluster(), behindMsMax },
        found: market.warnings,
      });
    },
    isStopping,
    version: VERSION,
    counts: ground.counts.rest,
    metrics: createMetrics({ ...measured, ground, shards, market, shares, cluster }),
    clock,
    reportError: (error) => {
      const { name, stack } = error instanceof Error ? error : new Error(String(error));
      repeated.report('error', 'a request failed', name, { error: String(error), stack });
    },
  });
}
