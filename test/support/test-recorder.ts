/** A recorder on a directory; what it recorded is collected as well. */

import type { MarketEvent, Tick } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import type { Clock } from '../../src/base/clock';
import { ManualClock } from '../../src/base/clock';
import type { Secrets } from '../../src/base/secrets';
import { StartFault } from '../../src/base/start-fault';
import { check, type Config } from '../../src/config/config';
import type { Market } from '../../src/market/market';
import { openRecorder, type Recorder } from '../../src/app/recorder';
import type { Batch } from '../../src/base/contracts/batch';
import { at } from './market-events';

/** Checkpoints may be closer together here than the configuration of a server allows. */
export function testConfig(directory: string, journal: Partial<Config['journal']> = {}): Config {
  const config = check({ journal: { directory } });
  if (config instanceof StartFault) throw new Error(config.message);
  return {
    ...config,
    journal: { ...config.journal, durability: 'commit', snapshotEveryMs: 0, ...journal },
  };
}

export interface Recording {
  readonly recorder: Recorder;
  /** The batches that were accepted, with the requested durability. */
  readonly batches: Batch[];
  /** State of the market after each batch, by the last seq of the batch; empty unless requested. */
  readonly states: Map<number, string>;
}

export function record(
  directory: string,
  journal: Partial<Config['journal']> = {},
  more: { readonly clock?: Clock; readonly states?: boolean; readonly secrets?: Secrets } = {},
): Recording {
  const batches: Batch[] = [];
  const states = new Map<number, string>();
  const clock = more.clock ?? new ManualClock(at(0));
  const keepState = (seq: number): void => {
    if (more.states === true) states.set(seq, stateOf(market));
  };
  let market: Market;
  const accept = (batch: Batch): void => {
    batches.push(batch);
    keepState(batch.lastSeq);
  };
  const { secrets } = more;
  const recorder = openRecorder(testConfig(directory, journal), clock, { secrets });
  if (recorder instanceof StartFault) throw new Error(`${recorder.code}: ${recorder.message}`);
  recorder.follow(accept);
  ({ market } = recorder);
  keepState(recorder.sequencer.lastSeq);
  return { recorder, batches, states };
}

/**
 * Everything that readers can see of it: definitions, ticks, quotes, ten levels, heads, times. Marks are left out,
 * because they change at a restart.
 */
export function stateOf(market: Market): string {
  const { statusHead, instruments } = market.checkpoint();
  return JSON.stringify({
    statusHead,
    heads: instruments.map(({ heads, definition }) => [definition.symbol, heads]),
    newest: [...market.all()].map((i) => Array.from(i.newest(), unmarked)),
    served: [...market.all()].map((i) => [servedTick(i.currentTick()), i.bookView()]),
  });
}

function unmarked(event: MarketEvent): MarketEvent {
  return 'mark' in event ? { ...event, mark: null } : event;
}

/** Before the first trade it has the newest quote, unless that has a mark. */
function servedTick(tick: Tick | null): Tick | null {
  return tick?.seq === 0 ? { ...tick, bid: null, ask: null } : tick;
}

export function eventsOf(batches: readonly Batch[]): BatchEvent[] {
  return batches.flatMap((b) => b.events);
}
