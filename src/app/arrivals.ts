/**
 * Arrivals: readers that come from a member of the cluster that has more than this one. What they have is on its way
 * here, so their resumes wait a little, in place of a reset. Bounded: `WAITING_MAX` readers, `WAIT_MS` each.
 */

const WAITING_MAX = 20_000;
/** A member that lacks events for longer is not ready, and readers should not be sent here. */
const WAIT_MS = 3_000;

export class Arrivals {
  private readonly later: (ms: number, act: () => void) => () => void;
  private readonly waiting = new Map<() => void, { epoch: number; seq: number }>();

  /** @param later calls back after some milliseconds, unless what it returns is called before */
  constructor(later: (ms: number, act: () => void) => () => void) {
    this.later = later;
  }

  /** Resolves when an event is here, or when the time is over. Undefined: too many wait. */
  wait(epoch: number, seq: number): Promise<void> | undefined {
    if (this.waiting.size >= WAITING_MAX) return undefined;
    return new Promise((resolve) => {
      const end = (): void => {
        stop();
        this.waiting.delete(end);
        resolve();
      };
      const stop = this.later(WAIT_MS, end);
      this.waiting.set(end, { epoch, seq });
    });
  }

  /** This server has everything up to a number, which is of this epoch or was before it. */
  reached(epoch: number, seq: number): void {
    if (this.waiting.size === 0) return;
    for (const [end, wanted] of this.waiting) {
      if (wanted.epoch <= epoch && wanted.seq <= seq) end();
    }
  }

  /** Nothing more comes. */
  end(): void {
    for (const end of this.waiting.keys()) end();
  }
}
