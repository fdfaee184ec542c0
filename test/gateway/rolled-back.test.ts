/**
 * A data directory goes back in time behind a reader that resumes from the lowest of its positions: `newest`
 * reveals it, where `seq` alone would look valid.
 */

import { afterAll, describe, expect, test } from 'bun:test';
import { copyFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { instrument, tape, trade } from '../support/feed';
import { ScratchDirectory } from '../support/scratch-directory';
import { FORMS, StreamClient, type Seen } from '../support/stream-client';
import { ServerProcess } from '../support/tapedeck-process';
import { deep } from '../support/tier';

const scratch = new ScratchDirectory();
const servers: ServerProcess[] = [];
afterAll(async () => {
  for (const server of servers) await server.remove();
  scratch.remove();
});

const TOPICS = ['trade:BUSY', 'trade:CALM'];
const CONFIG = '[journal]\ndurability = "commit"\n';

async function start(data: string): Promise<ServerProcess> {
  const server = await ServerProcess.start({ data, config: CONFIG });
  servers.push(server);
  return server;
}

async function publish(server: ServerProcess, symbol: string, ...prices: string[]): Promise<void> {
  const lines = prices.map((price) => trade(symbol, price, '1'));
  expect((await server.ingest(tape(...lines))).status).toBe(200);
}

interface Position {
  readonly epoch: number;
  readonly seq: number;
  readonly newest: number;
}

/** A reader that received five busy trades after its last quiet one, and then five that the copy does not have. */
async function goBack(): Promise<{ data: string; copy: string; position: Position }> {
  const data = scratch.fresh();
  const server = await start(data);
  await server.ingest(tape(instrument('BUSY'), instrument('CALM')));
  const reader = await StreamClient.json(server.url);
  await reader.subscribe(...TOPICS);
  await publish(server, 'CALM', '1.00');
  await publish(server, 'BUSY', '1.00', '2.00', '3.00', '4.00', '5.00');
  const copy = scratch.copyOf(data);
  await publish(server, 'BUSY', '6.00', '7.00', '8.00', '9.00', '10.00');
  const isTrade = (m: Seen): boolean => m.type === 'trade';
  await reader.findCount(isTrade, 11);
  const trades = reader.seen.filter(isTrade);
  const epoch = reader.seen[0]!['epoch'] as number;
  const position = {
    epoch,
    seq: trades[0]!['seq'] as number,
    newest: trades.at(-1)!['seq'] as number,
  };
  await reader.close();
  await server.stop('SIGKILL');
  return { data, copy, position };
}

type Answer = { readonly seen: readonly Seen[]; readonly declared: readonly Seen[] };

async function resume(
  server: ServerProcess,
  form: (typeof FORMS)[number],
  position: Partial<Position>,
): Promise<Answer> {
  const client = await StreamClient.open(server.url, form);
  client.send({ type: 'resume', id: 7, ...position, topics: TOPICS });
  await client.find((m) => m['id'] === 7);
  const { seen } = client;
  await client.close();
  return { seen, declared: seen.filter((m) => m.type === 'reset' || m.type === 'gap') };
}

describe.each(deep(FORMS, 1))('[R2] [R3] %s', (form) => {
  test.each([
    ['with its head', (): void => {}],
    ['without a head', (copy: string): void => rmSync(join(copy, 'head'))],
  ] as const)(
    'a copy that is seconds old, %s: a reset, and no longer in silence',
    async (_, change) => {
      const { copy, position } = await goBack();
      change(copy);
      const server = await start(copy);
      // Other trades with the same seqs.
      await publish(server, 'BUSY', '11.00', '12.00', '13.00', '14.00', '15.00');
      const { declared } = await resume(server, form, position);
      expect(declared).toMatchObject([{ type: 'reset', reason: 'other-epoch', topics: TOPICS }]);
      // A reader that received nothing of what is gone continues.
      const { epoch, seq } = position;
      for (const newest of [seq, seq + 5]) {
        const { seen, declared: nothing } = await resume(server, form, { epoch, seq, newest });
        expect(nothing).toEqual([]);
        expect(seen.filter((m) => m.type === 'trade').map((m) => m['price'])).toEqual([
          '1.00',
          '2.00',
          '3.00',
          '4.00',
          '5.00',
          '11.00',
          '12.00',
          '13.00',
          '14.00',
          '15.00',
        ]);
      }
    },
  );

  test('the journal went back and its head file did not: a gap covers everything that is missing', async () => {
    const { data, copy, position } = await goBack();
    copyFileSync(join(data, 'head'), join(copy, 'head'));
    const server = await start(copy);
    await publish(server, 'BUSY', '11.00');
    const { seen, declared } = await resume(server, form, position);
    expect(declared).toMatchObject(
      TOPICS.map((topic) => ({ type: 'gap', topic, reason: 'not-journaled' })),
    );
    for (const gap of declared) expect(gap['to'] as number).toBeGreaterThanOrEqual(position.newest);
    const behind = seen.filter(
      (m) => m.type === 'trade' && (m['seq'] as number) > (declared[0]!['to'] as number),
    );
    expect(behind.map((m) => m['price'])).toEqual(['11.00']);
  });

  test('a copy that is served beside the original journal: no position of one is accepted as that of the other', async () => {
    const { data, copy, position } = await goBack();
    const [own, fork] = [await start(data), await start(copy)];
    const positions: Position[] = [];
    for (const server of [own, fork]) {
      const reader = await StreamClient.json(server.url);
      await reader.subscribe(...TOPICS);
      await publish(server, 'BUSY', '20.00');
      const { seq } = (await reader.next('trade')) as unknown as { seq: number };
      positions.push({ epoch: reader.seen[0]!['epoch'] as number, seq: position.seq, newest: seq });
      await reader.close();
    }
    const reasons = async (server: ServerProcess, p: Position): Promise<unknown> =>
      (await resume(server, form, p)).declared.map((m) => m['reason']);
    expect(await reasons(own, position)).toEqual([]);
    expect(await reasons(fork, position)).toEqual(['other-epoch']);
    expect(await reasons(own, positions[0]!)).toEqual([]);
    expect(await reasons(own, positions[1]!)).toEqual(['other-epoch']);
    expect(await reasons(fork, positions[0]!)).toEqual(['other-epoch']);
    expect(await reasons(fork, positions[1]!)).toEqual([]);
  });

  test('in the present epoch: above the newest is from the future, below seq is refused, nil equals seq', async () => {
    const server = await start(scratch.fresh());
    await server.ingest(tape(instrument('BUSY'), instrument('CALM')));
    await publish(server, 'BUSY', '1.00', '2.00');
    const { epoch, seq } = (await server.json('/v1/trades/BUSY')) as { epoch: number; seq: number };
    const future = await resume(server, form, { epoch, seq: 1, newest: seq + 1 });
    expect(future.declared).toMatchObject([{ type: 'reset', reason: 'from-the-future' }]);
    expect((await resume(server, form, { epoch, seq: 1, newest: seq })).declared).toEqual([]);
    expect((await resume(server, form, { epoch, seq: 1 })).declared).toEqual([]);
    const { seen } = await resume(server, form, { epoch, seq: 2, newest: 1 });
    expect(seen.at(-1)).toMatchObject({
      type: 'error',
      id: 7,
      code: 'invalid-field',
      field: 'resume.newest',
      message: 'resume.newest is 1; expected at least seq (2)',
    });
  });
});
