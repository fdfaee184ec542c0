/**
 * One price altered in a closed block: a real server gives it to nobody, declares it to each reader, and warns
 * once.
 */

import { Database } from 'bun:sqlite';
import { afterAll, expect, test } from 'bun:test';
import { join } from 'node:path';

import { instrument, tape, trade } from '../support/feed';
import { parseMetrics } from '../support/metrics-text';
import { StreamClient, type Seen } from '../support/stream-client';
import { Scratch, ServerProcess } from '../support/tapedeck-process';

const scratch = new Scratch();
let server: ServerProcess | undefined;
afterAll(async () => {
  await server?.remove();
  scratch.remove();
});

const CONFIG = '[journal]\ndurability = "commit"\n[cache]\nmemtableEventsMax = 1000\n';
const TRADES = 3_000;
const WRONG = '987654.00';

/** @returns first and last seq of its block */
function alter(data: string): { from: number; to: number } {
  const db = new Database(join(data, 'journal.sqlite'));
  const { first_id, last_id } = db
    .query<{ first_id: number; last_id: number }, []>(
      'SELECT first_id, last_id FROM block ORDER BY last_id LIMIT 1 OFFSET 1',
    )
    .get()!;
  db.run(
    `UPDATE record SET price = 98765400
       WHERE id = (SELECT min(id) FROM record WHERE kind = 3 AND id > ?)`,
    [first_id + 4_000],
  );
  db.close();
  return { from: first_id / 8, to: last_id / 8 };
}

async function positionOf(of: ServerProcess): Promise<{ epoch: number; seq: number }> {
  const reader = await StreamClient.json(of.url);
  await reader.subscribe('trade:ACME');
  const { epoch } = reader.seen[0]!;
  await reader.close();
  return { epoch: epoch as number, seq: 10 };
}

function expectUnserved(seen: unknown): void {
  expect(JSON.stringify(seen)).not.toContain(WRONG);
}

test('history, replay and resume declare it; the log and the metrics report it', async () => {
  const data = scratch.fresh();
  const first = await ServerProcess.start({ data, config: CONFIG });
  expect((await first.ingest(tape(instrument('ACME')))).status).toBe(200);
  const lines = Array.from({ length: TRADES }, (_, i) => trade('ACME', `${(i % 900) + 1}.00`, '1'));
  for (let i = 0; i < TRADES; i += 500) {
    expect((await first.ingest(tape(...lines.slice(i, i + 500)))).status).toBe(200);
  }
  const position = await positionOf(first);
  await first.stop('SIGTERM');
  const { from, to } = alter(data);
  const hole = { from, to, reason: 'damaged' };
  server = await ServerProcess.start({ data, config: CONFIG });

  const pages: unknown[] = [];
  let next: unknown = null;
  do {
    const cursor = next === null ? '' : `&next=${next as string}`;
    const page = await server.json(`/v1/trades/ACME?limit=1000${cursor}`);
    pages.push(page);
    next = page['next'] ?? null;
  } while (next !== null);
  expectUnserved(pages);
  expect(pages.flatMap((page) => (page as { gaps?: unknown[] }).gaps ?? [])).toContainEqual(hole);
  for (const path of ['/v1/ticks/ACME?limit=1000', '/v1/bars/ACME?interval=1s&from=0']) {
    const page = await server.json(path);
    expectUnserved(page);
    expect(page['gaps']).toContainEqual(hole);
  }

  const replay = await StreamClient.json(server.url);
  replay.send({
    type: 'replay',
    id: 3,
    action: 'start',
    topics: ['trade:ACME', 'tick:ACME'],
    from: null,
    to: null,
    fromSeq: null,
    toSeq: null,
    speed: null,
  });
  await replay.find((m) => m['id'] === 3);
  expectUnserved(replay.seen);
  const reported = replay.seen.filter((m) => m.type === 'gap');
  expect(new Set(reported.map((m) => m['topic']))).toEqual(new Set(['tick:ACME', 'trade:ACME']));
  for (const gap of reported) expect(gap).toMatchObject({ reason: 'damaged', from });
  const isBehind = (m: Seen): boolean => m.type === 'trade' && Number(m['seq']) > to;
  expect(replay.seen.some(isBehind)).toBe(true);
  await replay.close();

  const resumed = await StreamClient.json(server.url);
  resumed.send({ type: 'resume', id: 7, ...position, topics: ['trade:ACME'] });
  await resumed.find((m) => m['id'] === 7);
  expectUnserved(resumed.seen);
  expect(resumed.seen.find((m) => m.type === 'reset')).toMatchObject({ reason: 'not-kept' });
  await resumed.close();

  const metrics = parseMetrics(await (await server.get('/metrics')).text());
  expect(metrics.get('tapedeck_journal_damaged_blocks')).toBe(1);
  const { stderr } = await server.stop('SIGTERM');
  const warned = stderr.split('\n').filter((line) => line.includes('not what was written'));
  expect(warned).toHaveLength(1);
  expect(JSON.parse(warned[0]!)).toMatchObject({ from, to });
});
