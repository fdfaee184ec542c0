/**
 * The server of the benches `slow-reader` and `sessions`: a real one whose journal is discarded; it records when
 * each of its sessions left the express lane.
 */

import { SystemClock } from '../../src/base/clock';
import { StartFault } from '../../src/base/start-fault';
import { Broadcaster } from '../../src/broadcast/broadcaster';
import type { SessionCounters } from '../../src/broadcast/sessions/session-counters';
import { startServer } from '../../src/app/server';
import { countersOf } from '../support/counters';
import { createDiscardingWriter } from './discarding-writer';
import { settings } from './generated-market';

export interface ServerJob {
  readonly directory: string;
  /** Collects garbage before the memory is read. */
  readonly collects?: boolean;
}

export interface ServerDone {
  readonly url: string;
  /** The wall time for each session that is or was slow. */
  readonly laggedAtMs: Readonly<Record<string, number>>;
  readonly sessions: number;
  readonly lagging: number;
  readonly counters: SessionCounters;
  readonly rssBytes: number;
}

/** More than the sockets that the benches open. */
const SESSIONS_MAX = 12_000;

const laggedAtMs: Record<string, number> = {};
let broadcaster: Broadcaster | undefined;
let url = '';

function note(looked: Broadcaster): void {
  broadcaster = looked;
  const nowMs = performance.timeOrigin + performance.now();
  for (const session of looked.sessions) {
    if (session.isLagging) laggedAtMs[session.name] ??= nowMs;
  }
}

const look = Broadcaster.prototype.look; // oxlint-disable-line typescript/unbound-method
Broadcaster.prototype.look = function (): void {
  look.call(this);
  note(this);
};

async function run({ directory, collects }: ServerJob): Promise<void> {
  if (url === '') {
    const log = { info: () => {}, warn: console.error, error: console.error };
    const server = startServer(
      settings({
        server: { port: 0 },
        limits: {
          sessionsMax: SESSIONS_MAX,
          sessionsPerAddressMax: SESSIONS_MAX,
          workPerSecond: 1e9,
        }, // all come from here
        journal: { directory, durability: 'async' },
      }),
      new SystemClock(),
      log,
      { anonymousRoles: ['publish'], createWriter: createDiscardingWriter },
    );
    if (server instanceof StartFault) throw new Error(server.message);
    await server.started;
    url = server.url;
  }
  if (collects === true) Bun.gc(true);
  const sessions = [...(broadcaster?.sessions ?? [])];
  process.send!({
    url,
    laggedAtMs,
    sessions: sessions.length,
    lagging: sessions.filter(({ isLagging }) => isLagging).length,
    counters: broadcaster
      ? countersOf(broadcaster)
      : { conflated: 0, dropped: 0, gaps: 0, lagged: 0, resets: 0 },
    rssBytes: process.memoryUsage().rss,
  } satisfies ServerDone);
}

process.on('message', (job: ServerJob) => void run(job));
process.on('disconnect', () => process.exit(0));
