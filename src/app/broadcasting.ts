/** Broadcasting: the broadcaster, with all that it asks of other stages. */

import { Broadcaster, type NativeTopics } from '../broadcast/broadcaster';
import { PastEpochs } from '../broadcast/resume/past-epochs';
import { ReplayRequests } from '../broadcast/replay/replay-requests';
import { reviseBars, type BarRevisions } from './bar-revisions';
import { barsBehind } from './bars-behind';
import type { Ground } from './ground';
import type { Past } from './past';
import type { Shards } from './shards';

/**
 * Bun's native topics, which exist once the port is open. Before that nobody is subscribed, so nothing that is
 * published is missed.
 */
export class ServerTopics implements NativeTopics {
  private server: NativeTopics | null = null;

  connect(server: NativeTopics | null): void {
    this.server = server;
  }

  publish(topic: string, data: string | Uint8Array<ArrayBuffer>): void {
    this.server?.publish(topic, data);
  }
}

export interface Broadcasting {
  readonly broadcaster: Broadcaster;
  readonly topics: ServerTopics;
  readonly replays: ReplayRequests;
  /** Bars that late trades changed after they had ended. */
  readonly revisions: BarRevisions;
}

export function createBroadcasting(
  ground: Ground,
  shards: Shards,
  { history, playbacks }: Past,
): Broadcasting {
  const { config, limits, clock, repeated } = ground;
  const options = {
    shards: shards.names,
    sessionBoundary: config.market.sessionBoundary,
    heartbeatMs: config.push.heartbeatMs,
    logsBytesMax: config.push.logsBytesMax,
    get topicsMax() {
      return limits.topicsMax;
    },
  };
  const topics = new ServerTopics();
  const broadcaster = new Broadcaster(options, topics, clock);
  const { subscriptions } = broadcaster;
  for (const [i, { core, memtable }] of shards.all.entries()) {
    const numbering = broadcaster.numberings.at(i);
    numbering.epoch = core.epoch;
    numbering.pastEpochs = new PastEpochs(core.pastEpochs);
    numbering.since = (seq) => memtable.since(seq);
  }
  subscriptions.playbacks = playbacks;
  subscriptions.pastBars = barsBehind(history);
  broadcaster.ended = ({ name }, reason) => {
    const what = 'a session was closed for being slow';
    repeated.report('warn', what, reason, { session: name, reason });
  };
  const replays = new ReplayRequests({
    playbacks,
    clock,
    numberings: broadcaster.numberings,
    numberingOf: (symbol) => broadcaster.numberingOf(symbol),
  });
  const revisions = reviseBars(broadcaster, history, limits, clock, repeated);
  return { broadcaster, topics, replays, revisions };
}
