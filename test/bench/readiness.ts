/**
 * Readiness: from the start of the process of a server to the first 200 of its `/readyz`, which is requested every
 * millisecond over a new connection without a client library.
 */

import { connect } from 'node:net';

const POLL_MS = 1;
const READY_MS_MAX = 60_000;
const QUESTION = 'GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n';

export interface ReadyServer {
  readonly readyMs: number;
  readonly url: string;
  kill(): Promise<void>;
}

/** @param command starts the server; `--port N` is appended */
export async function startUntilReady(command: readonly string[]): Promise<ReadyServer> {
  const port = freePort();
  const start = performance.now();
  const server = Bun.spawn([...command, '--port', String(port)], {
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'ignore',
  });
  const kill = async (): Promise<void> => {
    server.kill('SIGKILL');
    await server.exited;
  };
  while (!(await isReady(port))) {
    if (performance.now() - start > READY_MS_MAX || server.exitCode !== null) {
      await kill();
      throw new Error('the server does not start');
    }
    await Bun.sleep(POLL_MS);
  }
  return { readyMs: performance.now() - start, url: `http://127.0.0.1:${port}`, kill };
}

function isReady(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(QUESTION));
    socket.on('data', (bytes) => (answer += bytes.toString('latin1')));
    socket.on('error', () => resolve(false)); // nobody listens yet
    socket.on('close', () => resolve(answer.startsWith('HTTP/1.1 200 ')));
  });
}

function freePort(): number {
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: () => {} } });
  const { port } = listener;
  listener.stop(true);
  return port;
}
