/**
 * A reader in its own process. It checks that every record is intact and in order. From time to time it
 * loads the latest values, which must be intact and no older than the records read. It ends with the
 * ring and prints its counts. Arguments: path; then `wait` to sleep while there is no record.
 */

import { assert } from '../../src/base/assert';
import { openRing, wrongTick } from './made-ring';

/** The counts of a reader. */
export interface Seen {
  readonly from: number;
  readonly returned: number;
  readonly missed: number;
  readonly laps: number;
  readonly states: number;
  readonly position: number;
  readonly published: number;
  readonly writer: string;
}

const STATE_EVERY = 5_000;

const [path, mode] = process.argv.slice(2) as [string, string?];
const reader = openRing(path, { from: 'oldest' });
const latest = reader.state();
const from = reader.position;
let returned = 0;
let laps = 0;
let states = 0;
/** Ends at once: a reader that is killed later would not report the fault. */
const fault = (text: string): never => {
  console.error(`fault of a reader: ${text}`);
  process.exit(1);
};
console.log('ready');

for (let n = 1; ; n++) {
  const at = reader.position;
  const sign = mode === 'wait' || n % STATE_EVERY === 0 ? reader.wait(1_000) : reader.poll();
  if (sign === 'ended') break;
  if (sign === 'lapped') {
    laps += 1;
    if (reader.missed !== reader.position - at || reader.missed <= 0) fault(`lap at ${at}`);
  }
  if (sign === 'record') {
    returned += 1;
    if (reader.position !== at + 1) fault(`${at} is followed by ${reader.position}`);
    const wrong = at === 0 ? undefined : wrongTick(reader.record, at + 1);
    if (wrong !== undefined) fault(wrong);
  }
  if (n % STATE_EVERY !== 0 || !latest.load(0)) continue;
  states += 1;
  const { tick } = latest;
  if (tick === null) continue;
  const wrong = wrongTick(tick, tick.seq);
  if (wrong !== undefined) fault(`state: ${wrong}`);
  if (tick.seq < reader.position)
    fault(`the state at ${tick.seq} is older than ${reader.position}`);
}
assert(reader.poll() === 'ended', 'a ring that has ended stays ended');
const { position, missedTotal: missed, published } = reader;
const seen: Seen = {
  from,
  returned,
  missed,
  laps,
  states,
  position,
  published,
  writer: reader.writer(),
};
console.log(JSON.stringify(seen));
