/** Ground: what all stages of a server share: settings, time, log, limits, access, budgets. */

import { ByteAccount } from '../base/byte-account';
import type { Clock } from '../base/clock';
import { SliceQueue } from '../base/slice-queue';
import { StartFault } from '../base/start-fault';
import type { Config } from '../config/config';
import type { Role } from '../gateway/auth/stored-keys';
import { RestCounts } from '../gateway/rest/counts';
import { Connections } from '../gateway/ws/connections';
import { StreamCounts } from '../gateway/ws/counts';
import type { Log } from '../log/contract';
import { Repeated } from '../log/repeated';
import { openAccess, type Access } from './access';
import type { Limits } from './reload';
import { SourceClients } from './sources';

export interface Ground {
  /** The settings at the start. */
  readonly config: Config;
  /** The current limits: a reload changes them in place. */
  readonly limits: Limits;
  readonly clock: Clock;
  readonly log: Log;
  /** For lines that may repeat fast. */
  readonly repeated: Repeated;
  readonly access: Access;
  /** What clients cause to be held. */
  readonly account: ByteAccount;
  /** Long work, in slices between other turns. */
  readonly slices: SliceQueue;
  readonly connections: Connections;
  /** The clients of sources. */
  readonly clients: SourceClients;
  readonly counts: { readonly stream: StreamCounts; readonly rest: RestCounts };
}

/** @param anonymousRoles what may be done without a key, besides reading */
export function prepareGround(
  config: Config,
  clock: Clock,
  log: Log,
  anonymousRoles: readonly Role[],
): Ground | StartFault {
  const limits = { ...config.limits };
  const access = openAccess({ ...config, limits }, clock, log, anonymousRoles);
  if (access instanceof StartFault) return access;
  const account = new ByteAccount(limits);
  account.areKeys = () => access.keys.hasKeys;
  return {
    config,
    limits,
    clock,
    log,
    repeated: new Repeated(log, clock),
    access,
    account,
    slices: new SliceQueue(clock),
    connections: new Connections(clock),
    clients: new SourceClients(),
    counts: { stream: new StreamCounts(), rest: new RestCounts(clock) },
  };
}
