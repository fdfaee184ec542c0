/** Stream: the way from HTTP to WebSocket. */

import { routesOf, type RouteGroup, type Upgrader } from '../route';

export interface StreamServices {
  /** Makes a WebSocket of a request; the response says why it does not. */
  upgrade(request: Request, server: Upgrader | null): Promise<Response | undefined>;
}

const { raw } = routesOf<StreamServices>();

export const STREAM: RouteGroup<StreamServices> = {
  name: 'stream',
  description: 'Live data, publishing and orders over WebSocket',
  routes: [
    raw({
      id: 'openStream',
      method: 'GET',
      path: '/v1/stream',
      summary: 'WebSocket: live topics, publishing, orders; see protocol/README.md',
      role: null, // the upgrade checks the key, which may also come later, in `hello`
      answer: { type: 'application/octet-stream' },
      errors: ['upgrade-required', 'overloaded', 'shutting-down'],
      respond: ({ request, server }, services) => services.upgrade(request, server),
    }),
  ],
};
