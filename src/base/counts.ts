/** Counts: how many operations are in progress, in all and for each client. Bound: operations in progress. */

export class Counts {
  private readonly ofClient = new Map<string, number>();
  size = 0;

  of(client: string): number {
    return this.ofClient.get(client) ?? 0;
  }

  /** Adds 1, or with -1 subtracts 1. */
  change(client: string, by: 1 | -1): void {
    this.size += by;
    const count = this.of(client) + by;
    if (count === 0) this.ofClient.delete(client);
    else this.ofClient.set(client, count);
  }

  /** Counts one more while `work` runs. */
  async during<T>(client: string, act: () => T | Promise<T>): Promise<T> {
    this.change(client, 1);
    try {
      return await act();
    } finally {
      this.change(client, -1);
    }
  }
}
