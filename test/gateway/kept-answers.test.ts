/** Kept answers: made once for all requests of the same short period, also in compressed form. */

import { expect, test } from 'bun:test';

import { ManualClock } from '../../src/base/clock';
import { Compression } from '../../src/gateway/rest/compression';
import { KeptAnswer } from '../../src/gateway/rest/kept-answers';
import { Lanes } from '../../src/gateway/ws/lanes';

const MS = 1_000_000;

test('is made again each time while that is cheap; requests that arrive while it is made share it', async () => {
  const clock = new ManualClock();
  let made = 0;
  const answer = new KeptAnswer(
    async () => {
      made += 1;
      await Bun.sleep(1);
      clock.advance(40 * MS);
      return `answer ${made}`;
    },
    0.1,
    clock,
  );
  const first = await Promise.all(Array.from({ length: 20 }, () => answer.get()));
  expect(new Set(first.map(({ text }) => text))).toEqual(new Set(['answer 1']));
  expect((await answer.get()).text).toBe('answer 2');
  expect((await answer.get()).text).toBe('answer 3');
  for (let i = 0; i < 20; i++) expect((await answer.get()).text).toBe('answer 3');
  clock.advance(1_000 * MS); // a hundred times the time that it took
  expect((await answer.get()).text).toBe('answer 4');
});

test('an answer that never changes is made once', async () => {
  let made = 0;
  const clock = new ManualClock();
  const answer = new KeptAnswer(() => `answer ${++made}`, 0, clock);
  await answer.get();
  clock.advance(1e15);
  expect((await answer.get()).text).toBe('answer 1');
});

test('an answer that failed is made again', async () => {
  let isBroken = true;
  const answer = new KeptAnswer(
    () => {
      if (isBroken) throw new Error('no');
      return 'yes';
    },
    0.1,
    new ManualClock(),
  );
  expect(await answer.get().catch((e: Error) => e.message)).toBe('no');
  isBroken = false;
  expect((await answer.get()).text).toBe('yes');
});

test('is compressed once for each coding', async () => {
  const answer = new KeptAnswer(() => 'word '.repeat(1_000), 0.1, new ManualClock());
  const kept = await answer.get();
  const compression = new Compression();
  const ask = (coding: string): Promise<Response> => {
    const request = new Request('http://x/', { headers: { 'accept-encoding': coding } });
    return compression.of(request, kept.text, new Response(kept.text), kept);
  };
  const [first, second, other] = [await ask('gzip'), await ask('gzip'), await ask('zstd')];
  expect(kept.bytes.size).toBe(2);
  expect(await first.bytes()).toEqual(await second.bytes());
  expect(Bun.zstdDecompressSync(await other.bytes()).toString()).toBe(kept.text);
});

test('waiting: a bounded number for each client at once, the others behind its own', async () => {
  const lanes = new Lanes(2);
  const ends: (() => void)[] = [];
  const begun: string[] = [];
  const ask = (client: string, name: string): Promise<void> =>
    lanes.during(client, () => {
      begun.push(name);
      return new Promise<void>((resolve) => ends.push(resolve));
    });
  const all = ['a1', 'a2', 'a3', 'a4', 'b1'].map((name) => ask(name[0]!, name));
  expect(begun).toEqual(['a1', 'a2', 'b1']);
  ends.shift()!();
  await all[0];
  await Bun.sleep(0);
  expect(begun).toEqual(['a1', 'a2', 'b1', 'a3']);
  while (ends.length > 0) {
    ends.shift()!();
    await Bun.sleep(0);
  }
  await Promise.all(all);
  expect(begun.length).toBe(5);
});
