/** App: the routes of the server, on Elysia. */

import { cors } from '@elysiajs/cors';
import { Elysia } from 'elysia';

import type { Subprotocol } from '../../../protocol/codec';
import { ERRORS, fault, type Fault } from '../../../protocol/codes';
import type { ByteAccount } from '../../base/byte-account';
import type { Clock } from '../../base/clock';
import type { Admin } from './admin';
import { isTrue } from './answer';
import { mayNot, type Keyring, type Principal } from '../auth/auth';
import { withPieces, withText } from './body';
import type { Effort } from './history-queries';
import { Compression } from './compression';
import { createDeliveries } from './deliveries';
import type { Connections } from '../ws/connections';
import type { Hosts } from '../auth/hosts';
import { type GatewayLimits } from '../auth/limits';
import type { Orders } from './orders';
import type { Metrics } from '../metrics/metrics';
import type { Queries, QueryInstrument } from './queries';
import { readyResponse, type Readiness } from '../metrics/readiness';
import { PageFiles } from './page-files';
import { asKnown, type Known } from './known';
import {
  BLOCK,
  BLOCKS_WORK_MAX,
  INGESTED,
  INGESTED_BYTE,
  keptAnswers,
  LONG_WORK,
  MADE_BYTE,
} from './work';
import { noRoute, type Route } from './no-route';
import { hasQuery, queryFault, type Query } from './query';
import { Requests } from './requests';
import type { RestCounts } from './counts';
import type { Shares } from '../auth/shares';
import { created, errorResponse, json, sealed, SECURITY_HEADERS } from './responses';
import { upgrade } from '../ws/upgrade';
import { orderWork } from '../work';
import { BodyRoom } from './body-room';

export interface AppOptions {
  readonly backlogBytesMax: number;
  readonly frameBytesMax: number;
  /** Largest body at the start. */
  readonly bodyBytesMax: number;
  readonly requestSeconds: number;
  readonly limits: GatewayLimits;
  /** Pages of other sites that may speak for their users. */
  readonly origins: readonly string[];
  /** By which names it may be asked for. */
  readonly hosts: Hosts;
  /** Whether others reach it, over TLS. */
  readonly isTls: boolean;
  /** When a trading session ends, in seconds after midnight UTC. */
  readonly sessionBoundary: number;
}

/** The stages behind the routes. */
export interface AppStages<I extends QueryInstrument> {
  readonly queries: Queries<I>;
  readonly keys: Keyring;
  readonly orders: Orders;
  readonly admin: Admin;
  /** The `data` of a new socket, which takes its events. */
  connection(form: Subprotocol, principal: Principal): object;
  readonly connections: Connections;
  /** Of what clients cause to be held. */
  readonly account: ByteAccount;
  readonly shares: Shares;
  /** Takes the lines of a tape in; resolves when they are journaled or refused. */
  ingest(
    who: Principal,
    pieces: readonly Uint8Array[],
    continues: boolean,
  ): Promise<object | Fault>;
  /** No more sessions are taken. */
  isStopping(): boolean;
  readiness(): Readiness;
  readonly metrics: Metrics;
  readonly counts: RestCounts;
  readonly version: string;
  readonly clock: Clock;
  reportError(error: unknown): void;
}

const HOT_ROUTE = '/v1/tick/:symbol';

export function createApp<I extends QueryInstrument>(options: AppOptions, stages: AppStages<I>) {
  const { queries, orders, admin, counts } = stages;
  const { turns } = stages.clock;
  const routes: Route[] = [];
  const ticks = counts.of(`GET ${HOT_ROUTE}`);
  const pages = new PageFiles(options.sessionBoundary);
  const addressOf = (request: Request): string => base.server?.requestIP(request)?.address ?? '';
  const requests = new Requests(options.limits, stages.shares, stages.clock, addressOf);
  const room = new BodyRoom(options.limits, (request) => requests.meterOf(request, stages.account));
  const base = new Elysia({
    precompile: true,
    websocket: {
      // Past its limit Bun drops messages without a word, so a connection that gets there is closed.
      backpressureLimit: options.backlogBytesMax,
      closeOnBackpressureLimit: true,
      // Larger frames than ours are answered with an error up to here, and cut off beyond. It is also what
      // Bun holds of one that is not finished, of which it tells nothing.
      maxPayloadLength: options.frameBytesMax + OVER_BYTES,
      idleTimeout: 120,
      sendPings: false, // each pong answers one of ours
    },
    serve: {
      maxRequestBodySize: options.bodyBytesMax * 2,
      idleTimeout: options.requestSeconds,
      reusePort: false,
      development: false,
    },
  });
  if (options.origins.length > 0) base.use(cors({ ...CORS, origin: [...options.origins] }));
  const seal = (response: Response): Response => sealed(response, options.isTls);
  // Not `onRequest`, for which Elysia takes the address of every request apart.
  base.wrap((handle, request) => {
    const refused = requests.admit(request);
    if (refused !== undefined) return () => refused.then((r) => seal(counts.countFault(r)));
    const misnamed = options.hosts.refusal(request);
    if (misnamed !== undefined) return () => seal(counts.countFault(errorResponse(misnamed)));
    const detail = (): string => `${request.method} ${new URL(request.url).pathname}`;
    const timed = (given: Request): unknown => turns.whole('request', () => handle(given), detail);
    // What is not made here (the answer to a preflight), and what TLS adds.
    if (!options.isTls && request.method !== 'OPTIONS') return timed;
    return async (given: Request) => {
      const response = await timed(given);
      return response instanceof Response ? seal(response) : response; // else it is a WebSocket now
    };
  });
  if (!stages.keys.isOpen) {
    base.onBeforeHandle(async ({ request, route }) => {
      if (SELF_CHECKED.has(route)) return undefined;
      const principal = await stages.keys.of(request, addressOf);
      const refused = 'code' in principal ? principal : mayNot(principal, 'read');
      if (!('code' in principal)) readers.set(request, principal);
      const response =
        refused === undefined
          ? await requests.admitKey(request, (principal as Principal).name)
          : await requests.unknown(request, refused);
      if (response !== undefined && route === HOT_ROUTE) ticks.add(response.status);
      return response;
    });
  }
  base.onError(({ code, error, request }) => {
    if (code === 'NOT_FOUND') return counts.countFault(noRoute(request, routes));
    if (code === 'PARSE')
      return counts.countFault(errorResponse(fault('malformed-json', 'the body does not parse')));
    stages.reportError(error);
    const message = 'the request failed inside the server';
    return counts.countFault(errorResponse(fault('internal', message)));
  });
  // Before the hook that counts, which would cost it seven hundredths of its time.
  base.get('/v1/tick/:symbol', ({ params, request }) => {
    const { url } = request;
    const wrong = hasQuery(url) ? queryFault('GET', HOT_ROUTE, url) : undefined;
    const result = wrong ?? queries.tick(params.symbol);
    const isFound = typeof result === 'string';
    ticks.add(isFound ? 200 : ERRORS[result.code].status);
    // Elysia takes a handler whose text has `=> call(` or `return call(` for one that may be async,
    // and then awaits it. For the route that is asked most, the text says otherwise.
    return isFound ? json(result) : errorResponse(result);
  });
  base.onBeforeHandle(({ request, route }) => {
    const wrong = PAGES.has(route) ? undefined : queryFault(request.method, route, request.url);
    return wrong && errorResponse(wrong);
  });
  base.onAfterHandle(({ request, route, responseValue }) => {
    counts.count(request.method, route, responseValue);
  });
  // Elysia lets a header of the response stand where CORS has one of the same name.
  const hasOrigins = options.origins.length > 0;
  const compression = new Compression(hasOrigins ? 'accept-encoding, origin' : undefined);
  const { deliver, deliverKept } = createDeliveries(stages.account, requests, compression);
  /** Who asks for the market with a key; where anybody may, nobody need be known. */
  const readers = new WeakMap<Request, Principal>();
  const { openApi, metrics, instruments } = keptAnswers(stages);
  /** In the share of who asks. */
  const weighed = async (
    request: Request,
    act: (spend: (work: number) => void) => string | Fault | Promise<string | Fault>,
    least = LONG_WORK,
  ): Promise<Response> => {
    if (stages.keys.isOpen && request.headers.has('authorization')) {
      const who = await stages.keys.of(request, addressOf);
      if (!('code' in who)) requests.note(request, who.name);
    }
    return deliver(request, await requests.weighed(request, least, MADE_BYTE, act));
  };
  const past = async (
    request: Request,
    act: (effort: Effort) => string | Fault | Promise<string | Fault>,
  ): Promise<Response> =>
    weighed(request, async (spend) => {
      const effort = (blocks: number): void => spend(Math.min(blocks * BLOCK, BLOCKS_WORK_MAX));
      const result = await requests.waitForPast(request, () => act(effort));
      const reader = readers.get(request);
      // It may have taken a while, in which the key was revoked.
      return (reader && mayNot(reader, 'read')) ?? result;
    });
  const bookAt = (request: Request, symbol: string, query: Record<string, string>) =>
    past(request, (effort) => queries.history.book(symbol, query, effort));
  /** Ten levels are at hand; more are written for who asks. */
  const book = (request: Request, symbol: string, depth: string | undefined) =>
    depth === undefined
      ? deliver(request, queries.book(symbol, depth))
      : weighed(request, () => queries.book(symbol, depth));
  const ingest = async (
    { request, query }: { readonly request: Request; readonly query: Query },
    who: Principal,
  ): Promise<string | Fault> => {
    const continues = isTrue('continues', query['continues']);
    if (typeof continues !== 'boolean') return continues;
    const { bodyBytesMax } = options.limits;
    const result = await withPieces(request, bodyBytesMax, room, turns, async (pieces, size) => {
      await requests.line(request, INGESTED + size * INGESTED_BYTE);
      return stages.ingest(who, pieces, continues);
    });
    return 'code' in result ? result : JSON.stringify(result);
  };
  /** An order, amendment or cancel, in the share of its client. */
  const ordered = (request: Request, act: () => Promise<string | Fault>) =>
    requests.weighed(
      request,
      orderWork(requests.keyIn(request), stages.connections),
      MADE_BYTE,
      act,
    );
  const known: Known = { keys: stages.keys, addressOf, requests, deliver };
  const app = base
    .get('/', async ({ request }) => {
      const who = await stages.keys.of(request, addressOf);
      return await pages.front(request, !('code' in who) && mayNot(who, 'trade') === undefined);
    })
    .get('/assets/:name', async ({ request, params }) => await pages.asset(request, params.name))
    .get('/docs', async ({ request }) => await pages.docs(request))
    .get('/openapi.json', async ({ request }) => deliverKept(request, openApi))
    .get('/healthz', () => json('{"status":"ok"}'))
    .get('/readyz', () => readyResponse(stages.readiness()))
    .get('/metrics', async ({ request }) => {
      const headers = { 'content-type': stages.metrics.contentType, ...SECURITY_HEADERS };
      return deliverKept(request, metrics, (text) => new Response(text, { headers }));
    })
    .get('/v1/instruments', async ({ request }) => deliverKept(request, instruments))
    .get('/v1/instruments/:symbol', ({ params }) => answer(queries.instrument(params.symbol)))
    .get('/v1/orderbook/:symbol', ({ params, query, request }) =>
      query['at'] === undefined
        ? book(request, params.symbol, query['depth'])
        : bookAt(request, params.symbol, query),
    )
    .get('/v1/stats/:symbol', ({ params }) => answer(queries.stats(params.symbol)))
    .get(
      '/v1/trades/:symbol',
      async ({ params, query, request }) =>
        past(request, (effort) =>
          queries.trades(params.symbol, query['limit'], query['next'], effort),
        ),
      counts.timed('GET /v1/trades/:symbol'),
    )
    .get(
      '/v1/ticks/:symbol',
      async ({ params, query, request }) =>
        past(request, (effort) => queries.history.ticks(params.symbol, query, effort)),
      counts.timed('GET /v1/ticks/:symbol'),
    )
    .get(
      '/v1/bars/:symbol',
      async ({ params, query, request }) =>
        past(request, (effort) => queries.history.bars(params.symbol, query, effort)),
      counts.timed('GET /v1/bars/:symbol'),
    )
    .get('/v1/orders', (c) =>
      asKnown(c, known, 'trade', (who) =>
        requests.weighed(c.request, LONG_WORK, MADE_BYTE, () => orders.list(who, c.query)),
      ),
    )
    .get('/v1/orders/:id', (c) => asKnown(c, known, 'trade', (who) => orders.get(who, c.params.id)))
    .delete(
      '/v1/orders/:id',
      (c) =>
        asKnown(c, known, 'trade', (who) =>
          ordered(c.request, () => orders.cancel(who, c.params.id)),
        ),
      {
        ...UNREAD,
        ...counts.timed('DELETE /v1/orders/:id'),
      },
    )
    .post(
      '/v1/orders',
      (c) =>
        asKnown(
          c,
          known,
          'trade',
          (who) =>
            withText(c.request, ORDER_BYTES_MAX, room, turns, (text) =>
              ordered(c.request, () => orders.submit(who, text)),
            ),
          created,
        ),
      { ...UNREAD, ...counts.timed('POST /v1/orders') },
    )
    .post(
      '/v1/instruments/:symbol/state',
      (c) =>
        asKnown(c, known, 'admin', (who) =>
          withText(c.request, ORDER_BYTES_MAX, room, turns, (text) =>
            orders.setState(who, c.params.symbol, text),
          ),
        ),
      UNREAD,
    )
    .post(
      '/v1/admin/instruments',
      (c) =>
        asKnown(
          c,
          known,
          'admin',
          (who) =>
            withText(c.request, ORDER_BYTES_MAX, room, turns, (text) => admin.define(who, text)),
          created,
        ),
      UNREAD,
    )
    .post(
      '/v1/admin/instruments/:symbol/renumber',
      (c) => asKnown(c, known, 'admin', (who) => admin.renumber(who, c.params.symbol)),
      UNREAD,
    )
    .delete(
      '/v1/admin/instruments/:symbol',
      (c) => asKnown(c, known, 'admin', (who) => admin.delete(who, c.params.symbol)),
      UNREAD,
    )
    .delete(
      '/v1/admin/owners/:owner/orders',
      (c) => asKnown(c, known, 'admin', (who) => orders.cancelAll(who, c.params.owner)),
      UNREAD,
    )
    .get('/v1/admin/sessions', (c) =>
      asKnown(c, known, 'admin', (who) =>
        requests.weighed(c.request, LONG_WORK, MADE_BYTE, () => admin.list(who, c.query)),
      ),
    )
    .get('/v1/admin/sessions/:name', (c) =>
      asKnown(c, known, 'admin', (who) => admin.session(who, c.params.name)),
    )
    .delete(
      '/v1/admin/sessions/:name',
      (c) => asKnown(c, known, 'admin', (who) => admin.close(who, c.params.name)),
      UNREAD,
    )
    .post('/v1/ingest', (c) => asKnown(c, known, 'publish', (who) => ingest(c, who)), {
      ...UNREAD,
      ...counts.timed('POST /v1/ingest'),
    })
    .get('/v1/stream', ({ request, server }) => upgrade(request, server, options, stages));
  routes.push(...app.routes);
  return app;
}

/** What people open in a browser: the address says more than the server has to know. */
const PAGES: ReadonlySet<string> = new Set(['/', '/assets/:name', '/docs']);

/** Routes that need no key, or ask for another role than `read` themselves. */
const SELF_CHECKED: ReadonlySet<string> = new Set([
  '/',
  '/assets/:name',
  '/docs',
  '/openapi.json',
  '/healthz',
  '/readyz',
  '/metrics',
  '/v1/stream',
  '/v1/orders',
  '/v1/orders/:id',
  '/v1/ingest',
  '/v1/instruments/:symbol/state',
  '/v1/admin/instruments',
  '/v1/admin/instruments/:symbol/renumber',
  '/v1/admin/instruments/:symbol',
  '/v1/admin/owners/:owner/orders',
  '/v1/admin/sessions',
  '/v1/admin/sessions/:name',
]);

/** Its body is not for Elysia to read: the route does, no further than it may be long, or nobody does. */
const UNREAD = { parse: 'none' } as const;

const CORS = {
  methods: ['GET', 'POST', 'DELETE'],
  allowedHeaders: ['authorization', 'content-type'],
  exposeHeaders: ['retry-after'],
  credentials: false,
  maxAge: 600,
};

function answer(result: string | Fault): Response {
  return typeof result === 'string' ? json(result) : errorResponse(result);
}

/** What a frame may be too long by, and have an answer. */
const OVER_BYTES = 65_536;
/** Orders, states and definitions are small; whoever sends them need not have a key for this to be read. */
const ORDER_BYTES_MAX = 16_384;
