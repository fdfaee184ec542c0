/** Reading of a whole checkpoint, also of one that the version before wrote. */

import { readState, type MarketCheckpoint } from './checkpoint';
import { isOlder, renewed, type OlderCheckpoint } from './checkpoint-older';

/** Reads a checkpoint that is one text, of this version or the one before. */
export function readCheckpoint(text: string): MarketCheckpoint {
  const read = readState<MarketCheckpoint | OlderCheckpoint>(text);
  return isOlder(read) ? renewed(read) : read;
}
