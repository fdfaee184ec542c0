/** The virtual broker keeps the contract of the real one, in virtual time. */

import { Prng } from '../../src/base/prng';
import { VirtualLog } from '../support/virtual-broker';
import { VirtualTime } from '../support/virtual-time';
import { brokerContract, type BrokerUnderTest } from './broker-contract';

for (const isIdFirst of [false, true]) {
  const time = new VirtualTime();
  const make = (): VirtualLog => new VirtualLog(time, new Prng(7), { isIdFirst });
  let log = make();
  const underTest: BrokerUnderTest = {
    open: () => Promise.resolve(log.connect()),
    fresh: () => void (log = make()),
    settle: (promise) => time.settle(promise),
    until: (holds) => {
      while (!holds()) time.step();
      return Promise.resolve();
    },
  };
  brokerContract(`virtual, ids ${isIdFirst ? 'before' : 'behind'} sequences`, () => underTest);
}
