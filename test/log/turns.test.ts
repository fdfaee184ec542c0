/** Long turns in the log: written once with their work, and then counted. */

import { expect, test } from 'bun:test';

import { ManualClock } from '../../src/base/clock';
import { watchTurns } from '../../src/app/observing';
import { Repeated } from '../../src/log/repeated';

test('a turn longer than the limit is logged with its work, and similar ones are counted', () => {
  const clock = new ManualClock();
  const lines: [object, string][] = [];
  const log = {
    info: () => {},
    warn: (...line: [object, string]) => void lines.push(line),
    error: () => {},
  };
  const repeated = new Repeated(log, clock);
  watchTurns(clock.turns, 50, repeated);
  const turn = (ms: number): void =>
    clock.turns.run('frame', () => clock.advance(ms * 1e6), 'subscribe');
  turn(50);
  expect(lines).toEqual([]);
  for (const ms of [51, 60, 70]) turn(ms);
  const message = 'a turn of the event loop was long';
  expect(lines).toEqual([[{ turn: 'frame', of: 'subscribe', ms: 51 }, message]]);
  clock.advance(11e9);
  repeated.look();
  expect(lines[1]).toEqual([
    { turn: 'frame', of: 'subscribe', ms: 70, repeated: 2, seconds: 11 },
    `${message}, again and again`,
  ]);
});
