/**
 * A separate process that writes a journal until it is killed: `bun writer-child.ts DIRECTORY
 * KIND`. `hold` opens the directory and waits. A durability writes batches of trades without end,
 * and prints the last seq of each batch once the batch is that durable.
 */

import { writeSync } from 'node:fs';

import type { SourceEvent } from '../../protocol/messages';
import { SystemClock } from '../../src/base/clock';
import type { Durability } from '../../src/journal/journal';
import { FakeSource } from '../support/fake-source';
import { Prng } from '../../src/base/prng';
import { instrument } from '../support/market-events';
import { record } from '../support/test-recorder';

const [directory, kind] = process.argv.slice(2) as [string, Durability | 'hold'];
const durability = kind === 'hold' ? 'commit' : kind;
const options = { durability, commitEveryMs: 5, checkpointEveryEvents: 300 };
const { recorder } = record(directory, options, { clock: new SystemClock() });
writeSync(1, 'open\n');
if (kind === 'hold') {
  // The lock lasts as long as somebody could still write: an unused recorder would be collected.
  setInterval(() => void recorder.sequencer.lastSeq, 1000);
} else {
  const { sequencer } = recorder;
  const symbol = `P${process.pid}`; // a symbol of its own, so that each run defines a new instrument
  const source = new FakeSource(new Prng(process.pid), symbol);
  const say = (events: SourceEvent[]): void =>
    sequencer.submit(1, events, (result) => {
      if ('fault' in result) throw new Error(result.fault.message);
      writeSync(1, `${result.seq}\n`);
      const from = source.seq;
      source.advance(3);
      say([source.delta(from, source.seq), source.trade(), source.trade()]);
    });
  say([instrument(symbol), source.snapshot(source.seq)]);
}
