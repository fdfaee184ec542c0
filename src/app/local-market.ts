/** Local market: the market of this process, and the sequencer that gives it its turns. */

import type { Fault } from '../../protocol/codes';
import type { Market } from '../market/market';
import type { MarketOutput } from '../market/output';
import type { Sequencer } from '../sequencer/sequencer';

export interface LocalMarket {
  readonly market: Market;
  readonly sequencer: Sequencer;
}

/**
 * Runs an operator's action in a turn of the sequencer.
 * @returns why it was refused; else the newest sequence number, when the journal has what the action did
 */
export function inTurn(
  { sequencer }: Pick<LocalMarket, 'sequencer'>,
  act: (out: MarketOutput) => Fault | undefined,
): Promise<number | Fault> {
  const refused = sequencer.refusal();
  if (refused !== undefined) return Promise.resolve(refused);
  let wrong: Fault | undefined;
  let seq = 0;
  return new Promise((resolve) => {
    sequencer.act(
      (out) => {
        wrong = act(out);
        seq = sequencer.lastSeq;
      },
      () => resolve(wrong ?? seq),
    );
  });
}
