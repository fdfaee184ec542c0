/**
 * The server of the push cases: a real one, on a directory and with a durability; with `off` its journal is
 * discarded. Anybody may publish to it and trade; if it is given keys, only their holders may. Further settings may
 * be given, as JSON, among them those of a cluster. The receive time that it writes into messages is when the frame of the source was handed over,
 * before decoding.
 */

import { mkdirSync } from 'node:fs';

import type { Nanos } from '../../protocol/time';
import { SystemClock } from '../../src/base/clock';
import { StartFault } from '../../src/base/start-fault';
import { StreamConnection } from '../../src/gateway/ws/stream';
import { createThreadWriter } from '../../src/journal/write/thread-writer';
import { MemberServer } from '../../src/app/member-server';
import { startServer, type ServerOptions } from '../../src/app/server';
import { writeTestKeys, type TestKey } from '../support/tapedeck-process';
import { createDiscardingWriter } from './discarding-writer';
import { settings } from './generated-market';

/** While a frame is handled, returns the time of its arrival. */
class ArrivalClock extends SystemClock {
  arrival: Nanos | undefined;

  override now(): Nanos {
    return this.arrival ?? super.now();
  }
}

const [, , directory = '', durability, changes = '{}', keys = '[]'] = process.argv;
const keyring = JSON.parse(keys) as TestKey[];
if (keyring.length > 0) {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  writeTestKeys(directory, keyring);
}
const isOff = durability === 'off';
const clock = new ArrivalClock();
const { message } = StreamConnection.prototype; // oxlint-disable-line typescript/unbound-method
StreamConnection.prototype.message = function (ws, data): void {
  clock.arrival = clock.now();
  message.call(this, ws, data);
  clock.arrival = undefined;
};
const log = { info: () => {}, warn: console.error, error: console.error };
const config = settings({
  server: { port: 0 },
  journal: { directory, durability: isOff ? 'async' : durability },
  ...(JSON.parse(changes) as Record<string, unknown>),
});
const options: ServerOptions = {
  anonymousRoles: keyring.length > 0 ? [] : ['publish', 'trade'],
  createWriter: isOff ? createDiscardingWriter : createThreadWriter,
};
const server =
  config.cluster.name === ''
    ? startServer(config, clock, log, options)
    : await MemberServer.start(config, clock, log, options);
if (server instanceof StartFault) throw new Error(server.message);
await server.started;
console.log(server.url);
