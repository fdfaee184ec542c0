/** Peers: the other processes of bench `ring`. */

import type { Subprocess } from 'bun';
import { join } from 'node:path';

import { startWorkerProcess } from './processes';
import type { RingPeerDone, RingPeerJob } from './ring-peer';

export type AskPeer = (job: RingPeerJob) => Promise<RingPeerDone>;

export function startPeer(running: Subprocess[]): AskPeer {
  const path = join(import.meta.dir, 'ring-peer.ts');
  return startWorkerProcess<RingPeerJob, RingPeerDone>(path, running);
}
