/** A request target, taken apart. */
export interface RequestTarget {
  /** Decoded and normalised; begins with `/`. */
  readonly path: string;
  /** As sent, without `?` and fragment; empty when there is none. */
  readonly query: string;
  /** `host[:port]` of an absolute-form target, which takes precedence over the Host header (RFC 9112, 3.2.2); else null. */
  readonly authority: string | null;
}

const absoluteForm = /^https?:\/\/([^/?#@]+)(?=[/?#]|$)/i;

/**
 * Takes a request target apart and normalises its path in the way nginx makes `$uri`
 * (source: `ngx_http_parse_complex_uri`, `merge_slashes on`):
 *
 * 1. A fragment is cut off; the first `?` ends the path. The query stays as it is.
 * 2. The path is percent-decoded, once. `%2F` becomes a slash like any other, `%3F`, `%23` and `%25` become plain characters,
 *    `+` stays.
 * 3. Several slashes become one; `.` and `..` segments are resolved. A trailing slash stays (`/a/b/..` is `/a/`).
 *
 * The decoded path may hold control characters (`%0A`): encode it anew before it is written into a head.
 *
 * @param rawTarget - Origin-form (`/path?query`) or absolute-form (`http://host/path`).
 * @returns Null where the answer is 400: another form (`*`, `host:port`), user information in the authority, an invalid or
 *   unfinished percent sequence, `%00`, bytes that are not UTF-8, or `..` above the root.
 */
export function normalizePath(rawTarget: string): RequestTarget | null {
  if (rawTarget.charCodeAt(0) === slash) return normalizeOriginForm(rawTarget, null);

  const [prefix, authority] = absoluteForm.exec(rawTarget) ?? [];
  if (prefix === undefined || authority === undefined) return null;
  const rest = rawTarget.slice(prefix.length);
  return normalizeOriginForm(rest.charCodeAt(0) === slash ? rest : `/${rest}`, authority);
}

const hash = 0x23;
const percent = 0x25;
const dot = 0x2e;
const slash = 0x2f;
const questionMark = 0x3f;

function normalizeOriginForm(target: string, authority: string | null): RequestTarget | null {
  let plain = true;
  let pathEnd = 0;
  for (let previous = 0; pathEnd < target.length; pathEnd++) {
    const code = target.charCodeAt(pathEnd);
    if (code === questionMark || code === hash) break;
    if (code === percent || (previous === slash && (code === slash || code === dot))) plain = false;
    previous = code;
  }
  const rawPath = target.slice(0, pathEnd);
  const path = plain ? rawPath : decodeAndResolve(rawPath);
  return path === null ? null : { path, query: cutQuery(target, pathEnd), authority };
}

function cutQuery(target: string, pathEnd: number): string {
  if (target.charCodeAt(pathEnd) !== questionMark) return '';
  const fragment = target.indexOf('#', pathEnd);
  return target.slice(pathEnd + 1, fragment === -1 ? target.length : fragment);
}

function decodeAndResolve(rawPath: string): string | null {
  let decoded: string;
  try {
    decoded = decodeURIComponent(rawPath);
  } catch {
    return null;
  }
  return decoded.includes('\0') ? null : resolveSegments(decoded);
}

function resolveSegments(path: string): string | null {
  const segments = path.split('/');
  const kept: string[] = [];
  for (const segment of segments) {
    if (segment === '..') {
      if (kept.pop() === undefined) return null;
    } else if (segment !== '' && segment !== '.') {
      kept.push(segment);
    }
  }
  const last = segments.at(-1);
  const endsWithSlash = last === '' || last === '.' || last === '..';
  return kept.length > 0 && endsWithSlash ? `/${kept.join('/')}/` : `/${kept.join('/')}`;
}
