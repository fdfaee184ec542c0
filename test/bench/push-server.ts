/**
 * The server of the push cases: a real one, on a directory and with a durability; `off` is one whose
 * journal is thrown away. Anybody may publish to it.
 */

import { SystemClock } from '../../src/base/clock';
import { StartFault } from '../../src/base/start-fault';
import { createThreadWriter } from '../../src/journal/thread-writer';
import { startServer } from '../../src/server';
import { createDiscardingWriter } from './discarding-writer';
import { settings } from './generated-market';

const [, , directory, durability] = process.argv;
const isOff = durability === 'off';
const log = { info: () => {}, warn: console.error, error: console.error };
const server = startServer(
  settings({
    server: { port: 0 },
    journal: { directory, durability: isOff ? 'async' : durability },
  }),
  new SystemClock(),
  log,
  {
    anonymousRoles: ['publish'],
    createWriter: isOff ? createDiscardingWriter : createThreadWriter,
  },
);
if (server instanceof StartFault) throw new Error(server.message);
await server.started;
console.log(server.url);
