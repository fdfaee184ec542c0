/** No route: the answer if a path is unknown, or known with other methods. */

import { fault, fieldFault } from '../../../protocol/codes';
import { refusal } from './responses';

/** Method and path of a route; parts of the path that begin with a colon match anything. */
interface RoutePath {
  readonly method: string;
  readonly path: string;
}

/** More parts than any route has. */
const PARTS_MAX = 16;

export function noRoute(request: Request, routes: readonly RoutePath[]): Response {
  // The Host header is part of the address, so the address may be malformed.
  if (!URL.canParse(request.url)) {
    const host = request.headers.get('host');
    return refusal(request, fieldFault('Host', host, 'the name or address of this server'));
  }
  const { pathname } = new URL(request.url);
  const parts = partsOf(pathname);
  const methods = new Set(routes.filter((r) => fits(r.path, parts)).map((r) => r.method));
  if (methods.has('GET')) methods.add('HEAD');
  const shortPath = pathname.slice(0, 200);
  if (methods.size === 0) {
    return refusal(request, fault('not-found', `there is no ${request.method} ${shortPath}`));
  }
  const allow = [...methods].join(', ');
  const message = `${shortPath} does not take ${request.method}; it takes ${allow}`;
  const response = refusal(request, fault('method-not-allowed', message));
  response.headers.set('allow', allow);
  return response;
}

/** The path may be long: it is split once, and not for each route. */
function partsOf(path: string): readonly string[] {
  return path.replace(/\/$/, '').split('/', PARTS_MAX);
}

function fits(route: string, parts: readonly string[]): boolean {
  const wanted = partsOf(route);
  return (
    parts.length === wanted.length &&
    wanted.every((part, i) => part === parts[i] || (part.startsWith(':') && parts[i] !== ''))
  );
}
