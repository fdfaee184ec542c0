/** App: the routes of the server, on Elysia. */

import { Elysia } from 'elysia';

import { SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK, type Subprotocol } from '../../protocol/codec';
import { fault, fieldFault, type Fault } from '../../protocol/codes';
import type { Admin } from './admin';
import type { Keyring, Principal } from './auth';
import { readText } from './body';
import { mayNot, type Orders } from './orders';
import type { Metrics } from './metrics';
import type { Queries, QueryInstrument } from './queries';
import { readyResponse, type NotReady } from './readiness';
import { noRoute, type Route } from './no-route';
import { created, errorResponse, json } from './responses';

export interface AppOptions {
  readonly backlogBytesMax: number;
  readonly frameBytesMax: number;
  readonly bodyBytesMax: number;
  readonly sessionsMax: number;
}

/** The stages behind the routes. */
export interface AppStages<I extends QueryInstrument> {
  readonly queries: Queries<I>;
  readonly keys: Keyring;
  readonly orders: Orders;
  readonly admin: Admin;
  /** The `data` of a new socket, which takes its events. */
  connection(form: Subprotocol, principal: Principal): object;
  sessionCount(): number;
  /** Takes the lines of a tape in; resolves when they are journaled or refused. */
  ingest(
    source: string,
    text: string,
  ): Promise<{ seq: number; events: number; skipped: number } | Fault>;
  /** No more sessions are taken. */
  isStopping(): boolean;
  /** Why the server is not ready; empty when it is. */
  notReady(): readonly NotReady[];
  readonly metrics: Metrics;
  reportError(error: unknown): void;
}

export function createApp<I extends QueryInstrument>(options: AppOptions, stages: AppStages<I>) {
  const { queries, orders, admin } = stages;
  const routes: Route[] = [];
  const app = new Elysia({
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
    serve: { maxRequestBodySize: options.bodyBytesMax * 2, reusePort: false, development: false },
  })
    .onError(({ code, error, request }) => {
      if (code === 'NOT_FOUND') return noRoute(request, routes);
      if (code === 'PARSE')
        return errorResponse(fault('malformed-json', 'the body does not parse'));
      stages.reportError(error);
      return errorResponse(fault('internal', 'the request failed inside the server'));
    })
    .get(
      '/',
      () => new Response(FRONT, { headers: { 'content-type': 'text/plain;charset=utf-8' } }),
    )
    .get('/healthz', () => json('{"status":"ok"}'))
    .get('/readyz', () => readyResponse(stages.notReady()))
    .get('/metrics', async () => {
      const { metrics } = stages;
      return new Response(await metrics.text(), {
        headers: { 'content-type': metrics.contentType },
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
        asKnown(request, stages, (who) => withBody(request, (t) => orders.submit(who, t)), created),
      { parse: 'none' },
    )
    .post(
      '/v1/instruments/:symbol/state',
      ({ request, params }) =>
        asKnown(request, stages, (who) =>
          withBody(request, (text) => orders.setState(who, params.symbol, text)),
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
    .post('/v1/ingest', ({ request }) => ingest(request, options.bodyBytesMax, stages), {
      parse: 'none',
    })
    .get('/v1/stream', ({ request, server }) => upgrade(request, server, options, stages));
  routes.push(...app.routes);
  return app;
}

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
  const principal = stages.keys.of(request);
  if (principal === undefined) return errorResponse(wrongKey());
  const result = await act(principal);
  return typeof result === 'string' ? respond(result) : errorResponse(result);
}

/** Orders and states are small; whoever sends them need not have a key for this to be read. */
const ORDER_BYTES_MAX = 16_384;

async function withBody(
  request: Request,
  act: (text: string) => Promise<string | Fault>,
): Promise<string | Fault> {
  const text = await readText(request, ORDER_BYTES_MAX);
  return typeof text === 'string' ? act(text) : text;
}

async function ingest<I extends QueryInstrument>(
  request: Request,
  bytesMax: number,
  stages: AppStages<I>,
): Promise<Response> {
  const principal = stages.keys.of(request);
  if (principal === undefined) return errorResponse(wrongKey());
  const unable = mayNot(principal, 'publish');
  if (unable !== undefined) return errorResponse(unable);
  const text = await readText(request, bytesMax);
  if (typeof text !== 'string') return errorResponse(text);
  const result = await stages.ingest(principal.name, text);
  return 'code' in result ? errorResponse(result) : json(JSON.stringify(result));
}

/** Bun's server as far as it is used here. */
interface Upgrader {
  upgrade(request: Request, options: { data: unknown; headers?: Record<string, string> }): boolean;
}

function upgrade<I extends QueryInstrument>(
  request: Request,
  server: Upgrader | null,
  options: AppOptions,
  stages: AppStages<I>,
): Response | undefined {
  if (request.headers.get('upgrade')?.toLowerCase() !== 'websocket' || server === null) {
    return errorResponse(fault('upgrade-required', '/v1/stream speaks WebSocket'));
  }
  const principal = stages.keys.of(request);
  if (principal === undefined) return errorResponse(wrongKey());
  if (stages.isStopping()) {
    return errorResponse(fault('shutting-down', 'the server is being stopped'));
  }
  if (stages.sessionCount() >= options.sessionsMax) {
    return errorResponse(fault('overloaded', `there are ${options.sessionsMax} sessions already`));
  }
  const offered = request.headers.get('sec-websocket-protocol');
  const form = chooseSubprotocol(offered);
  if (form === undefined) {
    return errorResponse(
      fieldFault(
        'Sec-WebSocket-Protocol',
        offered,
        `${SUBPROTOCOL_MSGPACK} or ${SUBPROTOCOL_JSON}`,
      ),
    );
  }
  const upgraded = server.upgrade(request, {
    data: stages.connection(form, principal),
    ...(offered === null ? {} : { headers: { 'sec-websocket-protocol': form } }),
  });
  return upgraded
    ? undefined
    : errorResponse(fault('upgrade-required', 'this is not a valid WebSocket handshake'));
}

/** The first of the client's that we speak; JSON when it names none; undefined when none fits. */
function chooseSubprotocol(offered: string | null): Subprotocol | undefined {
  if (offered === null) return SUBPROTOCOL_JSON;
  return offered
    .split(',')
    .map((name) => name.trim())
    .find((name) => name === SUBPROTOCOL_MSGPACK || name === SUBPROTOCOL_JSON);
}

function wrongKey(): Fault {
  return fault(
    'unauthorized',
    'the Authorization header holds no key of this server',
    'Authorization',
  );
}

const FRONT = `Tapedeck

GET  /v1/instruments                      what there is
GET  /v1/tick/SYMBOL                      newest tick
GET  /v1/orderbook/SYMBOL?depth=10        order book
GET  /v1/orderbook/SYMBOL?at=TIME         order book at a past moment
GET  /v1/trades/SYMBOL?limit=100          newest trades
GET  /v1/ticks/SYMBOL?from=&to=           ticks of a time range
GET  /v1/bars/SYMBOL?interval=1m          bars
GET  /v1/orders  /v1/orders/ID            your orders
POST /v1/orders  DELETE /v1/orders/ID     order entry, with a key
POST /v1/ingest                           NDJSON tape lines, with a key
GET  /v1/admin/sessions                   who is connected, with a key
GET  /healthz  /readyz                    health
GET  /metrics                             for Prometheus
WS   /v1/stream                           live: see protocol/README.md
`;
