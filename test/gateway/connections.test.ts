/** Connections: keys of many connections are checked, a few in each turn. */

import { expect, test } from 'bun:test';

import { Nanos } from '../../protocol/time';
import { ManualClock } from '../../src/base/clock';
import { Keyring } from '../../src/gateway/auth/auth';
import type { Lapse } from '../../src/gateway/auth/principal';
import { WrongKeys } from '../../src/gateway/auth/wrong-keys';
import { Connections, type OpenConnection } from '../../src/gateway/ws/connections';

const COUNT = 3_500;

test('keys of many connections are checked a few in a turn, and each is, even if another check starts in between', async () => {
  const keys = new Keyring({
    anonymousRoles: ['read'],
    origins: [],
    now: () => 0,
    wrongKeys: new WrongKeys({ wrongKeysPerSecond: 1e9 }, () => 0),
  });
  const connections = new Connections(new ManualClock());
  let looked = 0;
  let lapse: Lapse | undefined;
  const shut: string[] = [];
  for (let i = 0; i < COUNT; i++) {
    const one: Pick<
      OpenConnection,
      'name' | 'key' | 'address' | 'connectedAt' | 'principal' | 'lapsed' | 'shut' | 'become'
    > = {
      name: `s${i}`,
      key: null,
      address: 'here',
      connectedAt: Nanos.ZERO,
      principal: keys.anonymous,
      lapsed: () => ((looked += 1), lapse),
      shut: (reason) => {
        shut.push(reason);
        connections.delete(`s${i}`);
      },
      become: () => {},
    };
    connections.add(one as OpenConnection);
  }
  connections.check(keys, 1_000);
  expect(looked).toBe(1_000);
  lapse = 'key-revoked';
  connections.check(keys, 1_000); // starts again
  expect([looked, shut.length]).toEqual([2_000, 1_000]);
  while (connections.size > 0) await new Promise((resolve) => setImmediate(resolve));
  expect([looked, shut.length]).toEqual([1_000 + COUNT, COUNT]);
});
