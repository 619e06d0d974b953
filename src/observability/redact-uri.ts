import { redactFields, redactText } from './redact.ts';

/**
 * A request target or URL without credentials: values of query arguments whose name tells that they are one become
 * `[redacted]`, and so does everything else that looks like a credential.
 */
export function redactUri(uri: string): string {
  const query = uri.indexOf('?');
  return query === -1 ? redactText(uri) : redactText(uri.slice(0, query + 1) + hideArguments(uri.slice(query + 1)));
}

/** {@link redactUri} for a query alone, without `?`. */
export function redactQuery(query: string): string {
  // The rules for URLs know an argument by the mark in front of it.
  return redactText(`?${hideArguments(query)}`).slice(1);
}

/** A query argument's name or value as text; what cannot be decoded stays as it is. */
export function decodeArgument(text: string): string {
  const spaced = text.replaceAll('+', ' ');
  try {
    return decodeURIComponent(spaced);
  } catch {
    return spaced;
  }
}

function hideArguments(query: string): string {
  return query.replace(/([^=&]*)=([^&]*)/g, (argument: string, name: string, value: string) => {
    const decoded = decodeArgument(value);
    const [shown] = Object.values(redactFields({ [decodeArgument(name)]: decoded }));
    return shown === decoded ? argument : `${name}=${String(shown)}`;
  });
}
