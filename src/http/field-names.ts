/**
 * Names that requests and answers of LLM calls usually have. Their strings exist once, so a head that has them makes none,
 * and comparing one with another is comparing addresses.
 */
const usualNames: readonly string[] = [
  'accept',
  'accept-encoding',
  'accept-language',
  'access-control-allow-credentials',
  'access-control-allow-headers',
  'access-control-allow-methods',
  'access-control-allow-origin',
  'access-control-expose-headers',
  'alt-svc',
  'anthropic-beta',
  'anthropic-dangerous-direct-browser-access',
  'anthropic-organization-id',
  'anthropic-version',
  'api-key',
  'apim-request-id',
  'authorization',
  'cache-control',
  'cf-cache-status',
  'cf-ray',
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'cookie',
  'date',
  'etag',
  'expect',
  'forwarded',
  'host',
  'http-referer',
  'idempotency-key',
  'keep-alive',
  'location',
  'openai-beta',
  'openai-model',
  'openai-organization',
  'openai-processing-ms',
  'openai-project',
  'openai-version',
  'origin',
  'pragma',
  'priority',
  'referer',
  'request-id',
  'retry-after',
  'sec-ch-ua',
  'sec-ch-ua-mobile',
  'sec-ch-ua-platform',
  'sec-fetch-dest',
  'sec-fetch-mode',
  'sec-fetch-site',
  'server',
  'server-timing',
  'set-cookie',
  'strict-transport-security',
  'te',
  'trace-id',
  'traceparent',
  'tracestate',
  'transfer-encoding',
  'user-agent',
  'vary',
  'via',
  'x-accel-buffering',
  'x-amzn-requestid',
  'x-api-key',
  'x-content-type-options',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-forwarded-proto',
  'x-goog-api-client',
  'x-goog-api-key',
  'x-ms-client-request-id',
  'x-ms-region',
  'x-ratelimit-limit-requests',
  'x-ratelimit-limit-tokens',
  'x-ratelimit-remaining-requests',
  'x-ratelimit-remaining-tokens',
  'x-ratelimit-reset-requests',
  'x-ratelimit-reset-tokens',
  'x-real-ip',
  'x-request-id',
  'x-stainless-arch',
  'x-stainless-async',
  'x-stainless-lang',
  'x-stainless-os',
  'x-stainless-package-version',
  'x-stainless-retry-count',
  'x-stainless-runtime',
  'x-stainless-runtime-version',
  'x-stainless-timeout',
];

const slotCount = 1024;
const slots: (string | undefined)[] = Array.from({ length: slotCount });
for (const name of usualNames) {
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = addToNameHash(hash, name.charCodeAt(i));
  // A name whose slot is taken is made anew each time, as any other.
  slots[hash % slotCount] ??= name;
}

/** The hash of a name is made of its bytes one by one, from 0 on, in the loop that checks them. Case makes no difference. */
export function addToNameHash(hash: number, byte: number): number {
  return (Math.imul(hash, 33) + (byte | 0x20)) >>> 0;
}

/**
 * @param hash - Of all bytes from `start` to `end`, see {@link addToNameHash}.
 * @returns The name in lower case; null if it is not one of the usual ones.
 */
export function usualFieldName(bytes: Uint8Array, start: number, end: number, hash: number): string | null {
  const name = slots[hash % slotCount];
  if (name === undefined || name.length !== end - start) return null;
  for (let i = 0; i < name.length; i++) {
    const byte = bytes[start + i] ?? 0;
    const lower = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
    if (lower !== name.charCodeAt(i)) return null;
  }
  return name;
}
