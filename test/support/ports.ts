/** A port of this machine that nobody listens on, for a server that is to come back where it was. */
export async function freePort(): Promise<number> {
  const probe = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response('') });
  const { port } = probe;
  await probe.stop(true);
  return port!;
}
