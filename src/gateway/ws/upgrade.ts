/** Upgrade: turns a request into a WebSocket connection, or answers why it cannot. */

import { SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK, type Subprotocol } from '../../../protocol/codec';
import { fault, fieldFault } from '../../../protocol/codes';
import { clientAt } from '../auth/addresses';
import type { Keyring } from '../auth/auth';
import type { Principal } from '../auth/principal';
import type { Connections } from './connections';
import { crowded, tooManySessions, type GatewayLimits } from '../auth/limits';
import { isOwnPage } from '../auth/origins';
import { errorResponse } from '../rest/responses';
import type { Shares } from '../auth/shares';
import { WORK } from '../auth/work';

/** The part of Bun's server that is used here. */
interface Upgrader {
  upgrade(request: Request, options: { data: unknown; headers?: Record<string, string> }): boolean;
  requestIP(request: Request): { readonly address: string } | null;
}

/** Delay of a refusal in ms, so that a client that waits for the answer does not retry at once. */
const HELD_MS = 100;

interface UpgradeOptions {
  readonly limits: GatewayLimits;
  readonly origins: readonly string[];
}

interface UpgradeStages {
  readonly keys: Keyring;
  connection(form: Subprotocol, principal: Principal): object;
  readonly connections: Connections;
  readonly shares: Shares;
  isStopping(): boolean;
}

export async function upgrade(
  request: Request,
  server: Upgrader | null,
  options: UpgradeOptions,
  stages: UpgradeStages,
): Promise<Response | undefined> {
  const { headers } = request;
  if (headers.get('upgrade')?.toLowerCase() !== 'websocket' || server === null) {
    return errorResponse(fault('upgrade-required', '/v1/stream speaks WebSocket'));
  }
  // CORS does not apply to WebSocket: a browser opens one for any page. So the origin is checked here.
  if (!isOwnPage(headers, options.origins)) {
    const message = 'pages of other sites may not connect, but for those of server.origins';
    return errorResponse(fault('forbidden', message, 'Origin'));
  }
  const addressOf = (r: Request): string => server.requestIP(r)?.address ?? '';
  const principal = await stages.keys.of(request, addressOf);
  if ('code' in principal) return errorResponse(principal);
  if (stages.isStopping()) {
    return errorResponse(fault('shutting-down', 'the server is being stopped'));
  }
  const address = addressOf(request);
  const key = principal.name === stages.keys.anonymous.name ? null : principal.name;
  const client = clientAt(address);
  const share = key === null ? stages.shares.ofStranger(client) : stages.shares.ofKey(key);
  share.spend(WORK.opened);
  if (share.isDeep) {
    await Bun.sleep(HELD_MS);
    return errorResponse(crowded(key ?? client, options.limits));
  }
  const full = tooManySessions(
    stages.connections,
    options.limits,
    client,
    key,
    stages.keys.hasKeys,
  );
  if (full !== undefined) return errorResponse(full);
  const offered = headers.get('sec-websocket-protocol');
  const form = chooseSubprotocol(offered);
  if (form === undefined) {
    const expected = `${SUBPROTOCOL_MSGPACK} or ${SUBPROTOCOL_JSON}`;
    return errorResponse(fieldFault('Sec-WebSocket-Protocol', offered, expected));
  }
  const upgraded = server.upgrade(request, {
    data: stages.connection(form, principal),
    ...(offered === null ? {} : { headers: { 'sec-websocket-protocol': form } }),
  });
  return upgraded
    ? undefined
    : errorResponse(fault('upgrade-required', 'this is not a valid WebSocket handshake'));
}

/**
 * The first subprotocol of the client that the server supports; JSON if it lists none; undefined if none
 * matches.
 */
function chooseSubprotocol(offered: string | null): Subprotocol | undefined {
  if (offered === null) return SUBPROTOCOL_JSON;
  return offered
    .split(',')
    .map((name) => name.trim())
    .find((name) => name === SUBPROTOCOL_MSGPACK || name === SUBPROTOCOL_JSON);
}
