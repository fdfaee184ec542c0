/**
 * The control of the bench `flood`: another process that gets the same floods. It accepts all connections, reads
 * and discards everything, and answers REST requests with what it fetched once from the server at the given
 * address. So the slowdown while a flood goes here is what source, readers and flood take from each other on one
 * machine.
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
