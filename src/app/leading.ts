/** Leading: what a server does once it numbers events itself: at its start, or when a replica takes over. */

import type { IngestSource } from '../base/contracts/ingest';
import { StartFault } from '../base/start-fault';
import type { Config } from '../config/config';
import { definitionsOf } from './instruments';
import type { LocalMarket } from './local-market';
import { finishAuctions } from './order-stage';

/** Announces the recovered market, and defines the instruments of the settings. @returns why they cannot be, if so */
export function beginMarket(
  local: LocalMarket,
  { instruments }: Pick<Config, 'instruments'>,
): StartFault | undefined {
  const definitions = definitionsOf(local, instruments);
  const { market, sequencer } = local;
  const isWrong = definitions instanceof StartFault;
  sequencer.act((out) => market.announceRecovered(out));
  if (!isWrong) {
    for (const definition of definitions) sequencer.act((out) => market.define(definition, out));
  }
  finishAuctions(local);
  return isWrong ? definitions : undefined;
}

/** Sources that run as long as the server leads. */
export type LeadingSources = (local: LocalMarket) => readonly IngestSource[];
