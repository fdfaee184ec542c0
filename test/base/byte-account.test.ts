/** The account of bytes: what is shed, what is refused, and that a light client does not suffer from a heavy one. */

import { expect, test } from 'bun:test';

import { Prng } from '../../src/base/prng';
import { BYTE_KINDS, ByteAccount, type Meter } from '../../src/base/byte-account';
import { readSeed } from '../support/seed';

test('beyond the budget, sessions of the heaviest client are closed, the heaviest first', () => {
  const account = new ByteAccount({ clientBytesMax: 1_000, clientBytesPerClientMax: 800 });
  const shed: string[] = [];
  const open = (client: string, name: string, bytes: number): Meter => {
    const meter = account.open(client, () => void shed.push(name));
    meter.add('answers', bytes);
    return meter;
  };
  open('heavy', 'small', 100);
  open('heavy', 'large', 500);
  const light = open('light', 'light', 300);
  account.enforce();
  expect(shed).toEqual([]);
  open('other', 'other', 200);
  account.enforce();
  expect(shed).toEqual(['large']);
  expect([account.total, account.of('heavy'), light.total]).toEqual([600, 100, 300]);
});

test('one client has no more than its own limit, even if all together have little', () => {
  const account = new ByteAccount({ clientBytesMax: 10_000, clientBytesPerClientMax: 400 });
  let shed = 0;
  for (let i = 0; i < 5; i++) account.open('one', () => void shed++).add('sockets', 100);
  account.enforce();
  expect([shed, account.of('one')]).toEqual([1, 400]);
});

test('what cannot be shed is refused to a client that has much, and never to one that has little', () => {
  const account = new ByteAccount({ clientBytesMax: 1_000, clientBytesPerClientMax: 600 });
  const greedy = [account.open('a'), account.open('b')];
  let taken = 0;
  for (let i = 0; i < 1_000; i++) if (greedy[i % 2]!.take('bodies', 10)) taken += 10;
  expect(taken).toBeLessThanOrEqual(1_000);
  const before = account.counts.refused;
  const light = account.open('light');
  expect(light.take('bodies', 100)).toBe(true);
  expect(account.counts.refused).toBe(before);
  expect(account.total).toBeLessThanOrEqual(1_100);
});

test('clients without a key may have half of it together, where keys exist; the rest is left to clients with one', () => {
  const account = new ByteAccount({ clientBytesMax: 1_000, clientBytesPerClientMax: 400 });
  const strangers = Array.from({ length: 8 }, (_, i) =>
    account.open(`2001:db8:0:${i}::/64`, () => {}, true),
  );
  const take = (): number => {
    const before = account.ofKind.bodies;
    for (let i = 0; i < 1_000; i++) strangers[i % 8]!.take('bodies', 10);
    return account.ofKind.bodies - before;
  };
  const open = take();
  account.areKeys = () => true;
  expect([open > 450, take()]).toEqual([true, 0]);
  for (const meter of strangers) meter.set('bodies', 0);
  expect(take()).toBeLessThanOrEqual(300);
  const holder = account.open('desk', () => {});
  expect(Array.from({ length: 25 }, () => holder.take('bodies', 10)).every(Boolean)).toBe(true);
  // What can be shed is shed, of clients without a key only.
  for (const meter of strangers) meter.set('bodies', 0);
  for (const meter of strangers) meter.add('requests', 90);
  account.enforce();
  expect([holder.canShed, strangers.filter(({ canShed }) => canShed).length]).toEqual([true, 5]);
  // A client that presents a key is no stranger any more.
  strangers.at(-1)!.moveTo('desk');
  account.enforce();
  expect(account.total).toBe(250 + 5 * 90);
});

test('a closed meter counts only what cannot be released yet, until it is released', () => {
  const account = new ByteAccount({ clientBytesMax: 1_000, clientBytesPerClientMax: 1_000 });
  const meter = account.open('one', () => {});
  meter.add('topics', 100);
  meter.take('publishes', 50);
  meter.moveTo('two');
  expect([account.of('one'), account.of('two')]).toEqual([0, 150]);
  meter.close();
  meter.add('topics', -100);
  expect([account.total, account.of('two'), account.clients]).toEqual([50, 50, 1]);
  meter.add('publishes', -50);
  expect([account.total, account.clients]).toEqual([0, 0]);
});

test('after any additions and releases the sums equal those of the meters, and the budget holds', () => {
  const prng = new Prng(readSeed());
  const account = new ByteAccount({ clientBytesMax: 5_000, clientBytesPerClientMax: 2_000 });
  const meters = new Set<Meter>();
  for (let step = 0; step < 20_000; step++) {
    const all = [...meters];
    const some = all.length === 0 ? undefined : all[prng.int(0, all.length - 1)];
    if (some === undefined || (meters.size < 30 && prng.chance(0.2))) {
      const meter: Meter = account.open(`c${prng.int(0, 5)}`, () => void meters.delete(meter));
      meters.add(meter);
    } else {
      const what = prng.int(0, 9);
      if (what === 0) {
        for (const kind of BYTE_KINDS) some.set(kind, 0);
        some.close();
        meters.delete(some);
      } else if (what === 1) some.moveTo(`c${prng.int(0, 5)}`);
      else some.set('answers', prng.int(0, 500));
    }
    account.enforce();
    const sum = [...meters].reduce((bytes, { total }) => bytes + total, 0);
    expect(account.total).toBe(sum);
    expect(account.total).toBeLessThanOrEqual(5_000);
    for (let c = 0; c <= 5; c++) expect(account.of(`c${c}`)).toBeLessThanOrEqual(2_000);
  }
});
