/**
 * Hosts: the host names under which this server answers. A web site can let its own name resolve to this
 * machine (DNS rebinding). The browser then takes the server for that site and lets the site read the
 * answers. The requested name is in `Host`, so a request for an unknown name is refused.
 *
 * Where everything needs a key, such a site gains nothing. Any name is then accepted, unless the settings
 * list some.
 */

import { isIP } from 'node:net';

import { fieldFault, type Fault } from '../../../protocol/codes';

export interface HostOptions {
  /** The host that the server listens on. */
  readonly host: string;
  /** Further names that are accepted. */
  readonly names: readonly string[];
  /** Whether something is allowed without a key. */
  readonly isOpen: boolean;
}

/** The part of a request that is used here. */
interface Asked {
  readonly url: string;
  readonly headers: Pick<Headers, 'get'>;
}

export class Hosts {
  private readonly names: ReadonlySet<string>;
  private readonly isLoopback: boolean;
  private readonly takesAll: boolean;
  /** Origin of a URL that was accepted before: nearly all requests have the same one. */
  private good = '-';

  constructor({ host, names, isOpen }: HostOptions) {
    this.names = new Set([host, ...names].map((name) => bare(name.toLowerCase())));
    this.isLoopback = isLoopbackName(host);
    this.takesAll = !this.isLoopback && names.length === 0 && !isOpen;
  }

  /** Why a request is refused; undefined if it is accepted. */
  refusal({ url, headers }: Asked): Fault | undefined {
    if (this.takesAll || url.startsWith(this.good)) return undefined;
    const from = url.indexOf('://') + 3;
    const to = url.indexOf('/', from);
    // The URL contains the name, unless the name is not valid in a URL.
    const isAddress = from >= 3 && to > 0;
    const host = isAddress ? url.slice(from, to) : (headers.get('host') ?? '');
    if (host === '') return undefined; // no browser sends an empty name
    if (!this.takes(nameOf(host.toLowerCase()))) {
      return fieldFault('Host', host, 'a name of this server, or one of server.hosts');
    }
    if (isAddress) this.good = url.slice(0, to + 1);
    return undefined;
  }

  private takes(name: string): boolean {
    if (isLoopbackName(name) || this.names.has(name)) return true;
    // An IP address cannot be the name of another site. A loopback server is requested by loopback names
    // only.
    return !this.isLoopback && isIP(name) !== 0;
  }
}

/** Whether a name or an address is a loopback one. */
export function isLoopbackName(name: string): boolean {
  return name === 'localhost' || name === '::1' || /^127(\.\d{1,3}){3}$/.test(name);
}

/** The name in a `Host` header, without the port. */
function nameOf(host: string): string {
  return bare(host.replace(/:\d*$/, ''));
}

/** An IPv6 address without its brackets. */
function bare(name: string): string {
  return name.startsWith('[') && name.endsWith(']') ? name.slice(1, -1) : name;
}
