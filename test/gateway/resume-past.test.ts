/** Resumes from a past epoch: complete if the journal has it all, otherwise refused. */

import { Database } from 'bun:sqlite';
import { afterAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';

import { instrument, tape, trade } from '../support/feed';
import { FORMS, StreamClient, type Seen } from '../support/stream-client';
import { Scratch, ServerProcess } from '../support/tapedeck-process';
import { until } from '../support/until';
import { deep } from '../support/tier';

const scratch = new Scratch();
const servers: ServerProcess[] = [];
afterAll(async () => {
  for (const server of servers) await server.remove();
  scratch.remove();
});

async function start(data: string, config: string): Promise<ServerProcess> {
  const server = await ServerProcess.start({ data, config });
  servers.push(server);
  return server;
}

let count = 0;

async function publish(server: ServerProcess, trades: number): Promise<void> {
  const lines = Array.from({ length: trades }, () =>
    trade('ACME', `${(++count % 900) + 1}.00`, '1'),
  );
  expect((await server.ingest(tape(...lines))).status).toBe(200);
}

interface Position {
  readonly epoch: number;
  readonly seq: number;
}

/** The newest seq that a reader was sent, and the trades that it has. */
async function read(server: ServerProcess, trades: number): Promise<Position> {
  const reader = await StreamClient.json(server.url);
  await reader.subscribe('trade:ACME');
  await publish(server, trades);
  const isTrade = (m: Seen): boolean => m.type === 'trade';
  await reader.findCount(isTrade, trades);
  const { epoch } = reader.seen[0]!;
  const { seq } = reader.seen.findLast(isTrade)!;
  await reader.close();
  return { epoch: epoch as number, seq: seq as number };
}

function gapsOf(data: string): { from_seq: number; to_seq: number }[] {
  const db = new Database(join(data, 'journal.sqlite'), { readonly: true });
  try {
    return db
      .query<{ from_seq: number; to_seq: number }, []>('SELECT from_seq, to_seq FROM gaps')
      .all();
  } finally {
    db.close();
  }
}

const TOPICS = ['trade:ACME', 'tick:ACME', 'status'];

async function resume(
  server: ServerProcess,
  form: (typeof FORMS)[number],
  position: Position,
): Promise<Seen[]> {
  const client = await StreamClient.open(server.url, form);
  client.send({ type: 'resume', id: 7, ...position, topics: TOPICS });
  await client.find((m) => m['id'] === 7);
  const { seen } = client;
  await client.close();
  return seen;
}

/** Checks that the messages of each topic form a chain from the position on. @returns the number of trades */
function checkChains(seen: readonly Seen[], { seq }: Position): number {
  const ofTopics = seen.filter((m) => ['trade', 'tick', 'status'].includes(m.type));
  const seqs = ofTopics.map((m) => Number(m['seq']));
  expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
  for (const type of ['trade', 'tick', 'status']) {
    const own = ofTopics.filter((m) => m.type === type);
    expect(Number(own[0]?.['prevSeq'] ?? 0)).toBeLessThanOrEqual(seq);
    for (let i = 1; i < own.length; i++) expect(own[i]!['prevSeq']).toBe(own[i - 1]!['seq']);
  }
  return ofTopics.filter((m) => m.type === 'trade').length;
}

describe.each(deep(FORMS, 1))('[R2] %s', (form) => {
  test.each([
    ['out of memory', 'SIGTERM', 50],
    ['out of the journal', 'SIGTERM', 3_000],
    ['out of memory', 'SIGKILL', 50],
    ['out of the journal', 'SIGKILL', 3_000],
  ] as const)('%s, behind %s', async (_, signal, trades) => {
    const data = scratch.fresh();
    const config = '[journal]\ndurability = "commit"\n[cache]\nmemtableEventsMax = 1000\n';
    const first = await start(data, config);
    await first.ingest(tape(instrument('ACME')));
    const position = await read(first, 10);
    await publish(first, trades);
    await first.stop(signal);
    const second = await start(data, config);
    await publish(second, 20);
    const between = await read(second, 5);
    await second.stop(signal);
    const third = await start(data, config);
    await publish(third, 30);
    // From two epochs ago, and from one; the cut is anywhere, and no message is sent twice.
    const seen = await resume(third, form, position);
    expect(seen.filter((m) => m.type === 'reset' || m.type === 'gap')).toEqual([]);
    expect(checkChains(seen, position)).toBe(trades + 20 + 5 + 30);
    const later = await resume(third, form, between);
    expect(later.filter((m) => m.type === 'reset')).toEqual([]);
    expect(checkChains(later, between)).toBe(30);
    expect(seen.filter((m) => m.type === 'status' && m['reason'] === 'restart').length).toBe(2);
  });

  test('[R2] [R3] [R5] what a crash lost is a gap, and the rest follows: async', async () => {
    const data = scratch.fresh();
    const first = await start(data, '[journal]\ndurability = "async"\n');
    await first.ingest(tape(instrument('ACME')));
    const kept = await read(first, 10);
    const lastKept = `${(count % 900) + 1}.00`;
    await first.stop('SIGTERM');
    const second = await start(data, '[journal]\ndurability = "async"\ncommitEveryMs = 10000\n');
    const pushed = await read(second, 10);
    await second.stop('SIGKILL');
    const third = await start(data, '');
    await until(() => gapsOf(data).length === 1, 'the declared gap'); // or the crash lost nothing
    const [{ from_seq: from, to_seq: to }] = gapsOf(data) as [{ from_seq: number; to_seq: number }];
    let server = third;
    const reasonOf = async (position: Position): Promise<unknown> => {
      const seen = await resume(server, form, position);
      expect(seen.filter((m) => m.type === 'trade' || m.type === 'gap')).toEqual([]);
      return seen.find((m) => m.type === 'reset')?.['reason'];
    };
    /** The whole gap of each topic, wherever the reader is, followed by what was not lost. */
    const checkGap = async (position: Position, trades: number): Promise<void> => {
      const seen = await resume(server, form, position);
      expect(seen.filter((m) => m.type === 'reset')).toEqual([]);
      const first = seen.findIndex((m) => m.type === 'gap');
      const count = to - from + 1;
      const gap = { type: 'gap', from, to, count, reason: 'not-journaled', shard: null };
      expect(seen.slice(first, first + TOPICS.length)).toEqual(
        expect.arrayContaining(TOPICS.map((topic) => ({ ...gap, topic }))),
      );
      const behind = seen.slice(first + TOPICS.length);
      expect(seen.slice(0, first).some((m) => 'prevSeq' in m && Number(m['seq']) > to)).toBe(false);
      expect(behind.some((m) => m.type === 'gap')).toBe(false);
      expect(behind.filter((m) => m.type === 'trade').length).toBe(trades);
      const lost = seen.filter(
        (m) => 'prevSeq' in m && Number(m['seq']) >= from && Number(m['seq']) <= to,
      );
      expect(lost).toEqual([]);
      // The last price is from before the gap until there is another.
      const tick = seen.findLast((m) => m.type === 'tick');
      expect(tick).toMatchObject(trades === 0 ? { last: lastKept } : { count: 1 });
    };
    const check = async (trades: number): Promise<void> => {
      // This reader has what no other can have; the others miss what nobody can send.
      await checkGap(pushed, trades);
      await checkGap({ epoch: pushed.epoch, seq: to }, trades);
      await checkGap({ epoch: pushed.epoch, seq: from }, trades);
      await checkGap({ epoch: pushed.epoch, seq: from - 1 }, trades);
      await checkGap(kept, trades);
      // Cut off within the gap, and resuming as of the present epoch.
      const { epoch } = (await resume(server, form, kept))[0]!;
      await checkGap({ epoch: epoch as number, seq: from }, trades);
      expect(await reasonOf({ epoch: pushed.epoch, seq: to + 1 })).toBe('other-epoch');
      expect(await reasonOf({ epoch: kept.epoch - 1, seq: kept.seq })).toBe('other-epoch');
      expect(await reasonOf({ epoch: kept.epoch, seq: pushed.seq })).toBe('other-epoch');
    };
    await check(0);
    await publish(third, 3);
    const now = await read(third, 1);
    expect(checkChains(await resume(third, form, now), now)).toBe(0);
    // A later start still knows it; and everything after the gap can be resumed from there.
    const behind = await read(third, 5);
    await publish(third, 20);
    await third.stop('SIGKILL'); // no checkpoint: the next start reads both sides of the gap
    server = await start(data, '');
    await check(3 + 1 + 5 + 20);
    const seen = await resume(server, form, behind);
    expect(seen.filter((m) => m.type === 'reset')).toEqual([]);
    expect(checkChains(seen, behind)).toBe(20);
  });
});
