/** A thread that always reads a journal: each read begins before the previous one ends. */

import { Database } from 'bun:sqlite';

interface Port {
  onmessage: ((event: MessageEvent<string>) => void) | null;
  postMessage(message: 'reading'): void;
}

const port = globalThis as unknown as Port;
const READ_MS = 20;

async function read(path: string): Promise<never> {
  const connections = [0, 1].map(() => new Database(path, { readonly: true }));
  const begin = (db: Database): void => {
    db.run('BEGIN');
    db.query('SELECT count(*) FROM filled').get();
  };
  begin(connections[0]!);
  for (let turn = 1; ; turn++) {
    begin(connections[turn % 2]!);
    port.postMessage('reading');
    await Bun.sleep(READ_MS);
    connections[(turn + 1) % 2]!.run('COMMIT');
  }
}

port.onmessage = ({ data }): void => void read(data);
