/** The readers of the bench `fanout`: sockets that discard what they read, so that they cost little. */

import { connect } from 'node:net';

import { upgradeRequest } from './ws-frames';

export interface FanoutReadersJob {
  readonly port: number;
  readonly sockets: number;
}

export interface FanoutReadersDone {
  readonly sockets: number;
}

function open({ port, sockets }: FanoutReadersJob): void {
  for (let i = 0; i < sockets; i++) {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.on('data', () => {});
    socket.write(upgradeRequest('/', ''));
  }
  process.send!({ sockets } satisfies FanoutReadersDone);
}

process.on('message', open);
process.on('disconnect', () => process.exit(0));
