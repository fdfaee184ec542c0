/** Publishes at members that follow, in virtual time: what the log has of each, and what its source was answered. */

import { afterAll, expect, test } from 'bun:test';

import { ScratchDirectory } from '../support/scratch-directory';
import { readSeed } from '../support/seed';
import { deep } from '../support/tier';
import { PublishesWorld, type Publish } from './publishes-world';

const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

const RUN_MS = 15_000;
/** Longer than any publish is under way. */
const SETTLE_MS = 40_000;
const EXPECTED = new Set([
  'no-leader',
  'unknown-outcome',
  'shutting-down',
  'symbol-in-use',
  'unknown-symbol',
  'overloaded',
]);

type Logged = ReadonlyMap<number, number>;

/** Numbers of the trades of a publish that the log has, in the order of their ids. */
function seqsOf({ firstId, count }: Publish, logged: Logged): number[] {
  const seqs: number[] = [];
  for (let id = firstId; id < firstId + count; id++) {
    const seq = logged.get(id);
    if (seq !== undefined) seqs.push(seq);
  }
  return seqs;
}

/** What is wrong with the answer to a publish; undefined: nothing. */
function wrongWith(publish: Publish, logged: Logged): string | undefined {
  const { results, count, badAt, firstId, node } = publish;
  if (results.length === 0 && !node.isAlive) return undefined; // its server is gone
  if (results.length !== 1) return `${results.length} answers`;
  const { result, byLeader } = results[0]!;
  const seqs = seqsOf(publish, logged);
  if (seqs.some((seq, i) => i > 0 && seq <= seqs[i - 1]!)) return 'its trades are out of order';
  const isPrefix = seqs.length === 0 || logged.has(firstId);
  if (!('fault' in result)) {
    if (badAt >= 0) return 'a bad event was taken';
    if (byLeader) return undefined; // as durable as the settings of the leader say
    if (seqs.length !== count) return `acknowledged, and the log has ${seqs.length} of ${count}`;
    return seqs.at(-1)! <= result.seq ? undefined : `${seqs.at(-1)} is above ${result.seq}`;
  }
  const { code } = result.fault;
  if (!EXPECTED.has(code)) return `${code}: ${result.fault.message}`;
  if (code === 'unknown-symbol' && result.index !== badAt) return `index ${result.index}`;
  if (code === 'unknown-outcome') return isPrefix ? undefined : 'not its beginning';
  return seqs.length === 0 ? undefined : `${code}, and the log has ${seqs.length} of ${count}`;
}

/** The sessions whose acknowledged numbers, or whose trades in the log, do not rise. */
function disordered(world: PublishesWorld, logged: Logged): string[] {
  const wrong: string[] = [];
  const newest = new Map<string, { seq: number; acked: number }>();
  for (const publish of world.published) {
    const { session, results } = publish;
    const before = newest.get(session) ?? { seq: 0, acked: 0 };
    newest.set(session, before);
    for (const seq of seqsOf(publish, logged)) {
      if (seq <= before.seq) wrong.push(`${session}: ${seq} after ${before.seq}`);
      before.seq = seq;
    }
    const [first] = results;
    if (first === undefined || 'fault' in first.result || first.byLeader) continue;
    const { seq } = first.result;
    if (seq <= before.acked) wrong.push(`${session}: ack ${seq} after ${before.acked}`);
    before.acked = seq;
  }
  return wrong;
}

test('each event is in the log at most once and in order; what is acknowledged is there, what is refused is not', async () => {
  const first = readSeed();
  const runs = Number(process.env['TAPEDECK_SIM_PUBLISH_RUNS'] ?? deep(20, 1));
  const seen = new Map<string, number>();
  const count = (what: string, by = 1): void => void seen.set(what, (seen.get(what) ?? 0) + by);
  for (let seed = first; seed < first + runs; seed++) {
    const world = new PublishesWorld(seed, () => scratch.fresh());
    world.time.run(RUN_MS);
    world.isCalm = true;
    world.time.run(SETTLE_MS);
    const trades = world.logged();
    const logged = new Map(trades.map(({ id, seq }) => [id, seq]));
    expect([seed, 'doubled', trades.length - logged.size]).toEqual([seed, 'doubled', 0]);
    for (const publish of world.published) {
      const { session, firstId, results } = publish;
      const wrong = wrongWith(publish, logged);
      expect([seed, session, firstId, wrong]).toEqual([seed, session, firstId, undefined]);
      if (results[0] === undefined) continue;
      const { result, byLeader } = results[0];
      if ('fault' in result) count(result.fault.code);
      else count(byLeader ? 'acknowledged by a leader' : 'acknowledged');
    }
    expect([seed, disordered(world, logged)]).toEqual([seed, []]);
    for (const { publishes } of world.all) count('expired leases', publishes?.figures().expired);
    count('takeovers', world.takeovers);
    await world.close();
  }
  expect(seen.get('acknowledged') ?? 0).toBeGreaterThan(0);
  console.log(Object.fromEntries(seen));
});
