/**
 * Access: who may do what, from the settings and the file of keys, and whether other machines may reach the server.
 *
 * On a loopback address everybody may read, unless `auth.requireKey` is set. On any other address everything needs a
 * key. There, a server without keys, or without TLS to protect them, does not start unless `server.insecure` allows it.
 */

import { existsSync, readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';

import { Nanos } from '../../protocol/time';
import type { Clock } from '../base/clock';
import { StartFault } from '../base/start-fault';
import type { Config } from '../config/config';
import { Keyring } from '../gateway/auth/auth';
import type { Connections } from '../gateway/ws/connections';
import { Hosts, isLoopbackName } from '../gateway/auth/hosts';
import type { Tls } from '../gateway/listen';
import { keysStamp, readKeys, type Role, type StoredKey } from '../gateway/auth/stored-keys';
import { dataDoubts } from '../journal/recover/directory';
import { Tokens, type TokenSettings } from '../gateway/auth/tokens';
import { WrongKeys } from '../gateway/auth/wrong-keys';
import type { Log } from '../log/contract';

export interface Access {
  readonly keys: Keyring;
  readonly tls: Tls | null;
  readonly hosts: Hosts;
  /** Reads the keys again if their file has changed, and closes the sessions of keys that have ended. */
  watch(connections: Connections, helloMs: number): void;
  /** Reads the keys again in any case. If that is impossible, the present keys stay. */
  reload(connections: Connections, helloMs: number): void;
}

export function isLoopback(host: string): boolean {
  return isLoopbackName(host);
}

/** What the files that the settings name contain. */
interface Admitted {
  readonly stored: readonly StoredKey[];
  readonly tokens: Tokens | null;
  readonly tls: Tls | null;
  readonly hasKeys: boolean;
}

/** Reads the files that the settings name. @returns why a server with these settings does not start, if so */
export function readAdmitted(config: Config): Admitted | StartFault {
  const stored = readKeys(config.journal.directory);
  if (stored instanceof StartFault) return stored;
  const tokens = Tokens.read(config.auth as TokenSettings);
  if (tokens instanceof StartFault) return tokens;
  const tls = readTls(config.server);
  if (tls instanceof StartFault) return tls;
  const hasKeys = stored.length > 0 || tokens !== null;
  const { host } = config.server;
  const exposed = isLoopback(host) ? undefined : exposure(config.server, hasKeys, tls !== null);
  return exposed ?? { stored, tokens, tls, hasKeys };
}

/** @param more what may be done without a key, besides reading, where reading needs none */
export function openAccess(
  config: Config,
  clock: Clock,
  log: Log,
  more: readonly Role[],
): Access | StartFault {
  const { directory } = config.journal;
  const { host, origins } = config.server;
  const settings = config.auth as TokenSettings;
  let stamp = keysStamp(directory);
  const admitted = readAdmitted(config);
  if (admitted instanceof StartFault) return admitted;
  const { stored, tokens, tls, hasKeys } = admitted;
  const isOpen = !config.auth.requireKey && (isLoopback(host) || !hasKeys);
  const now = (): number => Math.floor(clock.now().since(Nanos.ZERO) / 1e9);
  const wrongKeys = new WrongKeys(config.limits, () => clock.monotonicMs());
  const anonymousRoles: Role[] = isOpen ? ['read', ...more] : [];
  const keys = new Keyring({ anonymousRoles, origins, now, wrongKeys });
  keys.load(stored, tokens);

  warnOfOthers(directory, log);

  const reload = (connections: Connections, helloMs: number): void => {
    stamp = keysStamp(directory);
    warnOfOthers(directory, log);
    const [stored, tokens] = [readKeys(directory), Tokens.read(settings)];
    for (const fault of [stored, tokens]) {
      if (fault instanceof StartFault)
        log.error({ code: fault.code }, `keys are unchanged: ${fault.message}`);
    }
    if (stored instanceof StartFault || tokens instanceof StartFault) return;
    keys.load(stored, tokens);
    log.info({ keys: stored.length }, 'keys were read');
    connections.check(keys, helloMs);
  };
  return {
    keys,
    tls,
    hosts: new Hosts({ host, names: config.server.hosts, isOpen: keys.isOpen }),
    reload,
    watch: (connections, helloMs) => {
      if (keysStamp(directory) === stamp) connections.check(keys, helloMs);
      else reload(connections, helloMs);
    },
  };
}

/** Logs what other users of this machine can change in the keys and the journal. */
function warnOfOthers(directory: string, log: Log): void {
  if (!existsSync(directory)) return; // it will be made
  for (const { message, hint } of dataDoubts(directory)) log.warn({ hint }, message);
}

function readTls({ tlsCertificate, tlsKey }: Config['server']): Tls | StartFault | null {
  if (tlsCertificate === '') return null;
  const cert = readPem('server.tlsCertificate', tlsCertificate);
  if (cert instanceof StartFault) return cert;
  const key = readPem('server.tlsKey', tlsKey);
  if (key instanceof StartFault) return key;
  try {
    createSecureContext({ cert, key });
    return { cert, key };
  } catch (e) {
    const what = 'server.tlsCertificate and server.tlsKey do not make TLS';
    return badTls(`${what}: ${(e as Error).message}`);
  }
}

function readPem(setting: string, path: string): string | StartFault {
  try {
    return readFileSync(path, 'utf8');
  } catch (e) {
    return badTls(`${setting} cannot be read: ${(e as Error).message}`);
  }
}

function badTls(message: string): StartFault {
  const hint = 'Give a certificate and the private key that belongs to it, both in PEM.';
  return new StartFault('bad-config', message, hint);
}

/** Why the server must not listen on an address that other machines reach; undefined: it may. */
function exposure(
  { host, insecure }: Config['server'],
  hasKeys: boolean,
  hasTls: boolean,
): StartFault | undefined {
  const lacks = hasKeys
    ? hasTls
      ? ''
      : 'without-tls'
    : hasTls
      ? 'without-keys'
      : 'without-keys-and-tls';
  if (lacks === '' || insecure === lacks || insecure === 'without-keys-and-tls') return undefined;
  const why = {
    'without-tls': 'keys and data would travel in clear',
    'without-keys': 'anybody who reaches it could read',
    'without-keys-and-tls': 'anybody who reaches it could read, and keys would travel in clear',
  }[lacks as 'without-tls'];
  return new StartFault(
    'insecure',
    `${host} is reached from other machines, and ${why}`,
    `Make a key with "tapedeck keys make", set server.tlsCertificate and server.tlsKey; or, if it is meant, server.insecure = "${lacks}".`,
  );
}
