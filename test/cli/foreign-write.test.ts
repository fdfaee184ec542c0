/** Another process writes into the journal of a running server: the server notices, and mixes no numbers. */

import { afterAll, describe, expect, test } from 'bun:test';
import { Database } from 'bun:sqlite';
import { join } from 'node:path';

import { instrument, trade } from '../support/feed';
import { Scratch, ServerProcess, tapedeck } from '../support/tapedeck-process';

const scratch = new Scratch();
afterAll(() => scratch.remove());

/** A connection that ignores every lock except those of SQLite. */
function connect(data: string): Database {
  const db = new Database(join(data, 'journal.sqlite'));
  db.run('PRAGMA busy_timeout = 5000');
  return db;
}

function newestId(data: string): number {
  const db = connect(data);
  const { id } = db.query('SELECT max(id) AS id FROM record').get() as { id: number };
  db.close();
  return id;
}

const publish = (seq: number): string =>
  JSON.stringify(trade('ACME', '10.00', '1.000', { seq, tradeId: seq }));

describe.each(['async', 'commit'])('%s', (durability) => {
  async function start(): Promise<ServerProcess> {
    const data = scratch.fresh();
    const config = `[journal]\ndurability = "${durability}"\n`;
    const server = await ServerProcess.start({ data, config, logLevel: 'info' });
    expect((await server.ingest(JSON.stringify(instrument('ACME')))).status).toBe(200);
    expect((await server.ingest(publish(1))).status).toBe(200);
    await server.get('/v1/trades/ACME?limit=1&before=1'); // waits for what is not committed
    return server;
  }

  test('records of another writer end it, with the name of the cause', async () => {
    const server = await start();
    const db = connect(server.data);
    // Like another server: a record after the newest.
    const { id } = db.query('SELECT max(id) AS id FROM record').get() as { id: number };
    db.run('CREATE TEMP TABLE other AS SELECT * FROM record WHERE id = ?', [id]);
    db.run('UPDATE other SET id = id + 1');
    db.run('INSERT INTO record SELECT * FROM other');
    db.close();
    const taken = newestId(server.data);
    expect(taken).toBe(id + 1);
    await server.ingest(publish(2)).catch(() => undefined); // with `commit` there is no answer
    const { code, stderr } = await server.ended();
    expect(code).toBe(75);
    expect(stderr).toContain('"code":"journal-taken"');
    expect(stderr).toContain('is written by another process');
    expect(newestId(server.data)).toBe(taken);
    await server.remove();
  });

  test('readers, backups and moving the WAL do not', async () => {
    const server = await start();
    const path = join(server.data, 'journal.sqlite');
    const copy = scratch.fresh('.sqlite');
    const work = [
      'PRAGMA wal_checkpoint(TRUNCATE)',
      `VACUUM INTO '${copy}'`,
      'CREATE TABLE mine (a)',
      'DROP TABLE mine',
    ];
    for (const [i, sql] of work.entries()) {
      const { exitCode, stderr } = Bun.spawnSync(['sqlite3', '-cmd', '.timeout 5000', path, sql]);
      expect([exitCode, stderr.toString()]).toEqual([0, '']);
      expect((await server.ingest(publish(i + 2))).status).toBe(200);
      await server.get('/v1/trades/ACME?limit=1&before=1');
    }
    expect((await server.stop()).code).toBe(0);
    expect((await tapedeck(['verify', '--data', server.data])).code).toBe(0);
    await server.remove();
  });
});
