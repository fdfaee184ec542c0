/** Origins: for which page a browser speaks, as far as that matters here. */

/** Whether the request is addressed to this machine by a name that no other site can have. */
export function isOwnMachine(headers: Headers): boolean {
  const name = (headers.get('host') ?? '').replace(/:\d+$/, '');
  return name === 'localhost' || name === '[::1]' || /^127(\.\d{1,3}){3}$/.test(name);
}

/** Whether it comes from no page at all, from the server's own, or from one of these. */
export function isOwnPage(headers: Headers, origins: readonly string[]): boolean {
  const origin = headers.get('origin');
  if (origin === null || origins.includes(origin)) return true;
  const host = headers.get('host') ?? '';
  return origin === `http://${host}` || origin === `https://${host}`;
}
