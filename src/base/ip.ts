import { isIPv6 } from 'node:net';

interface Range {
  readonly family: 4 | 6;
  readonly address: number | bigint;
  /** Leading bits that must agree, counted in the family's own width. */
  readonly prefixLength: number;
}

/** Prefix length -> the networks of that length, shifted right so that only the network bits are left. */
type Networks<A> = Map<number, Set<A>>;

/**
 * Compiles a list of addresses and CIDR ranges into a test that a request can call without allocating (IPv4).
 *
 * An IPv4-mapped IPv6 address (`::ffff:1.2.3.4`, what a dual-stack socket reports) is the IPv4 address that it carries, in the
 * list as well as in the call; IPv6 ranges that are wider than the mapped block (`::/0`) do not cover IPv4. Host bits in a range
 * are ignored (`10.1.2.3/8` is `10.0.0.0/8`). A zone (`fe80::1%eth0`) is ignored in the call and refused in the list.
 * The cost grows with the number of different prefix lengths, not with the number of entries.
 *
 * @param cidrs - IPv4 or IPv6 addresses, each with an optional `/prefix`. An empty list matches nothing.
 * @returns A function that answers false for whatever is not an address.
 * @throws {TypeError} when an entry is neither an address nor a range; the message names the entry.
 */
export function compileIpMatcher(cidrs: readonly string[]): (address: string) => boolean {
  const v4: Networks<number> = new Map();
  const v6: Networks<bigint> = new Map();
  for (const cidr of cidrs) {
    const range = parseRange(cidr);
    if (typeof range.address === 'number') {
      addNetwork(v4, range.prefixLength, range.address & maskV4(range.prefixLength));
    } else {
      addNetwork(v6, range.prefixLength, range.address >> BigInt(128 - range.prefixLength));
    }
  }
  const v4Networks = [...v4].map(([prefixLength, networks]) => ({ mask: maskV4(prefixLength), networks }));
  const v6Networks = [...v6].map(([prefixLength, networks]) => ({ shift: BigInt(128 - prefixLength), networks }));

  return function matchesIp(address) {
    const parsed = parseAddress(address);
    if (typeof parsed === 'number') {
      for (const { mask, networks } of v4Networks) {
        if (networks.has(parsed & mask)) return true;
      }
    } else if (parsed !== null) {
      for (const { shift, networks } of v6Networks) {
        if (networks.has(parsed >> shift)) return true;
      }
    }
    return false;
  };
}

function addNetwork<A>(networks: Networks<A>, prefixLength: number, network: A): void {
  const sameLength = networks.get(prefixLength);
  if (sameLength) sameLength.add(network);
  else networks.set(prefixLength, new Set([network]));
}

function maskV4(prefixLength: number): number {
  // A shift by 32 is a shift by 0 in JavaScript.
  return prefixLength === 0 ? 0 : -1 << (32 - prefixLength);
}

function parseRange(cidr: string): Range {
  const slash = cidr.indexOf('/');
  const text = slash === -1 ? cidr : cidr.slice(0, slash);
  const address = text.includes('%') ? null : parseAddress(text);
  if (address === null) throw invalidRange(cidr);

  const writtenAsV6 = text.includes(':');
  const width = writtenAsV6 ? 128 : 32;
  const prefixText = slash === -1 ? String(width) : cidr.slice(slash + 1);
  const prefixLength = Number(prefixText);
  if (!/^\d{1,3}$/.test(prefixText) || prefixLength > width) throw invalidRange(cidr);

  if (typeof address === 'bigint') return { family: 6, address, prefixLength };
  if (!writtenAsV6) return { family: 4, address, prefixLength };
  if (prefixLength >= 96) return { family: 4, address, prefixLength: prefixLength - 96 };
  return { family: 6, address: mappedBlock | BigInt(address), prefixLength };
}

function invalidRange(cidr: string): TypeError {
  return new TypeError(
    `invalid IP address ${JSON.stringify(cidr)}: expected an IPv4 or IPv6 address, optionally with a prefix length ("10.0.0.0/8")`,
  );
}

const mappedBlock = 0xffffn << 32n;

/** An IPv4 address (mapped ones too) as a number of 32 bits, an IPv6 address as a bigint of 128, null for anything else. */
function parseAddress(text: string): number | bigint | null {
  if (!text.includes(':')) return parseV4(text, 0);
  if (text.startsWith('::ffff:') && text.includes('.', 7)) return parseV4(text, 7);
  if (!isIPv6(text)) return null;
  const value = expandV6(text);
  return value >> 32n === 0xffffn ? Number(value & 0xffffffffn) : value;
}

/** Dotted quad from `start` to the end of `text`: decimal, no leading zeros (they would be octal elsewhere). */
function parseV4(text: string, start: number): number | null {
  let value = 0;
  let octets = 0;
  let octet = 0;
  let digits = 0;
  for (let index = start; index <= text.length; index++) {
    // Beyond the end charCodeAt gives NaN, which ends the last octet like a dot does.
    const code = text.charCodeAt(index);
    if (code >= 48 && code <= 57) {
      if (digits > 0 && octet === 0) return null;
      octet = octet * 10 + code - 48;
      digits++;
      if (octet > 255) return null;
    } else if ((code === 46 || index === text.length) && digits > 0) {
      value = value * 256 + octet;
      octets++;
      octet = 0;
      digits = 0;
    } else {
      return null;
    }
    if (octets > 4) return null;
  }
  return octets === 4 ? value : null;
}

/** @param text - An IPv6 address that `isIPv6` accepts: at most one `::`, at most one dotted quad at the end. */
function expandV6(text: string): bigint {
  const zone = text.indexOf('%');
  const address = zone === -1 ? text : text.slice(0, zone);
  const gap = address.indexOf('::');
  if (gap === -1) return groupsToBigint(toGroups(address));
  const head = toGroups(address.slice(0, gap));
  const tail = toGroups(address.slice(gap + 2));
  const missing = 8 - head.length - tail.length;
  return groupsToBigint([...head, ...Array.from({ length: missing }, () => 0), ...tail]);
}

function toGroups(part: string): number[] {
  if (part === '') return [];
  return part.split(':').flatMap((group) => {
    const quad = group.includes('.') ? parseV4(group, 0) : null;
    return quad === null ? [Number.parseInt(group, 16)] : [Math.floor(quad / 0x10000), quad % 0x10000];
  });
}

function groupsToBigint(groups: readonly number[]): bigint {
  return groups.reduce((value, group) => (value << 16n) | BigInt(group), 0n);
}
