/**
 * Runner: answers the requests of a route according to its declaration. The order is: identify the sender and
 * check the role, parse the query string and the path, wait for a turn in the share of the client, read the body,
 * call the handler.
 *
 * A route without a role that is answered from memory uses no promises: two thirds of its time are spent in Bun,
 * so each further step is noticeable.
 */

import type { TurnMeter } from '../../base/turn-meter';
import type { Keyring } from '../auth/auth';
import { mayNot, type Principal } from '../auth/principal';
import type { GatewayLimits } from '../auth/limits';
import type { Role } from '../auth/stored-keys';
import { orderWork } from '../auth/work';
import { withPieces, withText, type Body } from './body';
import type { BodyRoom } from './body-room';
import type { RestCounts } from './counts';
import type { Deliver, DeliverKept } from './deliveries';
import type { ParameterLimits } from './parameters';
import { paramsReader, queryReader } from './query';
import type { Requests } from './requests';
import { created, errorResponse, json, refusal } from './responses';
import { titleOf, type Cost, type Effort, type Result, type Route, type Upgrader } from './route';
import { BLOCK, BLOCKS_WORK_MAX, INGESTED, INGESTED_BYTE, LONG_WORK, MADE_BYTE } from './work';

/** Bodies other than tapes are small. One is read before it is known whether its client has a key. */
const BODY_BYTES_MAX = 16_384;

const UNCOUNTED: Effort = () => {};

type Params = Readonly<Record<string, string>>;
type Later<T> = T | Promise<T>;
/** Undefined: the request became a WebSocket. */
type Answered = Later<Response | undefined>;
type Answer = (request: Request, params: Params) => Answered;

/** What a handler is called with, besides the services. */
interface Asked {
  readonly request: Request;
  readonly params: Readonly<Record<string, unknown>>;
  readonly query: Readonly<Record<string, unknown>>;
  readonly who: Principal;
}

type HandledRoute<S> = Extract<Route<S>, { readonly handle: unknown }>;

/** What all routes are answered with. */
export interface RunnerParts {
  readonly keys: Keyring;
  readonly requests: Requests;
  readonly limits: GatewayLimits & ParameterLimits;
  readonly room: BodyRoom;
  readonly turns: TurnMeter;
  readonly counts: RestCounts;
  readonly connections: { ofKey(name: string): number };
  readonly deliver: Deliver;
  readonly deliverKept: DeliverKept;
  readonly addressOf: (request: Request) => string;
  server(): Upgrader | null;
  /** Reports a defect. @returns the answer for the client */
  failed(error: unknown): Response;
}

export class Runner {
  private readonly parts: RunnerParts;

  constructor(parts: RunnerParts) {
    this.parts = parts;
  }

  /** A function that answers the requests of a route, and counts them. */
  run<S>(route: Route<S>, services: S): Answer {
    const title = titleOf(route);
    const counts = this.parts.counts.of(title);
    const answer = this.answerOf(route, services);
    const settle = async (later: Promise<Response | undefined>): Promise<Response | undefined> => {
      let response: Response | undefined;
      try {
        response = await later;
      } catch (error) {
        return this.parts.failed(error);
      }
      counts.add(response?.status);
      return response;
    };
    const counted: Answer = (request, params) => {
      const response = answer(request, params);
      if (response instanceof Promise) return settle(response);
      counts.add(response?.status);
      return response;
    };
    if (route.isTimed !== true) return counted;
    const stopwatch = this.parts.counts.timed(title);
    return async (request, params) => {
      const start = stopwatch.start();
      const response = await counted(request, params);
      stopwatch.stop(start);
      return response;
    };
  }

  private answerOf<S>(route: Route<S>, services: S): Answer {
    if ('handle' in route) return this.handled(route, services);
    const query = queryReader(titleOf(route), {}, this.parts.limits);
    if ('kept' in route) {
      const answer = route.kept(services);
      return this.forRole(route.role, async (request) => {
        const wrong = query(request.url);
        return 'code' in wrong ? errorResponse(wrong) : this.parts.deliverKept(request, answer);
      });
    }
    return (request, params) => {
      const read = route.takesAnyQuery === true ? undefined : query(request.url);
      if (read !== undefined && 'code' in read) return errorResponse(read);
      return route.respond({ request, params, server: this.parts.server() }, services);
    };
  }

  /** The answer of a route with a handler. */
  private handled<S>(route: HandledRoute<S>, services: S): Answer {
    const { deliver, requests, keys, limits } = this.parts;
    const { role, cost, body } = route;
    const readQuery = queryReader(titleOf(route), route.query ?? {}, limits);
    const readParams = paramsReader(route.params ?? {}, limits);
    const respond = route.answer.status === 201 ? created : json;
    const handle = route.handle as (call: object, services: S) => Later<Result>;
    const result = (request: Request, given: Params, who: Principal): Later<Result> => {
      const read = readQuery(request.url);
      if ('code' in read) return read;
      const query = read.values;
      let params: Asked['params'] = given;
      if (readParams !== undefined) {
        const parts = readParams(given);
        if ('code' in parts) return parts;
        params = parts.values;
      }
      const price = typeof cost === 'function' ? cost(query as never) : cost;
      if (price === 'memory' && body === undefined) {
        return handle({ params, query, who, body, effort: UNCOUNTED }, services);
      }
      const act = (value: unknown, effort: Effort): Later<Result> =>
        // The key may have been revoked while the request waited.
        (role !== null && mayNot(who, role)) ||
        handle({ params, query, who, body: value, effort }, services);
      return this.worked({ request, params, query, who }, price, body, role, act);
    };
    if (role === null || (role === 'read' && keys.isOpen)) {
      return (request, params) => {
        const given = result(request, params, keys.anonymous);
        if (given instanceof Promise) return given.then((late) => deliver(request, late, respond));
        return deliver(request, given, respond);
      };
    }
    return async (request, params) => {
      const who = await this.admitted(request, role);
      if (who instanceof Response) return who;
      const act = (): Later<Result> => result(request, params, who);
      // What reads is bounded by its share; everything else waits for the market or for a body.
      const given = await (role === 'read' ? act() : requests.wait(request, this.keyOf(who), act));
      return deliver(request, given, respond);
    };
  }

  /** Reads the body if there is one, and does the work in the share of the client. */
  private worked(
    { request, who }: Asked,
    cost: Cost,
    body: Body<unknown> | undefined,
    role: Role | null,
    act: (body: unknown, effort: Effort) => Later<Result>,
  ): Later<Result> {
    const { room, turns, limits, requests } = this.parts;
    if (body === undefined)
      return this.priced(request, who, cost, role, (effort) => act(undefined, effort));
    if (body.type === 'application/x-ndjson') {
      return withPieces(request, limits.bodyBytesMax, room, turns, async (pieces, size) => {
        await requests.line(request, INGESTED + size * INGESTED_BYTE);
        return act(pieces, UNCOUNTED);
      });
    }
    return withText(request, BODY_BYTES_MAX, room, turns, async (text) =>
      this.priced(request, who, cost, role, (effort) => {
        const read = body.read(text);
        return 'code' in read ? read : act(read.value, effort);
      }),
    );
  }

  /** Does the work when the share of the client allows it, and counts what it costs. */
  private priced(
    request: Request,
    who: Principal,
    cost: Cost,
    role: Role | null,
    act: (effort: Effort) => Later<Result>,
  ): Later<Result> {
    const { requests, connections } = this.parts;
    switch (cost) {
      case 'memory':
        return act(UNCOUNTED);
      case 'order': {
        const least = orderWork(requests.keyIn(request), connections);
        return requests.weighed(request, least, MADE_BYTE, () => act(UNCOUNTED));
      }
      case 'long':
        return this.weighed(request, role, () => act(UNCOUNTED));
      case 'past':
        return this.weighed(request, role, async (spend) => {
          const effort = (blocks: number): void => spend(Math.min(blocks * BLOCK, BLOCKS_WORK_MAX));
          const result = await requests.waitForPast(request, () => act(effort));
          return mayNot(who, 'read') ?? result;
        });
    }
  }

  private async weighed(
    request: Request,
    role: Role | null,
    act: (spend: (work: number) => void) => Later<Result>,
  ): Promise<Result> {
    const { keys, requests, addressOf } = this.parts;
    // The key of a request that needs none was not checked yet; the work counts for the share of that key.
    if (role === 'read' && keys.isOpen && request.headers.has('authorization')) {
      const who = await keys.of(request, addressOf);
      if (!('code' in who)) requests.note(request, who.name);
    }
    return requests.weighed(request, LONG_WORK, MADE_BYTE, act);
  }

  /** The same answer after a check of the role. */
  private forRole(role: Role | null, answer: Answer): Answer {
    if (role === null || (role === 'read' && this.parts.keys.isOpen)) return answer;
    return async (request, params) => {
      const who = await this.admitted(request, role);
      return who instanceof Response ? who : answer(request, params);
    };
  }

  /**
   * The sender, by the head of the request; or the refusal if the key is unknown, exceeds its rate of requests,
   * or lacks the role. The body is neither read nor counted.
   */
  private async admitted(request: Request, role: Role): Promise<Principal | Response> {
    const { keys, requests, addressOf } = this.parts;
    const who = await keys.of(request, addressOf);
    if ('code' in who) return requests.unknown(request, who);
    const unable = mayNot(who, role);
    // There may be many keys without the role `read`; their refusals count as those of unknown keys.
    if (unable !== undefined && role === 'read') return requests.unknown(request, unable);
    const key = this.keyOf(who);
    const refused = key === null ? undefined : requests.admitKey(request, key);
    if (refused !== undefined) return refused;
    return unable === undefined ? who : refusal(request, unable);
  }

  /** Name of the key that was presented; null without one. */
  private keyOf(who: Principal): string | null {
    return who.name === this.parts.keys.anonymous.name ? null : who.name;
  }
}
