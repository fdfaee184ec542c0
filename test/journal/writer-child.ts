/**
 * A process of its own that writes a journal until it is killed: `bun writer-child.ts DIRECTORY KIND`.
 * `hold` opens the directory and waits; a durability writes batches of trades without end, and puts
 * on standard output the last place of each batch once it is as durable as was chosen.
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
  const symbol = `P${process.pid}`; // of its own, so that each life has something new to say
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
