/**
 * A leader in a process of its own: takes over, makes batches, and says in lines of JSON what becomes of it. It is
 * stopped and continued by the test that runs it.
 *
 *     bun test/cluster/writer-child.ts SHARD NAME URL…
 */

import { SystemClock } from '../../src/base/clock';
import { ClusterFault } from '../../src/cluster/cluster-fault';
import { LogWriter, startAt, type WriterStart } from '../../src/cluster/log-writer';
import { NatsBroker } from '../../src/cluster/nats-broker';
import { NATS_DEFAULTS } from '../../src/cluster/nats-settings';
import { tradesBatch } from '../support/log-batches';

/** A line of its output. */
export type ChildLine =
  | { readonly opened: number; readonly at: number }
  | { readonly acknowledged: number }
  | { readonly end: string };

const [shard = '', name = '', ...servers] = process.argv.slice(2);
const clock = new SystemClock();
const silent = { info: () => {}, warn: () => {}, error: () => {} };

function say(line: ChildLine): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

const settings = { ...NATS_DEFAULTS, servers, name, shard, logBytesMax: 64 * 1024 * 1024 };
const broker = await NatsBroker.open(settings, clock);
if (broker instanceof ClusterFault) throw new Error(broker.message);
const end = await broker.last();
if (end.outcome !== 'ok') throw new Error(end.reason);
const start = startAt(end.value) as WriterStart;
const epoch = start.epoch + 1;
const limits = { queueBytesMax: 1024 * 1024, queueBatchesMax: 10_000 };
const writer = new LogWriter(
  { broker, clock, log: silent, shard, epoch, writer: name, start, ...limits },
  {
    opened: () => say({ opened: epoch, at: start.seq }),
    acknowledged: (seq) => say({ acknowledged: seq }),
    stopped: ({ reason }) => {
      say({ end: reason });
      process.exit(0);
    },
  },
);
setInterval(() => writer.look(), 20);
setInterval(() => {
  for (let i = 0; i < 3; i++) {
    if (!writer.hasRoom) return;
    const content = (seq: number): number => epoch * 1_000_000 + seq;
    writer.accept(tradesBatch(epoch, writer.position + 1, 2, content));
  }
}, 2);
