import { redactText } from '../../observability/redact.ts';

/**
 * A request target as logs may show it: without the values of `auth.query` and whatever else looks like a credential.
 *
 * @param uri - Path and query, as sent to the provider.
 * @param secretNames - Names of query arguments, decoded.
 */
export function loggedUri(uri: string, secretNames: ReadonlySet<string>): string {
  if (!uri.includes('?')) return uri;
  const hidden = uri.replace(/([?&])([^=&]*)=[^&]*/g, (argument: string, mark: string, name: string) =>
    secretNames.has(decode(name)) ? `${mark}${name}=[redacted]` : argument,
  );
  return redactText(hidden);
}

function decode(name: string): string {
  try {
    return decodeURIComponent(name.replaceAll('+', ' '));
  } catch {
    return name;
  }
}
