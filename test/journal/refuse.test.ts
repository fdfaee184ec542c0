/** A recorder that is about to be closed processes what waits, and nothing more. */

import { afterAll, expect, test } from 'bun:test';

import { LocalOrders } from '../../src/app/order-stage';
import { instrument, SYMBOL, trade } from '../support/market-events';
import { ScratchDirectory } from '../support/scratch-directory';
import { record } from '../support/test-recorder';
import type { SubmitResult } from '../../src/base/contracts/submission';

const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

test('a waiting submission is answered when it is journaled; a later one is refused', async () => {
  const { recorder, batches } = record(scratch.fresh());
  const answers: SubmitResult[] = [];
  const submit = (): void =>
    recorder.sequencer.submit(1, [trade()], (result) => void answers.push(result));
  recorder.sequencer.submit(1, [instrument()], () => {});
  submit();
  expect([answers.length, batches.length]).toEqual([0, 0]);
  await recorder.refuse();
  expect(answers).toEqual([{ seq: 3, intake: { repeated: 0, waiting: 0 } }]);
  expect(batches.at(-1)?.lastSeq).toBe(3);
  submit();
  const orders = new LocalOrders(recorder, 10);
  const outcome = await orders.setState('operator', SYMBOL, 'halted');
  expect(answers[1]).toMatchObject({ fault: { code: 'shutting-down' } });
  expect(outcome).toMatchObject({ code: 'shutting-down' });
  recorder.close();
  expect(await recorder.journal.closed).toBeUndefined();
  expect(recorder.sequencer.lastSeq).toBe(3);
});
