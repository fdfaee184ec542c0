/** src/journal/BACKUP.md, executed step by step, and what servers, readers and an operator see. */

import { afterAll, beforeEach, describe, expect, test } from 'bun:test';
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

import { instrument, tape, trade } from '../support/feed';
import { parseMetrics } from '../support/metrics-text';
import { StreamClient, type Seen } from '../support/stream-client';
import { Scratch, ServerProcess, tapedeck } from '../support/tapedeck-process';
import { until } from '../support/until';
import { testDeep } from '../support/tier';

const ROOT = join(import.meta.dir, '../..');
const DOCUMENT = readFileSync(join(ROOT, 'src/journal/BACKUP.md'), 'utf8');
const hasSqlite = Bun.which('sqlite3') !== null;
if (!hasSqlite) console.warn('SKIPPED: a backup needs the shell sqlite3');

const scratch = new Scratch();
afterAll(() => scratch.remove());
let folder: string;
let data: string;
beforeEach(() => {
  folder = scratch.fresh();
  mkdirSync(folder);
  data = join(folder, 'data');
  for (const name of ['package.json', 'src', 'protocol', 'node_modules', 'tsconfig.json']) {
    symlinkSync(join(ROOT, name), join(folder, name));
  }
});

/** The commands under a heading. */
function commands(heading: string): string {
  const section = DOCUMENT.split(/^## /m).find((text) => text.startsWith(`${heading}\n`));
  const block = /```sh\n([\s\S]*?)```/.exec(section ?? '')?.[1];
  if (block === undefined) throw new Error(`BACKUP.md has no commands under ${heading}`);
  return block;
}

interface Ran {
  /** What its `verify` reports. */
  readonly verified: { readonly seqLast: number; readonly warnings?: { readonly code: string }[] };
  readonly stderr: string;
}

async function run(heading: string): Promise<Ran> {
  const shell = Bun.spawn(['bash', '-euo', 'pipefail', '-c', commands(heading)], {
    cwd: folder,
    env: { PATH: [dirname(process.execPath), process.env['PATH']].join(delimiter) },
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const [out, stderr] = await Promise.all([
    new Response(shell.stdout).text(),
    new Response(shell.stderr).text(),
  ]);
  expect([await shell.exited, stderr]).toEqual([0, expect.anything()]);
  return { verified: JSON.parse(out.trim().split('\n').at(-1)!) as Ran['verified'], stderr };
}

interface Running {
  readonly server: ServerProcess;
  /** Its newest position. */
  readonly at: () => Promise<Position>;
}

interface Position {
  readonly epoch: number;
  readonly seq: number;
}

async function start(durability = 'commit'): Promise<Running> {
  const config = `[journal]\ndurability = "${durability}"\n`;
  const server = await ServerProcess.start({ data, config, logLevel: 'info' });
  const at = async (): Promise<Position> => {
    const { epoch, seq } = await server.json('/v1/instruments');
    return { epoch, seq } as Position;
  };
  return { server, at };
}

let tradeId = 0;

/** Trades are committed when this returns. */
async function trades({ server, at }: Running, count: number): Promise<Position> {
  const lines = Array.from({ length: count }, () => {
    tradeId += 1;
    return trade('ACME', '10.00', '1.000', { seq: tradeId, tradeId });
  });
  expect((await server.ingest(tape(instrument('ACME'), ...lines))).status).toBe(200);
  const position = await at();
  await until(async () => {
    const text = await (await server.get('/metrics')).text();
    return parseMetrics(text).get('tapedeck_journal_committed_seq')! >= position.seq;
  }, 'the journal has them');
  return position;
}

/** What a reader at a position is sent when it resumes. */
async function resumed({ server }: Running, { epoch, seq }: Position): Promise<Seen[]> {
  const client = await StreamClient.json(server.url);
  client.send({ type: 'resume', id: 7, epoch, seq, topics: ['trade:ACME'] });
  await client.find((m) => m.type === 'ack' && m['id'] === 7);
  const { seen } = client;
  await client.close();
  return seen.filter(({ type }) => ['gap', 'reset', 'trade'].includes(type));
}

async function warnings({ server }: Running): Promise<string[]> {
  const answer = (await server.json('/readyz')) as { warnings?: { code: string }[] };
  return (answer.warnings ?? []).map(({ code }) => code);
}

/** A server that was backed up while it ran, continued, and was then killed. */
async function lost(durability = 'commit') {
  const first = await start(durability);
  await trades(first, 40);
  const kept = await first.at();
  const { verified, stderr } = await run('Back up a running server');
  expect(verified.warnings).toBeUndefined();
  expect(stderr).not.toContain('head-');
  const behind = await trades(first, 30);
  await first.server.stop('SIGKILL');
  await first.server.remove();
  return { kept, behind };
}

async function end({ server }: Running): Promise<string> {
  const { code, stderr } = await server.stop();
  expect(code).toBe(0);
  await server.remove();
  return stderr;
}

describe.skipIf(!hasSqlite)('BACKUP.md', () => {
  test.each(['async', 'commit'])(
    'the head is in place (%s): losses are declared',
    async (durability) => {
      const { kept, behind } = await lost(durability);
      const { verified } = await run('Restore');
      expect(verified.seqLast).toBe(kept.seq);
      expect(verified.warnings).toBeUndefined();
      const restored = await start(durability);
      const inside = { epoch: behind.epoch, seq: behind.seq - 3 };
      const gap = {
        type: 'gap',
        from: kept.seq + 1,
        to: behind.seq,
        reason: 'not-journaled',
        shard: null,
      };
      expect(await resumed(restored, inside)).toMatchObject([gap]);
      expect(await resumed(restored, kept)).toMatchObject([gap]);
      expect((await trades(restored, 1)).seq).toBeGreaterThan(behind.seq);
      expect(await warnings(restored)).toEqual([]);
      expect(await end(restored)).not.toContain('"code":"head-');
    },
  );

  test('the head of the backup: a reader above it starts again, one below misses nothing', async () => {
    const { kept, behind } = await lost();
    rmSync(join(data, 'head'));
    expect((await run('Restore')).verified.warnings).toBeUndefined();
    const restored = await start();
    expect(await resumed(restored, kept)).toEqual([]);
    expect(await resumed(restored, behind)).toMatchObject([
      { type: 'reset', reason: 'other-epoch' },
    ]);
    expect(await warnings(restored)).toEqual([]);
    await end(restored);
  });

  test('a missing head is reported by verify, in the log and in readyz, until the next start', async () => {
    const { behind } = await lost();
    rmSync(join(data, 'head'));
    writeFileSync(join(folder, 'backup', 'head'), 'not one of ours');
    const { verified, stderr } = await run('Restore');
    expect(verified.warnings).toMatchObject([{ code: 'head-missing' }]);
    expect(stderr).toContain('cannot be known to be missing');
    const restored = await start();
    expect(await warnings(restored)).toEqual(['head-missing']);
    expect((await restored.server.get('/readyz')).status).toBe(200);
    expect(await resumed(restored, behind)).toMatchObject([
      { type: 'reset', reason: 'other-epoch' },
    ]);
    const log = (await end(restored)).split('\n').filter((line) => line.includes('head-missing'));
    expect(log).toHaveLength(1);
    expect(JSON.parse(log[0]!)).toMatchObject({ level: 40, code: 'head-missing' });
    const again = await start();
    expect(await warnings(again)).toEqual([]);
    await end(again);
  });

  testDeep(
    'an import into a journal without a head reports it, because the next start finds a head',
    async () => {
      const first = await start();
      await trades(first, 3);
      await end(first);
      rmSync(join(data, 'head'));
      const file = join(folder, 'tape.ndjson');
      tradeId += 1;
      const line = trade('ACME', '10.00', '1.000', { seq: tradeId, tradeId });
      writeFileSync(file, tape(instrument('ACME'), line));
      const { code, stderr } = await tapedeck(['import', file, '--data', data]);
      expect([code, stderr]).toEqual([0, expect.stringContaining('[head-missing]')]);
      const restored = await start();
      expect(await warnings(restored)).toEqual([]);
      await end(restored);
    },
  );

  testDeep('a head that is older than the journal is reported', async () => {
    const first = await start();
    await trades(first, 10);
    cpSync(join(data, 'head'), join(folder, 'older'));
    await end(first);
    const second = await start(); // of another epoch
    await trades(second, 10);
    await second.server.stop('SIGKILL');
    await second.server.remove();
    cpSync(join(folder, 'older'), join(data, 'head'));
    const restored = await start();
    expect(await warnings(restored)).toEqual(['head-older']);
    await end(restored);
  });

  testDeep(
    'a head from before the journal, in the same epoch (async): the wrong order is noticed',
    async () => {
      const first = await start('async');
      await trades(first, 10);
      cpSync(join(data, 'head'), join(folder, 'older'));
      await trades(first, 10);
      await first.server.stop('SIGKILL');
      await first.server.remove();
      cpSync(join(folder, 'older'), join(data, 'head'));
      const restored = await start('async');
      expect(await warnings(restored)).toEqual(['head-older']);
      await end(restored);
    },
  );

  test.each(['SIGTERM', 'SIGKILL'] as const)(
    'a stopped server (%s): everything is restored',
    async (signal) => {
      const first = await start();
      const newest = await trades(first, 40);
      await first.server.stop(signal);
      await first.server.remove();
      const saved = await run('Back up a stopped server');
      expect(saved.verified.seqLast).toBeGreaterThanOrEqual(newest.seq);
      rmSync(data, { recursive: true });
      expect((await run('Restore')).verified).toEqual(saved.verified);
      const restored = await start();
      expect(await resumed(restored, newest)).toEqual([]);
      expect(await warnings(restored)).toEqual([]);
      await end(restored);
    },
  );
});
