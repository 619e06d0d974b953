import { decodeArgument } from './variables.ts';

/** A query string without the arguments of a name, however it is written: `%61pikey` is `apikey`. */
export function withoutArgument(query: string, name: string): string {
  return mapArguments(query, name, () => null);
}

/** A query string in which the values of the arguments of a name are replaced. */
export function withArgumentValue(query: string, name: string, value: string): string {
  return mapArguments(query, name, (key) => `${key}=${value}`);
}

function mapArguments(query: string, name: string, map: (key: string) => string | null): string {
  const kept: string[] = [];
  for (const text of query.split('&')) {
    const key = text.split('=', 1)[0] ?? '';
    const mapped = decodeArgument(key) === name ? map(key) : text;
    if (mapped !== null) kept.push(mapped);
  }
  return kept.join('&');
}
