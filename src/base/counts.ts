/** Counts: how many of something are under way, in all and of each client. Bounded: by what is under way. */

export class Counts {
  private readonly ofClient = new Map<string, number>();
  size = 0;

  of(client: string): number {
    return this.ofClient.get(client) ?? 0;
  }

  /** One more, or with -1 one less. */
  change(client: string, by: 1 | -1): void {
    this.size += by;
    const count = this.of(client) + by;
    if (count === 0) this.ofClient.delete(client);
    else this.ofClient.set(client, count);
  }

  /** One more while something is done. */
  async during<T>(client: string, act: () => T | Promise<T>): Promise<T> {
    this.change(client, 1);
    try {
      return await act();
    } finally {
      this.change(client, -1);
    }
  }
}
