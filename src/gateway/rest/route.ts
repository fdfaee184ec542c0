/**
 * Route: how a REST route declares itself.
 *
 * One declaration names the parameters, body, answers, role, price and error codes of a route, and
 * the handler. Parsing, refusals, the role check, the accounting of work (runner.ts), the OpenAPI
 * document (openapi.ts) and the table in the reference (table.ts) follow from it.
 */

import type { Static, TObject, TProperties, TSchema } from '@sinclair/typebox';

import type { ErrorCode, Fault } from '../../../protocol/codes';
import type { Principal } from '../auth/principal';
import type { Role } from '../auth/stored-keys';
import type { Body } from './body';
import type { KeptAnswer } from './kept-answers';

/**
 * What the answer costs its client in work, and what it may have to wait for:
 * - `memory`: nothing; the answer is in memory. Also commands, which wait for the market.
 * - `long`: the length of the answer. A client that has requested much waits for a turn.
 * - `past`: the length of the answer and the journal blocks that were read for it.
 * - `order`: an order command, which notifies every session of its key.
 */
export type Cost = 'memory' | 'long' | 'past' | 'order';

/** Adds the journal blocks that were read for an answer to its cost. */
export type Effort = (blocks: number) => void;

/** What a handler gets: everything is parsed and checked against the schemas of the route. */
export interface Call<P extends TProperties, Q extends TProperties, B> {
  readonly params: Static<TObject<P>>;
  readonly query: Static<TObject<Q>>;
  readonly body: B;
  /** The principal of the request, which has the role of the route. */
  readonly who: Principal;
  readonly effort: Effort;
}

/** JSON text, or why there is none. */
export type Result = string | Fault;

export interface Answer {
  /** 200 unless given. */
  readonly status?: 201;
  /** The schema of a JSON answer. One with an `$id` has that name in the document. */
  readonly schema?: TSchema;
  readonly example?: object;
  /** Type of the content, if it is not JSON. */
  readonly type?: string;
}

/** An answer with another status that is no error of the protocol, such as "not ready". */
export interface OtherAnswer {
  readonly status: number;
  readonly summary: string;
  readonly schema: TSchema;
  readonly example: object;
}

interface Declared {
  /** Operation id of the document: the name of the call in clients that are generated from it. */
  readonly id: string;
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** `:name` matches a part of the path; each is declared in `params`. */
  readonly path: string;
  readonly summary: string;
  /** Null: anybody may ask, also where the server requires a key. */
  readonly role: Role | null;
  readonly answer: Answer;
  readonly otherwise?: OtherAnswer;
  /** Codes of this route; those that any route of its kind may answer are added by openapi.ts. */
  readonly errors: readonly ErrorCode[];
  /** Durations of its requests are observed for the metrics. */
  readonly isTimed?: true;
}

/** A route whose handler gives JSON text or a fault. */
interface Handled<S, P extends TProperties, Q extends TProperties, B> extends Declared {
  readonly params?: P;
  readonly query?: Q;
  readonly body?: Body<B>;
  /** May depend on what is asked for. */
  readonly cost: Cost | ((query: Static<TObject<Q>>) => Cost);
  handle(call: Call<P, Q, B>, services: S): Result | Promise<Result>;
}

/** A route whose answer is made once for many clients. */
interface KeptRoute<S> extends Declared {
  kept(services: S): KeptAnswer;
}

/** Bun's server as far as a route needs it, for the upgrade to WebSocket. */
export interface Upgrader {
  upgrade(request: Request, options: { data: unknown; headers?: Record<string, string> }): boolean;
  requestIP(request: Request): { readonly address: string } | null;
}

export interface RawCall {
  readonly request: Request;
  readonly params: Readonly<Record<string, string>>;
  readonly server: Upgrader | null;
}

/** A route that makes its whole response: a page, or the upgrade to WebSocket (no response). */
interface RawRoute<S> extends Declared {
  readonly params?: TProperties;
  /** Query parameters are not looked at, as in addresses that people open in a browser. */
  readonly takesAnyQuery?: true;
  respond(call: RawCall, services: S): Response | undefined | Promise<Response | undefined>;
}

/** A route as generic code sees it: the types of its parameters are known to its handler alone. */
export type Route<S> =
  | (Omit<Handled<S, TProperties, TProperties, unknown>, 'handle' | 'cost'> & {
      readonly cost: Cost | ((query: never) => Cost);
      readonly handle: (call: never, services: S) => Result | Promise<Result>;
    })
  | KeptRoute<S>
  | RawRoute<S>;

/** Routes that are added to an app together. */
export interface RouteGroup<S> {
  readonly name: string;
  readonly description: string;
  readonly routes: readonly Route<S>[];
  /** For browsers: not part of the OpenAPI document. */
  readonly isHidden?: true;
}

/** The functions that declare routes whose handlers need the services `S`. */
export function routesOf<S>() {
  return {
    route: <P extends TProperties, Q extends TProperties, B = undefined>(
      declared: Handled<S, P, Q, B>,
    ): Route<S> => declared,
    kept: (declared: KeptRoute<S>): Route<S> => declared,
    raw: (declared: RawRoute<S>): Route<S> => declared,
  };
}

/** `GET /v1/tick/:symbol`: the name of a route in metrics and messages. */
export function titleOf({ method, path }: Pick<Declared, 'method' | 'path'>): string {
  return `${method} ${path}`;
}
