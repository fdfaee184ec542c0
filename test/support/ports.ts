/** Ports for servers that are to come back at the address where they were. */

/** Below the range from which systems hand out ports by themselves, so that no other process is given one. */
const FROM = 12_000;
const TO = 30_000;

/** A port of this machine on which nothing listens. */
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
