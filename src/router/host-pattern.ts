/** One of a route's hosts: the whole name, or with `suffix` what a name has to end with. */
export interface HostPattern {
  readonly text: string;
  readonly suffix: boolean;
}

/**
 * Reads an entry of `hosts`. A star in front stands for any characters: `*.example.com` covers `a.example.com` and
 * `b.a.example.com`, not `example.com`. Case does not matter, a port (`example.com:8080`) is ignored.
 */
export function parseHostPattern(host: string): HostPattern {
  const name = host.toLowerCase().replace(/^((?:\[[^\]]*\]|[^:])*):\d+$/, '$1');
  return name.startsWith('*') ? { text: name.slice(1), suffix: true } : { text: name, suffix: false };
}

/** @param host - As a request view has it: lower case, without port. */
export function isHostCovered(patterns: readonly HostPattern[], host: string): boolean {
  for (const { text, suffix } of patterns) {
    if (suffix ? host.endsWith(text) : host === text) return true;
  }
  return false;
}
