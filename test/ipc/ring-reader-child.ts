/**
 * A reader as a process of its own, which checks every record: whole, and in order. Now and then it
 * also loads the latest values, which must be whole and not older than what it has read. It ends with
 * the ring, and prints what it saw. Argument: path; then `wait` to sleep when there is nothing.
 */

import { assert } from '../../src/base/assert';
import { openRing, wrongTick } from './made-ring';

/** What a reader saw. */
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
/** Ends at once: a reader that is killed later would take what it has found with it. */
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
assert(reader.poll() === 'ended', 'an end stays one');
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
