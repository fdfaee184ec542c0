/**
 * Addresses: maps an address to the client that it counts as. For IPv6 that is the network of 64 bits, as
 * one customer has a whole network.
 */

/** The client that an address counts as. */
export function clientAt(address: string): string {
  return address.includes(':') ? networkOf(address) : address;
}

/** The upper half of an IPv6 address; for an IPv4-mapped address, the IPv4 address. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped !== null) return mapped[1]!;
  if (address === '::1') return address;
  const [head = '', tail] = address.split('%')[0]!.split('::');
  const first = head === '' ? [] : head.split(':');
  const last = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : 8 - first.length - last.length;
  const groups = [...first, ...Array.from({ length: Math.max(0, zeros) }, () => '0'), ...last];
  return `${groups.slice(0, 4).join(':')}::/64`;
}

export function isLocal(address: string): boolean {
  return address.startsWith('127.') || address === '::1' || address === '';
}
