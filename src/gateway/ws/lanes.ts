/**
 * Lanes: limits how many tasks of one kind each client has under way at once. Further tasks wait behind the
 * client's own tasks only, so one client's many requests do not delay the single request of another.
 * Bounded: by the limits on what a client may have under way and waiting.
 */

interface Lane {
  underWay: number;
  readonly waiting: (() => void)[];
}

export class Lanes {
  private readonly lanes = new Map<string, Lane>();
  private readonly most: number;

  /** @param most tasks under way per client */
  constructor(most: number) {
    this.most = most;
  }

  async during<T>(client: string, act: () => T | Promise<T>): Promise<T> {
    let lane = this.lanes.get(client);
    if (lane === undefined) this.lanes.set(client, (lane = { underWay: 0, waiting: [] }));
    if (lane.underWay < this.most) lane.underWay += 1;
    else await new Promise<void>((resolve) => lane.waiting.push(resolve));
    try {
      return await act();
    } finally {
      const next = lane.waiting.shift();
      if (next !== undefined)
        next(); // takes over the slot
      else if (--lane.underWay === 0) this.lanes.delete(client);
    }
  }
}
