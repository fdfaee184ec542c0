/** Addresses: who counts as one client behind one: of IPv6 the network of 64 bits that a customer has. */

/** Who counts as one client behind an address. */
export function clientAt(address: string): string {
  return address.includes(':') ? networkOf(address) : address;
}

/** An IPv6 address without its lower half; one that stands for an IPv4 address, as that. */
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
