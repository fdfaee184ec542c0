/** Cancelling all open orders of an owner: in parts, after what the owner sent before, and not during an auction. */

import { afterAll, expect, test } from 'bun:test';

import { ManualClock } from '../../src/base/clock';
import { StartFault } from '../../src/base/start-fault';
import { LocalOrders } from '../../src/app/order-stage';
import { openRecorder, type Recorder } from '../../src/app/recorder';
import { at } from '../support/market-events';
import { ScratchDirectory } from '../support/scratch-directory';
import { testConfig } from '../support/test-recorder';
import { order, venue } from './market-run';

const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

function open(fillsMax = 250): Recorder {
  const config = testConfig(scratch.fresh());
  const limits = { ...config.limits, fillsMax };
  const opened = openRecorder({ ...config, limits }, new ManualClock(at(0)));
  if (opened instanceof StartFault) throw new Error(opened.message);
  return opened;
}

test('an order that its owner sent before is cancelled too, one that is sent later is not', async () => {
  const recorder = open();
  const { market, sequencer } = recorder;
  sequencer.act((out) => market.define(venue('ACME'), out));
  sequencer.drain();
  const stage = new LocalOrders(recorder, 1_000);
  const enter = (name: string) => stage.submit('desk', order({ clientOrderId: name }));
  const entered = [enter('first')];
  sequencer.drain();
  for (let i = 0; i < 99; i++) entered.push(enter(`before-${i}`));
  const cancelled = stage.cancelAll('desk');
  entered.push(enter('later'));
  sequencer.drain();
  for (const outcome of await Promise.all(entered)) expect(outcome).not.toHaveProperty('code');
  expect(await cancelled).toEqual({ cancelled: 100, left: 0, seq: expect.any(Number) as number });
  expect(stage.openOf('desk', 0, 10)).toMatchObject([{ clientOrderId: 'later' }]);
  recorder.close();
  await recorder.journal.closed;
});

test('an auction in progress accepts no cancel: those orders are left, and counted', async () => {
  const recorder = open(3);
  const { market, sequencer } = recorder;
  sequencer.act((out) => market.define(venue('ACME', { initialState: 'pre-open' }), out));
  sequencer.act((out) => market.define(venue('BETA'), out));
  for (let i = 0; i < 40; i++) {
    const side = i % 2 === 0 ? 'buy' : 'sell';
    sequencer.act((out) => market.router.submit(side, order({ side, clientOrderId: `${i}` }), out));
  }
  const elsewhere = order({ side: 'buy', symbol: 'BETA', clientOrderId: 'elsewhere' });
  sequencer.act((out) => market.router.submit('buy', elsewhere, out));
  sequencer.act((out) => market.router.setState('boss', 'ACME', 'open', out)); // a part of it
  sequencer.drain();
  expect(market.router.isInAuction('ACME')).toBe(true);
  const stage = new LocalOrders(recorder, 1_000);
  const openBefore = market.clientOrders.openCount('buy');
  const done = stage.cancelAll('buy');
  sequencer.drain();
  expect(await done).toMatchObject({ cancelled: 1, left: openBefore - 1 });
  expect(market.clientOrders.openCount('buy')).toBe(openBefore - 1);
  recorder.close();
  await recorder.journal.closed;
});
