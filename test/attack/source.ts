/** Source: publishes a market of one instrument, whatever happens to other clients of the server. */

import { Prng } from '../../src/base/prng';
import { book, tape, trade } from '../support/feed';
import type { Target } from './target';

const BATCH_MS = 5;

/** The first book of the instrument. */
export function opening() {
  return book('ACME', 'snapshot', [['9.00', '1.000']], [['11.00', '1.000']]);
}

/** A market that continues whatever happens. */
export class Source {
  private readonly target: Target;
  private readonly random: Prng;
  private isRunning = true;

  constructor(target: Target, seed: number) {
    this.target = target;
    this.random = new Prng(seed);
  }

  async run(): Promise<void> {
    while (this.isRunning) {
      await this.target.ingest(tape(...Array.from({ length: 5 }, () => this.event())));
      await Bun.sleep(BATCH_MS);
    }
  }

  stop(): void {
    this.isRunning = false;
  }

  private event() {
    const { random } = this;
    if (random.chance(0.4)) return trade('ACME', `10.${random.int(10, 99)}`, '0.001');
    const side = [
      [`${random.chance(0.5) ? 9 : 8}.${random.int(10, 99)}`, `${random.int(0, 3)}.000`],
    ] as const;
    const other = [[`11.${random.int(10, 99)}`, `${random.int(0, 3)}.000`]] as const;
    return book('ACME', 'delta', side, random.chance(0.5) ? other : []);
  }
}
