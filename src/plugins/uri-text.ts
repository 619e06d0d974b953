/**
 * A decoded path as it stands in a request line: `?`, `#`, `%`, spaces and all that is not plain ASCII is
 * percent-encoded, as UTF-8.
 */
export function encodePath(path: string): string {
  if (/^[\w/.~!$&'()*+,;=:@-]*$/.test(path)) return path;
  return encodeURI(path.toWellFormed()).replaceAll('?', '%3F').replaceAll('#', '%23');
}

/** A URI with what must not stand in a head percent-encoded: control characters, spaces, and what is not ASCII. */
export function toSafeUri(uri: string): string {
  return uri.toWellFormed().replace(/[^\x21-\x7e]+/g, (unsafe) => encodeURIComponent(unsafe));
}

/** Joins a query to a URI that may have one already. */
export function withQuery(uri: string, query: string): string {
  if (query === '') return uri;
  return `${uri}${uri.includes('?') ? '&' : '?'}${query}`;
}
