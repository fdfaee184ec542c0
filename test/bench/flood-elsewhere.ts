/**
 * The control of the bench `flood`: another process that the same floods go to. It takes all
 * connections, reads everything and throws it away, and to a question of REST it gives the answer that
 * it fetched once from the server whose address it is given. So what a flood costs the others while it
 * comes here is what source, readers and flood take from each other on one machine.
 */

import { serve } from 'bun';

import { FLOODS } from './flood-kinds';

const [, , origin] = process.argv;
const answers = new Map<string, Uint8Array<ArrayBuffer>>();
for (const { asks, key = '' } of Object.values(FLOODS)) {
  if (asks === undefined) continue;
  answers.set(
    asks,
    new Uint8Array(
      await (
        await fetch(origin + asks, {
          headers: key === '' ? {} : { authorization: `Bearer ${key}` },
        })
      ).arrayBuffer(),
    ),
  );
}
const server = serve({
  hostname: '127.0.0.1',
  port: 0,
  development: false,
  fetch(request, listening) {
    if (listening.upgrade(request)) return undefined;
    const { pathname, search } = new URL(request.url);
    return new Response(answers.get(pathname + search));
  },
  websocket: { maxPayloadLength: 1_048_576, message: () => {} },
});
console.log(`elsewhere ${server.url.origin}`);
