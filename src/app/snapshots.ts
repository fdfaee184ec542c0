/** Snapshots: which books are written to the journal as a whole, and when. */

import type { Config, ConfiguredInstrument } from '../config/config';
import { SnapshotPolicy, type SnapshotOptions } from '../journal/write/snapshot-policy';
import type { Market } from '../market/market';
import type { SequencedMarket } from '../sequencer/contract';

/** The policy of the settings: that of the journal, or an instrument's own. */
export function snapshotPolicy({ journal, instruments }: Config): SnapshotPolicy {
  const optionsOf = (own: Partial<ConfiguredInstrument>): SnapshotOptions => ({
    everyMs: own.snapshotEveryMs ?? journal.snapshotEveryMs,
    changeShare: (own.snapshotChangePercent ?? journal.snapshotChangePercent) / 100,
  });
  return new SnapshotPolicy(
    optionsOf({}),
    new Map(instruments.map((own) => [own.symbol, optionsOf(own)])),
  );
}

/** The market, with snapshots behind each submission that makes them due. */
export function withSnapshots(market: Market, policy: SnapshotPolicy): SequencedMarket {
  for (const instrument of market.all()) {
    policy.hydrate(Array.from(instrument.newest()).filter((event) => event.type === 'book'));
  }
  return {
    admit: (from, events, holds) => market.admit(from, events, holds),
    apply: (source, event, out, continues, owner) =>
      market.apply(source, event, out, continues, owner),
    settle: (out, events, from) => {
      for (const due of policy.accept(events, from)) {
        out.push({ type: 'snapshot', seq: out.nextSeq(), ...due });
      }
    },
    seal: () => market.seal(),
  };
}
