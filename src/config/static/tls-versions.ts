/** Versions of TLS that can be configured. */
export const tlsVersions = ['TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const;

export type ConfiguredTlsVersion = (typeof tlsVersions)[number];

/** Reads `apisix.ssl.ssl_protocols`, a list with spaces between. @returns Null when a version is unknown or there is none. */
export function toTlsVersions(text: string): readonly ConfiguredTlsVersion[] | null {
  const words = text.trim().split(/\s+/);
  return words.every((word): word is ConfiguredTlsVersion => tlsVersions.some((version) => version === word))
    ? words
    : null;
}
