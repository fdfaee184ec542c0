/** Origins: for which page a browser sends a request, and whether the request comes from this machine. */

import { isLoopbackName } from './hosts';

/** Whether the request names this machine by a host name that no other site can have. */
export function isOwnMachine(headers: Headers): boolean {
  const name = (headers.get('host') ?? '').replace(/:\d+$/, '');
  return name === '[::1]' || (name !== '::1' && isLoopbackName(name));
}

/** Whether it comes from no page, from a page of the server itself, or from one of these origins. */
export function isOwnPage(headers: Headers, origins: readonly string[]): boolean {
  const origin = headers.get('origin');
  if (origin === null || origins.includes(origin)) return true;
  const host = headers.get('host') ?? '';
  return origin === `http://${host}` || origin === `https://${host}`;
}

/** Headers in which a proxy names its client. A proxy that sets none of them cannot be recognized. */
const PROXY_HEADERS: ReadonlySet<string> = new Set([
  'forwarded',
  'via',
  'x-real-ip',
  'x-client-ip',
  'x-cluster-client-ip',
  'true-client-ip',
  'cf-connecting-ip',
]);

/** Whether it comes from a program on this machine, without a proxy. */
export function isLocal(headers: Headers, address: string): boolean {
  const peer = address.startsWith('::ffff:') ? address.slice(7) : address;
  if (!isLoopbackName(peer)) return false;
  for (const name of headers.keys()) {
    if (PROXY_HEADERS.has(name) || name.startsWith('x-forwarded-')) return false;
  }
  return true;
}
