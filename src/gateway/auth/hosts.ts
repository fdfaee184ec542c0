/**
 * Hosts: by which names this server may be asked for. A web site can give a name of its own the address of
 * this machine (DNS rebinding); the browser then takes it for the site, and lets it read the answers. The
 * name that it asks for stands in `Host`, so a name that is not of this server is refused.
 *
 * Where nobody may do anything without a key, such a site gets nothing, and any name does, unless the
 * settings list some.
 */

import { isIP } from 'node:net';

import { fieldFault, type Fault } from '../../../protocol/codes';

export interface HostOptions {
  /** That the server listens on. */
  readonly host: string;
  /** That it may be asked for by, besides its own. */
  readonly names: readonly string[];
  /** Whether something may be done without a key. */
  readonly isOpen: boolean;
}

/** A request, as far as it matters here. */
interface Asked {
  readonly url: string;
  readonly headers: Pick<Headers, 'get'>;
}

export class Hosts {
  private readonly names: ReadonlySet<string>;
  private readonly isLoopback: boolean;
  private readonly takesAll: boolean;
  /** The beginning of an address whose name is known to be good: nearly all requests have the same. */
  private good = '-';

  constructor({ host, names, isOpen }: HostOptions) {
    this.names = new Set([host, ...names].map((name) => bare(name.toLowerCase())));
    this.isLoopback = isLoopbackName(host);
    this.takesAll = !this.isLoopback && names.length === 0 && !isOpen;
  }

  /** Why a request is not answered; undefined when it is. */
  refusal({ url, headers }: Asked): Fault | undefined {
    if (this.takesAll || url.startsWith(this.good)) return undefined;
    const from = url.indexOf('://') + 3;
    const to = url.indexOf('/', from);
    // The address has the name, but where it cannot be one of an address.
    const isAddress = from >= 3 && to > 0;
    const host = isAddress ? url.slice(from, to) : (headers.get('host') ?? '');
    if (host === '') return undefined; // no browser sends that
    if (!this.takes(nameOf(host.toLowerCase()))) {
      return fieldFault('Host', host, 'a name of this server, or one of server.hosts');
    }
    if (isAddress) this.good = url.slice(0, to + 1);
    return undefined;
  }

  private takes(name: string): boolean {
    if (isLoopbackName(name) || this.names.has(name)) return true;
    // An address can be nobody else's name; but this one is not to be had by that of another machine.
    return !this.isLoopback && isIP(name) !== 0;
  }
}

/** Whether a name or an address is of this machine alone. */
export function isLoopbackName(name: string): boolean {
  return name === 'localhost' || name === '::1' || /^127(\.\d{1,3}){3}$/.test(name);
}

/** The name of a `Host`, without its port. */
function nameOf(host: string): string {
  return bare(host.replace(/:\d*$/, ''));
}

/** An IPv6 address without its brackets. */
function bare(name: string): string {
  return name.startsWith('[') && name.endsWith(']') ? name.slice(1, -1) : name;
}
