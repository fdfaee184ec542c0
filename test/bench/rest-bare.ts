/**
 * The baseline of the bench `rest`: a bare `Bun.serve` with the same paths, which answers with the bodies and
 * headers that it fetched once from the server at the given address.
 */

import { serve } from 'bun';

const CONTENT_TYPE = 'content-type';

async function answerOf(url: string): Promise<() => Response> {
  const answer = await fetch(url);
  const body = await answer.text();
  // As the server does it: made once, and copied by Bun for each answer.
  const headers = new Headers({ [CONTENT_TYPE]: answer.headers.get(CONTENT_TYPE)! });
  return () => new Response(body, { headers });
}

const [, , origin, symbol] = process.argv;
const server = serve({
  hostname: '127.0.0.1',
  port: 0,
  development: false,
  routes: {
    '/v1/tick/:symbol': await answerOf(`${origin}/v1/tick/${symbol}`),
    '/v1/orderbook/:symbol': await answerOf(`${origin}/v1/orderbook/${symbol}`),
  },
  fetch: () => new Response('not found', { status: 404 }),
});
console.log(`bare ${server.url.origin}`);
