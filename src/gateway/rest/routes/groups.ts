/** Groups: all routes of a server. Another kind of server adds some of these groups, or more. */

import type { RouteGroup } from '../route';
import { CLUSTER, type ClusterServices } from './cluster';
import { HISTORY, type HistoryServices } from './history';
import { INGEST, INSTRUMENTS, type IngestServices, type InstrumentServices } from './instruments';
import { MARKET, type MarketServices } from './market';
import { OBSERVING, type ObservingServices } from './observing';
import { ORDERS, type OrderServices } from './orders';
import { PAGES, type PageServices } from './pages';
import { SESSIONS, type SessionServices } from './sessions';
import { STREAM, type StreamServices } from './stream';

/** What the handlers of all groups need. */
export type Services = MarketServices &
  HistoryServices &
  OrderServices &
  InstrumentServices &
  IngestServices &
  SessionServices &
  ObservingServices &
  ClusterServices &
  StreamServices &
  PageServices;

export const GROUPS: readonly RouteGroup<Services>[] = [
  MARKET,
  HISTORY,
  ORDERS,
  INGEST,
  INSTRUMENTS,
  SESSIONS,
  CLUSTER,
  OBSERVING,
  STREAM,
  PAGES,
];
