/** Origins: for which page a browser speaks, and from where, as far as that matters here. */

import { isLoopbackName } from './hosts';

/** Whether the request is addressed to this machine by a name that no other site can have. */
export function isOwnMachine(headers: Headers): boolean {
  const name = (headers.get('host') ?? '').replace(/:\d+$/, '');
  return name === '[::1]' || (name !== '::1' && isLoopbackName(name));
}

/** Whether it comes from no page at all, from the server's own, or from one of these. */
export function isOwnPage(headers: Headers, origins: readonly string[]): boolean {
  const origin = headers.get('origin');
  if (origin === null || origins.includes(origin)) return true;
  const host = headers.get('host') ?? '';
  return origin === `http://${host}` || origin === `https://${host}`;
}

/** What a proxy says of whom it speaks for; one that says nothing cannot be known. */
const PROXY_HEADERS: ReadonlySet<string> = new Set([
  'forwarded',
  'via',
  'x-real-ip',
  'x-client-ip',
  'x-cluster-client-ip',
  'true-client-ip',
  'cf-connecting-ip',
]);

/** Whether it comes from a program of this machine, and not by way of a proxy there. */
export function isLocal(headers: Headers, address: string): boolean {
  const peer = address.startsWith('::ffff:') ? address.slice(7) : address;
  if (!isLoopbackName(peer)) return false;
  for (const name of headers.keys()) {
    if (PROXY_HEADERS.has(name) || name.startsWith('x-forwarded-')) return false;
  }
  return true;
}
