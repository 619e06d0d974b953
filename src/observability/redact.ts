const REDACTED = '[redacted]';

/** Names, reduced to lower-case letters and digits, whose value is a credential. */
const secretName =
  /authorization|(?:api|access|private|admin|client|auth|subscription)key|keyring|serviceaccount|secret|passw|passphrase|cookie|credential|auth$|token$/;

/** Names that end in "token" and are measurements: `time_to_first_token`, `cost_per_token`. */
const measuredToken = /(?:first|per|input|output|prompt|completion)token$/;

/** Query parameters that carry a key in a URL, at some providers simply `key`. */
const urlSecret = /([?&](?:apikey|code|sig|signature|(?:[\w-]+[-_])?(?:key|token|secret)|password)=)[^&\s"'#]+/gi;
const urlUserInfo = /(:\/\/)[^\s/@"']+@/g;
const bearer = /\b(Bearer\s+)[^\s"',;]+/gi;
/** Base64 behind "Basic": something in it that no English word has, so that "Basic configuration" stays. */
const basic = /\b(Basic\s+)(?=\S[A-Za-z0-9+/]*[A-Z0-9+/=])[A-Za-z0-9+/]{6,}={0,2}/g;
/** A field of JSON inside of a text, such as a provider's answer that is quoted; there its quotes may be escaped. */
const jsonSecret =
  /(\\?"[\w-]*(?:authorization|api[-_]?key|access[-_]?key|private[-_]?key|secret|password|token|cookie)\\?"\s*:\s*\\?")[^"\\]+/gi;
/** OpenAI style keys (also half masked by a provider's error text), Google API keys, AWS access key ids. */
const providerKey = /\bsk-[\w*-]{4,}|\bAIza[\w-]{30,}|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g;

/** Replaces everything in a text that looks like a credential. */
export function redactText(text: string): string {
  return text
    .replace(bearer, `$1${REDACTED}`)
    .replace(basic, `$1${REDACTED}`)
    .replace(providerKey, REDACTED)
    .replace(jsonSecret, `$1${REDACTED}`)
    .replace(urlSecret, `$1${REDACTED}`)
    .replace(urlUserInfo, `$1${REDACTED}@`);
}

/** True for names such as `Authorization`, `x-api-key`, `accessToken`; false for `max_tokens` and `time_to_first_token`. */
function isSecretName(name: string): boolean {
  const letters = name.toLowerCase().replace(/[^a-z0-9]/g, '');
  return secretName.test(letters) && !measuredToken.test(letters);
}

/**
 * A copy of a value that is safe to log: plain data without credentials.
 *
 * Fields with the name of a credential become `[redacted]` at any depth, together with all that lies under them
 * (`true`, `false` and `null` stay: they tell that there is one, or none). Texts keep everything but what looks
 * like a credential, see {@link redactText}. Errors become their text, bytes their length, cycles `[circular]`.
 */
export function redact(value: unknown): unknown {
  return redactValue(value, []);
}

/** {@link redact} for a record, of which it is known that the copy is one, too. */
export function redactFields(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return redactEntries(Object.entries(fields), [fields]);
}

function redactValue(value: unknown, ancestors: readonly object[]): unknown {
  if (typeof value === 'string') return redactText(value);
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'function' || typeof value === 'symbol') return `[${typeof value}]`;
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Error) return redactText(String(value));
  if (value instanceof Date) return value.toJSON();
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (ancestors.includes(value)) return '[circular]';

  const path = [...ancestors, value];
  if (Array.isArray(value)) return value.map((item) => redactValue(item, path));
  if (value instanceof Set) return Array.from(value, (item) => redactValue(item, path));
  return redactEntries(value instanceof Map ? value : Object.entries(value), path);
}

function redactEntries(entries: Iterable<[unknown, unknown]>, path: readonly object[]): Record<string, unknown> {
  const copy: [string, unknown][] = [];
  for (const [key, field] of entries) {
    const name = String(key);
    copy.push([redactText(name), isSecretName(name) ? hide(field) : redactValue(field, path)]);
  }
  return Object.fromEntries(copy);
}

function hide(value: unknown): unknown {
  return value === undefined || value === null || typeof value === 'boolean' ? value : REDACTED;
}
