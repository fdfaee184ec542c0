/** A TCP proxy that cuts every connection some time after it was made, as a bad network does. */

import { connect, createServer, type Server, type Socket } from 'node:net';

import type { Prng } from '../../src/base/prng';

export class CuttingProxy {
  /** While it is set, connections last this long, in ms: at least, at most. */
  connectionMs: readonly [number, number] | null = null;
  cuts = 0;
  private readonly server: Server;
  private readonly pairs = new Set<readonly Socket[]>();

  private constructor(target: URL, prng: Prng) {
    this.server = createServer((near) => {
      const far = connect(Number(target.port), target.hostname);
      const pair = [near, far];
      this.pairs.add(pair);
      for (const socket of pair) {
        socket.on('error', () => this.cut(pair));
        socket.on('close', () => this.cut(pair));
      }
      near.pipe(far).pipe(near);
      if (this.connectionMs === null) return;
      setTimeout(
        () => {
          if (this.pairs.has(pair)) this.cuts += 1;
          this.cut(pair);
        },
        prng.int(...this.connectionMs),
      );
    });
  }

  static async to(url: string, prng: Prng): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(new URL(url), prng);
    await new Promise<void>((resolve) => {
      proxy.server.listen(0, '127.0.0.1', resolve);
    });
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as { port: number }).port}`;
  }

  /** Cuts all connections without notice, in the middle of what is in flight. */
  cutAll(): void {
    for (const pair of this.pairs) this.cut(pair);
  }

  close(): void {
    this.cutAll();
    this.server.close();
  }

  private cut(pair: readonly Socket[]): void {
    if (!this.pairs.delete(pair)) return;
    for (const socket of pair) socket.destroy();
  }
}
