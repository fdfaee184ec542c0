/** Ports for servers that must restart at the same address. */

/** Below the range of ephemeral ports, so that no other process gets one of these. */
const FROM = 12_000;
const TO = 30_000;

/** A port of this machine on which nobody listens. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FROM + Math.floor(Math.random() * (TO - FROM));
    try {
      const probe = Bun.serve({ port, hostname: '127.0.0.1', fetch: () => new Response('') });
      await probe.stop(true);
      return port;
    } catch {
      // Another process listens on it.
    }
  }
}
