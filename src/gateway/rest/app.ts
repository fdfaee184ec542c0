/** App: the HTTP side of a server, on Elysia. Groups of routes are added to it one by one. */

import { cors } from '@elysiajs/cors';
import { Elysia } from 'elysia';

import type { Subprotocol } from '../../../protocol/codec';
import { fault } from '../../../protocol/codes';
import type { ByteAccount } from '../../base/byte-account';
import type { Clock } from '../../base/clock';
import type { Keyring } from '../auth/auth';
import { mayNot, type Principal } from '../auth/principal';
import type { Hosts } from '../auth/hosts';
import type { GatewayLimits } from '../auth/limits';
import type { Shares } from '../auth/shares';
import type { Documents } from '../docs/documents';
import type { Connections } from '../ws/connections';
import { upgrade } from '../ws/upgrade';
import { BodyRoom } from './body-room';
import { Compression } from './compression';
import type { RestCounts } from './counts';
import { createDeliveries } from './deliveries';
import { KeptAnswer } from './kept-answers';
import { noRoute } from './no-route';
import { openApiDocument } from './openapi';
import { PageFiles } from './page-files';
import type { ParameterLimits } from './parameters';
import { Requests } from './requests';
import { errorResponse, sealed, SECURITY_HEADERS } from './responses';
import type { Route, RouteGroup } from './route';
import { GROUPS, type Services } from './routes/groups';
import { Runner } from './runner';

export interface AppOptions {
  readonly backlogBytesMax: number;
  readonly frameBytesMax: number;
  /** Largest body at the start. */
  readonly bodyBytesMax: number;
  readonly requestSeconds: number;
  /** The current limits: a reload changes them in place. */
  readonly limits: GatewayLimits & ParameterLimits;
  /** Pages of other sites that may speak for their users. */
  readonly origins: readonly string[];
  /** By which names the server may be asked. */
  readonly hosts: Hosts;
  /** Whether other machines reach it, over TLS. */
  readonly isTls: boolean;
  /** When a trading session ends, in seconds after midnight UTC. */
  readonly sessionBoundary: number;
}

/** What the app makes itself of what it is given. */
type OwnServices = 'instruments' | 'metricsText' | 'openApi' | 'pages' | 'mayTrade' | 'upgrade';

/** The services of the routes, and what the app needs itself. */
export interface AppStages extends Omit<Services, OwnServices> {
  readonly queries: Services['queries'] & { instruments(): Promise<string> };
  readonly keys: Keyring;
  /** The `data` of a new socket, which takes its events. */
  connection(form: Subprotocol, principal: Principal): object;
  readonly connections: Connections;
  /** Counts what clients cause to be held in memory. */
  readonly account: ByteAccount;
  readonly shares: Shares;
  readonly documents: Documents;
  /** No more sessions are taken. */
  isStopping(): boolean;
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
  readonly counts: RestCounts;
  readonly version: string;
  readonly clock: Clock;
  reportError(error: unknown): void;
}

/** How much longer than allowed a frame may be and still get an answer. */
const OVER_BYTES = 65_536;
/** Part of a core that making an answer for many clients may take. */
const KEPT_SHARE = 0.02;
/** The body is not for Elysia to read: the runner does, up to its largest length, or nobody does. */
const UNREAD = { parse: 'none' } as const;
const CORS = {
  methods: ['GET', 'POST', 'DELETE'],
  allowedHeaders: ['authorization', 'content-type'],
  exposeHeaders: ['retry-after'],
  credentials: false,
  maxAge: 600,
};

/** The app of a server. @param groups the routes that it has */
export function createApp(
  options: AppOptions,
  stages: AppStages,
  groups: readonly RouteGroup<Services>[] = GROUPS,
): Elysia {
  const elysia = createElysia(options);
  const addressOf = (request: Request): string => elysia.server?.requestIP(request)?.address ?? '';
  const requests = new Requests(options.limits, stages.shares, stages.clock, addressOf);
  guard(elysia, options, stages, requests);
  const routes: Route<Services>[] = [];
  const failed = answerFaults(elysia, stages, routes);
  // Elysia keeps a header of the response if CORS has one of the same name.
  const vary = options.origins.length > 0 ? 'accept-encoding, origin' : undefined;
  const runner = new Runner({
    ...stages,
    ...createDeliveries(stages.account, requests, new Compression(vary)),
    requests,
    limits: options.limits,
    room: new BodyRoom(options.limits, (request) => requests.meterOf(request, stages.account)),
    turns: stages.clock.turns,
    addressOf,
    server: () => elysia.server,
    failed,
  });
  const services = servicesOf(options, stages, groups, addressOf);
  for (const group of groups) {
    for (const route of group.routes) addRoute(elysia, runner, route, services);
    routes.push(...group.routes);
  }
  return elysia;
}

function createElysia(options: AppOptions): Elysia {
  const elysia = new Elysia({
    precompile: true,
    websocket: {
      // Past its limit Bun drops messages without notice, so a connection that gets there is closed.
      backpressureLimit: options.backlogBytesMax,
      closeOnBackpressureLimit: true,
      // A longer frame than allowed is answered with an error up to here, and cut off beyond. It is also
      // what Bun holds of an unfinished frame, of which it reports nothing.
      maxPayloadLength: options.frameBytesMax + OVER_BYTES,
      idleTimeout: 120,
      sendPings: false, // each pong answers one of our own pings
    },
    serve: {
      maxRequestBodySize: options.bodyBytesMax * 2,
      idleTimeout: options.requestSeconds,
      reusePort: false,
      development: false,
    },
  });
  if (options.origins.length > 0) elysia.use(cors({ ...CORS, origin: [...options.origins] }));
  return elysia;
}

/** What happens to every request before its route is looked up. */
function guard(
  elysia: Elysia,
  options: AppOptions,
  { counts, clock: { turns } }: AppStages,
  requests: Requests,
): void {
  const seal = (response: Response): Response => sealed(response, options.isTls);
  // Not `onRequest`, for which Elysia parses the address of every request.
  elysia.wrap((handle, request) => {
    const refused = requests.admit(request);
    if (refused !== undefined) return () => refused.then((r) => seal(counts.countFault(r)));
    const misnamed = options.hosts.refusal(request);
    if (misnamed !== undefined) return () => seal(counts.countFault(errorResponse(misnamed)));
    const detail = (): string => `${request.method} ${new URL(request.url).pathname}`;
    const timed = (given: Request): unknown => turns.answer('request', () => handle(given), detail);
    // Sealed are answers that no route makes (to a preflight), and those over TLS.
    if (!options.isTls && request.method !== 'OPTIONS') return timed;
    return async (given: Request) => {
      const response = await timed(given);
      return response instanceof Response ? seal(response) : response; // else it is a WebSocket now
    };
  });
}

/** Answers what no route takes. @returns the answer to a request whose handler has thrown */
function answerFaults(
  elysia: Elysia,
  stages: AppStages,
  routes: readonly Route<Services>[],
): (error: unknown) => Response {
  const { counts } = stages;
  const failed = (error: unknown): Response => {
    stages.reportError(error);
    const message = 'the request failed inside the server';
    return counts.countFault(errorResponse(fault('internal', message)));
  };
  elysia.onError(({ code, error, request }) => {
    if (code === 'NOT_FOUND') return counts.countFault(noRoute(request, routes));
    if (code === 'PARSE') {
      return counts.countFault(errorResponse(fault('malformed-json', 'the body does not parse')));
    }
    return failed(error);
  });
  return failed;
}

function servicesOf(
  options: AppOptions,
  stages: AppStages,
  groups: readonly RouteGroup<Services>[],
  addressOf: (request: Request) => string,
): Services {
  const { clock, metrics, queries, version, keys } = stages;
  const metricsHeaders = { 'content-type': metrics.contentType, ...SECURITY_HEADERS };
  return {
    ...stages,
    instruments: new KeptAnswer(() => queries.instruments(), KEPT_SHARE, clock),
    metricsText: new KeptAnswer(
      () => metrics.text(),
      KEPT_SHARE,
      clock,
      (text) => new Response(text, { headers: metricsHeaders }),
    ),
    openApi: new KeptAnswer(() => openApiDocument(version, groups, options.limits), 0, clock),
    pages: new PageFiles(options.sessionBoundary, stages.documents),
    mayTrade: async (request) => {
      const who = await keys.of(request, addressOf);
      return !('code' in who) && mayNot(who, 'trade') === undefined;
    },
    upgrade: (request, server) => upgrade(request, server, options, stages),
  };
}

function addRoute(
  elysia: Elysia,
  runner: Runner,
  route: Route<Services>,
  services: Services,
): void {
  const answer = runner.run(route, services);
  elysia.route(
    route.method,
    route.path,
    // Elysia awaits a handler whose text has a call after `=>` or `return`, so this one has none.
    ({ params, request }) => {
      const response = answer(request, params);
      return response === undefined ? undefined : response;
    },
    route.method === 'GET' ? {} : UNREAD,
  );
}
