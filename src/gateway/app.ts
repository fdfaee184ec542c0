/** App: the routes of the server, on Elysia. */

import { cors } from '@elysiajs/cors';
import { Elysia } from 'elysia';

import type { Subprotocol } from '../../protocol/codec';
import { fault, type Fault } from '../../protocol/codes';
import type { Admin } from './admin';
import { mayNot, type Keyring, type Principal } from './auth';
import { withText } from './body';
import type { Connections } from './connections';
import { BodyRoom, type GatewayLimits } from './limits';
import type { Orders } from './orders';
import type { Metrics } from './metrics';
import type { Queries, QueryInstrument } from './queries';
import { readyResponse, type NotReady } from './readiness';
import { openApiDocument } from './openapi';
import { PageFiles } from './page-files';
import { noRoute, type Route } from './no-route';
import { created, errorResponse, json, SECURITY_HEADERS } from './responses';
import { upgrade } from './upgrade';

export interface AppOptions {
  readonly backlogBytesMax: number;
  readonly frameBytesMax: number;
  /** Largest body at the start. */
  readonly bodyBytesMax: number;
  readonly requestSeconds: number;
  readonly limits: GatewayLimits;
  /** Pages of other sites that may speak for their users. */
  readonly origins: readonly string[];
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
  /** Takes the lines of a tape in; resolves when they are journaled or refused. */
  ingest(
    who: Principal,
    text: string,
  ): Promise<{ seq: number; events: number; skipped: number } | Fault>;
  /** No more sessions are taken. */
  isStopping(): boolean;
  /** Why the server is not ready; empty when it is. */
  notReady(): readonly NotReady[];
  readonly metrics: Metrics;
  readonly version: string;
  reportError(error: unknown): void;
}

export function createApp<I extends QueryInstrument>(options: AppOptions, stages: AppStages<I>) {
  const { queries, orders, admin } = stages;
  const routes: Route[] = [];
  const pages = new PageFiles();
  const openApi = openApiDocument(stages.version);
  const room = new BodyRoom(options.limits);
  const base = new Elysia({
    precompile: true,
    websocket: {
      // Past its limit Bun drops messages without a word, so a connection that gets there is closed.
      backpressureLimit: options.backlogBytesMax,
      closeOnBackpressureLimit: true,
      // Larger frames (and bodies) than ours are answered with an error up to here, and cut off beyond.
      maxPayloadLength: options.frameBytesMax * 2,
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
  if (!stages.keys.isOpen) {
    base.onBeforeHandle(async ({ request, route }) => {
      if (SELF_CHECKED.has(route)) return undefined;
      const principal = await stages.keys.of(request);
      const refused = 'code' in principal ? principal : mayNot(principal, 'read');
      return refused && errorResponse(refused);
    });
  }
  const app = base
    .onError(({ code, error, request }) => {
      if (code === 'NOT_FOUND') return noRoute(request, routes);
      if (code === 'PARSE')
        return errorResponse(fault('malformed-json', 'the body does not parse'));
      stages.reportError(error);
      return errorResponse(fault('internal', 'the request failed inside the server'));
    })
    .get('/', async ({ request }) => {
      const who = await stages.keys.of(request);
      return await pages.front(request, !('code' in who) && mayNot(who, 'trade') === undefined);
    })
    .get('/assets/:name', async ({ request, params }) => await pages.asset(request, params.name))
    .get('/docs', async ({ request }) => await pages.docs(request))
    .get('/openapi.json', () => json(openApi))
    .get('/healthz', () => json('{"status":"ok"}'))
    .get('/readyz', () => readyResponse(stages.notReady()))
    .get('/metrics', async () => {
      const { metrics } = stages;
      return new Response(await metrics.text(), {
        headers: { 'content-type': metrics.contentType, ...SECURITY_HEADERS },
      });
    })
    .get('/v1/instruments', () => json(queries.instruments()))
    .get('/v1/instruments/:symbol', ({ params }) => answer(queries.instrument(params.symbol)))
    // Elysia takes a handler whose text has `=> call(` or `return call(` for one that may be async,
    // and then awaits it. For the routes that are asked most, the text says otherwise.
    .get('/v1/tick/:symbol', ({ params }) => {
      const result = queries.tick(params.symbol);
      return typeof result === 'string' ? json(result) : errorResponse(result);
    })
    .get('/v1/orderbook/:symbol', ({ params, query }) =>
      query['at'] === undefined
        ? answer(queries.book(params.symbol, query['depth']))
        : queries.history.book(params.symbol, query).then(answer),
    )
    .get('/v1/stats/:symbol', ({ params }) => answer(queries.stats(params.symbol)))
    .get('/v1/trades/:symbol', async ({ params, query }) =>
      answer(await queries.trades(params.symbol, query['limit'], query['before'])),
    )
    .get('/v1/ticks/:symbol', async ({ params, query }) =>
      answer(await queries.history.ticks(params.symbol, query)),
    )
    .get('/v1/bars/:symbol', async ({ params, query }) =>
      answer(await queries.history.bars(params.symbol, query)),
    )
    .get('/v1/orders', ({ request }) => asKnown(request, stages, (who) => orders.list(who)))
    .get('/v1/orders/:id', ({ request, params }) =>
      asKnown(request, stages, (who) => orders.get(who, params.id)),
    )
    .delete('/v1/orders/:id', ({ request, params }) =>
      asKnown(request, stages, (who) => orders.cancel(who, params.id)),
    )
    .post(
      '/v1/orders',
      ({ request }) =>
        asKnown(
          request,
          stages,
          (who) => withText(request, ORDER_BYTES_MAX, room, (t) => orders.submit(who, t)),
          created,
        ),
      { parse: 'none' },
    )
    .post(
      '/v1/instruments/:symbol/state',
      ({ request, params }) =>
        asKnown(request, stages, (who) =>
          withText(request, ORDER_BYTES_MAX, room, (text) =>
            orders.setState(who, params.symbol, text),
          ),
        ),
      { parse: 'none' },
    )
    .post(
      '/v1/admin/instruments',
      ({ request }) =>
        asKnown(
          request,
          stages,
          (who) => withText(request, ORDER_BYTES_MAX, room, (text) => admin.define(who, text)),
          created,
        ),
      { parse: 'none' },
    )
    .get('/v1/admin/sessions', ({ request, query }) =>
      asKnown(request, stages, (who) => admin.list(who, query)),
    )
    .get('/v1/admin/sessions/:name', ({ request, params }) =>
      asKnown(request, stages, (who) => admin.session(who, params.name)),
    )
    .delete('/v1/admin/sessions/:name', ({ request, params }) =>
      asKnown(request, stages, (who) => admin.close(who, params.name)),
    )
    .post(
      '/v1/ingest',
      ({ request }) => ingest(request, options.limits.bodyBytesMax, room, stages),
      {
        parse: 'none',
      },
    )
    .get('/v1/stream', ({ request, server }) => upgrade(request, server, options, stages));
  routes.push(...app.routes);
  return app;
}

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
  '/v1/admin/sessions',
  '/v1/admin/sessions/:name',
]);

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

/** Finds out who asks, and answers. */
async function asKnown<I extends QueryInstrument>(
  request: Request,
  stages: AppStages<I>,
  act: (who: Principal) => string | Fault | Promise<string | Fault>,
  respond: (body: string) => Response = json,
): Promise<Response> {
  const principal = await stages.keys.of(request);
  if ('code' in principal) return errorResponse(principal);
  const result = await act(principal);
  return typeof result === 'string' ? respond(result) : errorResponse(result);
}

/** Orders, states and definitions are small; whoever sends them need not have a key for this to be read. */
const ORDER_BYTES_MAX = 16_384;

async function ingest<I extends QueryInstrument>(
  request: Request,
  bytesMax: number,
  room: BodyRoom,
  stages: AppStages<I>,
): Promise<Response> {
  const principal = await stages.keys.of(request);
  if ('code' in principal) return errorResponse(principal);
  const unable = mayNot(principal, 'publish');
  if (unable !== undefined) return errorResponse(unable);
  const result = await withText(request, bytesMax, room, (text) => stages.ingest(principal, text));
  return 'code' in result ? errorResponse(result) : json(JSON.stringify(result));
}
