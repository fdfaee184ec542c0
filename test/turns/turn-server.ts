/**
 * A real server in its own process, whose turns of the event loop are timed by the processor time of its thread:
 * other work of the machine does not count. It is asked over IPC for the longest turn of each kind, and for how
 * long a piece of fixed work takes at the same time.
 *
 *     bun test/turns/turn-server.ts DIRECTORY SETTINGS
 */

import { SystemClock } from '../../src/base/clock';
import { StartFault } from '../../src/base/start-fault';
import { startServer } from '../../src/app/server';
import { settings } from '../bench/generated-market';
import { unitMs } from './calibration';
import { threadClock } from './thread-clock';
import type { Ask, Longest, TurnMessage } from './turn-messages';

const [, , directory, changes = '{}'] = process.argv;

const threadMs = threadClock();
let longest = new Map<string, Longest>();

function note(kind: string, ms: number, detail: string): void {
  if (ms <= (longest.get(kind)?.ms ?? 0)) return;
  longest.set(kind, { kind, ms, detail });
}

const clock = new SystemClock(threadMs);
const server = startServer(
  settings({
    server: { port: 0 },
    journal: { directory },
    ...(JSON.parse(changes) as Record<string, unknown>),
  }),
  clock,
  { info: () => {}, warn: () => {}, error: console.error },
  { anonymousRoles: ['publish', 'trade', 'admin'] },
);
if (server instanceof StartFault) throw new Error(server.message);
clock.turns.aboveMs = -1;
clock.turns.onTurn = note;
await server.started;

function tell(message: TurnMessage): void {
  process.send!(message);
}

process.on('message', (ask: Ask) => {
  switch (ask) {
    case 'begin':
      Bun.gc(true); // garbage of earlier work is not collected in the turns that follow
      longest = new Map();
      return tell({ is: 'begun' });
    case 'end':
      return tell({ is: 'ended', longest: [...longest.values()], unitMs: unitMs(threadMs) });
    case 'stop':
      return void server.stop().then(() => process.exit(0));
  }
});
tell({ is: 'started', url: server.url });
