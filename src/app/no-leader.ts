/** No leader: what a replica answers to writes while no leader is known. */

import { fault } from '../../protocol/codes';
import type { LeaderPort } from '../base/contracts/leader';

const NONE = fault('no-leader', 'no leader is known that could take this');

export const NO_LEADER: LeaderPort = {
  entry: {
    refusal: () => NONE,
    submit: (_source, _events, done) => done({ index: -1, fault: NONE }),
    behind: () => Promise.resolve(),
    yield: () => {},
    release: () => {},
    holderOf: () => 0,
    isCrowded: () => false,
  },
  orders: {
    submit: () => Promise.resolve(NONE),
    cancel: () => Promise.resolve(NONE),
    amend: () => Promise.resolve(NONE),
    setState: () => Promise.resolve(NONE),
    cancelAll: () => Promise.resolve(NONE),
  },
  administration: {
    define: () => Promise.resolve(NONE),
    renumber: () => Promise.resolve(NONE),
    delete: () => Promise.resolve(NONE),
  },
};
