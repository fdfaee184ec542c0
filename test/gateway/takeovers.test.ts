/** Takeovers: which owners yield, with sessions whose reactions the test controls. */

import { expect, test } from 'bun:test';

import { SystemClock } from '../../src/base/clock';
import { Takeovers, type RemotePublisher } from '../../src/app/takeovers';
import { trade } from '../support/market-events';

const HOLDER = 1;
const NEXT = 2;

test.each([
  ['is silent yields', false],
  ['has sent what is not read yet keeps its symbols', true],
])('a holder that %s', async (_, isHolding) => {
  const shut: number[] = [];
  const sessionOf = (source: number): RemotePublisher => ({
    key: 'feed',
    received: { frames: 0 },
    intake: { isHolding: isHolding && source === HOLDER },
    shut: () => void shut.push(source),
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  const takeovers = new Takeovers({
    clock: new SystemClock(),
    takeoverMs: 10,
    holderOf: () => (shut.length === 0 ? HOLDER : 0),
    publisher: sessionOf,
    ask: () => {},
    released: () => Promise.resolve(),
    submit: () => resolve(),
  });
  takeovers.submit(NEXT, 'feed', { events: [trade()], continues: null }, () => {});
  await promise;
  expect(shut).toEqual(isHolding ? [] : [HOLDER]);
});
