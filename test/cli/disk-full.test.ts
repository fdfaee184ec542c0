/** A full disk, on a real small file system, that later has room again: what each durability does. */

import { afterAll, expect, test } from 'bun:test';
import { Database } from 'bun:sqlite';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { instrument, trade } from '../support/feed';
import { StreamClient } from '../support/stream-client';
import { Scratch, ServerProcess, tapedeck } from '../support/tapedeck-process';
import { until } from '../support/until';

const DISK_BYTES = 6_000_000;
/** A file of somebody else, which is removed later. */
const FILLER_BYTES = 4_000_000;

const scratch = new Scratch();
const mounted: string[] = [];
const servers: ServerProcess[] = [];

/** A small file system; undefined where this user may not create one. */
function smallDisk(): string | undefined {
  const path = scratch.fresh();
  mkdirSync(path);
  const { exitCode } = Bun.spawnSync([
    'mount',
    '-t',
    'tmpfs',
    '-o',
    `size=${DISK_BYTES},mode=0700`,
    'none',
    path,
  ]);
  if (exitCode !== 0) return undefined;
  mounted.push(path);
  return path;
}

const disks = [smallDisk(), smallDisk()];
const keysDisk = smallDisk();
const isSkipped = [...disks, keysDisk].includes(undefined);
if (isSkipped) console.log('skipped: this user may not mount a small file system');
afterAll(async () => {
  for (const server of servers) await server.remove();
  for (const path of mounted) Bun.spawnSync(['umount', path]);
  scratch.remove();
});

/** Starts a server on a disk that is nearly full. */
async function start(disk: string, durability: string): Promise<ServerProcess> {
  writeFileSync(join(disk, 'filler'), new Uint8Array(FILLER_BYTES).fill(1));
  const config = `[journal]\ndurability = "${durability}"\nqueueBytesMax = 262144\n`;
  const server = await ServerProcess.start({ data: disk, config });
  servers.push(server);
  expect((await server.ingest(JSON.stringify(instrument('ACME')))).status).toBe(200);
  return server;
}

const ROUND = 200;

function round(n: number): string {
  return Array.from({ length: ROUND }, (_, i) =>
    JSON.stringify(trade('ACME', '10.00', '1.000', { seq: n * ROUND + i + 1 })),
  ).join('\n');
}

async function readiness(server: ServerProcess): Promise<{ status: number; codes: string[] }> {
  const answer = await server.get('/readyz');
  const body = (await answer.json()) as { reasons?: { code: string }[] };
  return { status: answer.status, codes: (body.reasons ?? []).map(({ code }) => code) };
}

async function metric(server: ServerProcess, name: string): Promise<number> {
  const text = await (await server.get('/metrics')).text();
  return Number(new RegExp(`^tapedeck_${name} (\\S+)$`, 'm').exec(text)?.[1]);
}

/** A copy of the contents of the disk, where there is room. */
function moved(disk: string): string {
  const room = scratch.fresh();
  cpSync(disk, room, { recursive: true });
  return room;
}

async function volume(server: ServerProcess): Promise<number> {
  return Number((await server.json('/v1/tick/ACME'))['volume']);
}

test.skipIf(isSkipped)(
  'async: publishing continues; what does not fit is counted, declared, and bridged by a checkpoint',
  async () => {
    const disk = disks[0]!;
    const server = await start(disk, 'async');
    const reader = await StreamClient.json(server.url);
    await reader.subscribe('trade:ACME');
    let rounds = 0;
    const publish = async (): Promise<void> => {
      expect((await server.ingest(round(rounds))).status).toBe(200);
      rounds += 1;
    };
    await until(async () => {
      await publish();
      return (await readiness(server)).status === 503;
    }, 'the disk is full');
    expect((await readiness(server)).codes).toEqual(['journal-failing']);
    await until(async () => {
      await publish();
      return (await metric(server, 'journal_hole_records_total')) > 0;
    }, 'records are given up');
    // Readers get everything, in order.
    await reader.find(
      (m) => m.type === 'trade' && m['tradeId'] !== undefined && Number(m['seq']) > 0,
    );
    await until(
      () =>
        Promise.resolve(reader.seen.filter((m) => m.type === 'trade').length === rounds * ROUND),
      'the reader has all trades',
    );
    const pushed = reader.seen.filter((m) => m.type === 'trade');
    for (let i = 1; i < pushed.length; i++)
      expect(pushed[i]!['prevSeq']).toBe(pushed[i - 1]!['seq']);
    // Data that may be incomplete is not returned.
    expect(await metric(server, 'journal_failures_total')).toBeGreaterThan(0);
    expect(await metric(server, 'journal_lag_seconds')).toBeGreaterThan(0);
    expect(await metric(server, 'journal_lag_records')).toBeGreaterThanOrEqual(
      await metric(server, 'journal_hole_records_total'),
    );

    rmSync(join(disk, 'filler'));
    await until(async () => (await readiness(server)).status === 200, 'there is room again');
    await publish();
    await server.get('/v1/ticks/ACME?limit=1&from=0'); // waits for what is not committed
    await until(
      async () => (await metric(server, 'journal_lag_records')) === 0,
      'all of it is committed',
    );
    expect(await metric(server, 'journal_lag_seconds')).toBe(0);
    await server.stop('SIGKILL');
    const db = new Database(join(disk, 'journal.sqlite'), { readonly: true });
    const gaps = db.query('SELECT from_seq, to_seq, reason FROM gaps').all() as {
      from_seq: number;
      to_seq: number;
      reason: string;
    }[];
    db.close();
    expect(gaps.map(({ reason }) => reason)).toEqual(['disk']);
    expect(gaps[0]!.to_seq).toBeGreaterThan(gaps[0]!.from_seq);

    const room = moved(disk);
    const verified = await tapedeck(['verify', '--data', room]);
    expect([verified.code, verified.stderr]).toEqual([0, '']);
    const again = await ServerProcess.start({ data: room });
    servers.push(again);
    expect(await volume(again)).toBe(rounds * ROUND); // the state after the gap includes everything
  },
  60_000,
);

test.skipIf(isSkipped)(
  'commit: nothing is accepted that cannot be kept, and nothing that was accepted is lost',
  async () => {
    const disk = disks[1]!;
    const server = await start(disk, 'commit');
    const failing = until(async () => (await readiness(server)).status === 503, 'the disk is full');
    // One round after the other: of two under way, the later one may be taken first.
    let rounds = 0;
    let last = server.ingest(round(0));
    while ((await Promise.race([failing, last])) instanceof Response) {
      expect((await last).status).toBe(200);
      last = server.ingest(round(++rounds));
    }
    const refused = await server.ingest(round(rounds + 1));
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ error: { code: 'journal-failing' } });
    expect(await readiness(server)).toEqual({ status: 503, codes: ['journal-failing'] });
    rmSync(join(disk, 'filler'));
    await until(async () => (await readiness(server)).status === 200, 'there is room again');
    // It waited for the disk, or came when that was already known to be full.
    if ((await last).status === 503) last = server.ingest(round(rounds));
    expect((await last).status).toBe(200);
    expect((await server.ingest(round(rounds + 1))).status).toBe(200);
    await server.stop('SIGKILL');
    const room = moved(disk);
    const again = await ServerProcess.start({ data: room });
    servers.push(again);
    expect(await volume(again)).toBe((rounds + 2) * ROUND);
    const db = new Database(join(room, 'journal.sqlite'), { readonly: true });
    expect(db.query('SELECT * FROM gaps').all()).toEqual([]);
    db.close();
  },
  60_000,
);

test.skipIf(isSkipped)(
  'keys: a change that does not fit leaves the keys as they were',
  async () => {
    const disk = keysDisk!;
    const keys = (...args: string[]) => tapedeck(['keys', ...args, '--data', disk]);
    expect(await keys('make', 'first')).toMatchObject({ code: 0 });
    const before = readFileSync(join(disk, 'keys.json'), 'utf8');
    const { exitCode } = Bun.spawnSync([
      'dd',
      'if=/dev/zero',
      `of=${join(disk, 'filler')}`,
      'bs=4096',
    ]);
    expect(exitCode).not.toBe(0); // no room is left
    const full = await keys('make', 'second');
    expect(full.code).toBe(73);
    expect(full.stderr).toContain('the keys stay as they were');
    expect(readFileSync(join(disk, 'keys.json'), 'utf8')).toBe(before);
    rmSync(join(disk, 'filler'));
    expect(await keys('make', 'second')).toMatchObject({ code: 0 });
    expect(readdirSync(disk)).toEqual(['keys.json']);
  },
);
