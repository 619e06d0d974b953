/**
 * Fields about one connection, not about the message: never forwarded (RFC 9110, section 7.6.1). Those that the
 * Connection field names come on top, and every name that begins with `proxy-`.
 */
export const hopByHopNames: readonly string[] = [
  'connection',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];

/** Fields that carry a caller's key: Authorization and the key headers that LLM providers and gateways use. */
export const credentialNames: readonly string[] = [
  'authorization',
  'api-key',
  'apikey',
  'x-api-key',
  'x-goog-api-key',
  'x-amz-security-token',
  'ocp-apim-subscription-key',
];

/** Fields in which the gateway tells an upstream who sends the request. A client's own are never believed. */
export const consumerHeaderNames: readonly string[] = [
  'x-consumer-username',
  'x-credential-identifier',
  'x-consumer-custom-id',
];

const noNames: readonly string[] = [];

/**
 * May a field travel on? Not if it is in `dropped`, if the message's Connection field names it, or if it is a `proxy-*`
 * one. Asked for every field of every request and response.
 *
 * @param name - In lower case, as the names in `connection`.
 * @param connection - Default: none. Of requests those that it names are gone before plugins see them.
 */
export function isForwarded(
  name: string,
  dropped: ReadonlySet<string>,
  connection: readonly string[] = noNames,
): boolean {
  return !dropped.has(name) && !name.startsWith('proxy-') && !connection.includes(name);
}

/** The names that a Connection field lists, in lower case; of `keep-alive`, which is a hop-by-hop name anyway, nothing is made. */
export function listedNames(connection: string | undefined): readonly string[] {
  if (connection === undefined || connection === 'keep-alive') return noNames;
  return connection.toLowerCase().split(/[ \t]*,[ \t]*/);
}
