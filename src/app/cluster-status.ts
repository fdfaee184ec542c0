/** Cluster status: what this server knows of its cluster, put together from the parts of its membership. */

import { hostname } from 'node:os';

import type { ClusterLogFigures, MemberReport } from '../base/contracts/cluster';
import type { MemberFigures } from '../cluster/member';
import type { Config } from '../config/config';
import { VERSION } from '../version';

/** What the figures of the log need besides those of the member. */
interface LogParts {
  readonly isConnected: boolean;
  readonly unlogged: number;
  readonly checkpoints: number;
}

export function logFigures(
  { reader, writer, takeovers }: MemberFigures,
  parts: LogParts,
): ClusterLogFigures {
  return {
    ...parts,
    behindMs: behindMs({ reader, writer }),
    silentMs: reader?.silentMs ?? 0,
    queuedBytes: writer?.queuedBytes ?? 0,
    takeovers,
    framesWritten: writer?.frames ?? 0,
    framesRead: reader?.frames ?? 0,
    resends: writer?.resends ?? 0,
    failures: (writer?.unavailables ?? 0) + (writer?.refusals ?? 0),
    repairs: reader?.repairs ?? 0,
    holes: reader?.holes ?? 0,
    voided: reader?.voided ?? 0,
    damaged: reader?.damaged ?? 0,
    appends: writer?.acks ?? null,
  };
}

/** @param instance names this process among all members, ever */
export function reportOf(
  { cluster, server }: Config,
  instance: string,
  figures: MemberFigures,
  position: { readonly epoch: number; readonly seq: number },
): MemberReport {
  const { member, role, url } = cluster;
  // A port that the system chooses is not known, so the process gives the name.
  const own = `${hostname()}:${server.port === 0 ? instance.slice(0, 6) : server.port}`;
  return {
    instance,
    name: member === '' ? own.slice(-64) : member,
    role,
    state: figures.state,
    url,
    version: VERSION,
    ...position,
    behindMs: Math.round(behindMs(figures)),
  };
}

function behindMs({ reader, writer }: Pick<MemberFigures, 'reader' | 'writer'>): number {
  return writer?.queuedMs ?? reader?.behindMs ?? 0;
}
