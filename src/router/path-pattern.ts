import { noPathParams, type PathParams } from './request-view.ts';

/** A route's uri, compiled. */
export interface PathPattern {
  /** The whole path when `exact`, else what every matching path begins with. */
  readonly literal: string;
  readonly exact: boolean;
  /** Decides and takes out the parameters of a path that begins with `literal`; null where `literal` alone decides. */
  readonly match: ((path: string) => PathParams | null) | null;
}

/**
 * `text`: this segment. `one`: any segment that is not empty. `many`: one or more segments, as few as possible.
 * `open`: a segment that begins with the text, and all after it. Parts without a name (`''`) are not reported.
 */
interface Segment {
  readonly kind: 'text' | 'one' | 'many' | 'open';
  readonly text: string;
  readonly name: string;
}

/**
 * Compiles a route's `uri`.
 *
 * - `/foo` is exact. `/foo*` and `/foo/*` match every path that begins with `/foo` and `/foo/`. As in APISIX, all that follows a
 *   `*` inside a segment is ignored: `/foo*bar` is `/foo*`.
 * - A segment that begins with `*` takes one or more whole segments, at the end of the uri all that are left, also nothing
 *   (`/x/*rest` matches `/x/`).
 * - With `parameters` a segment `:name` takes one segment and `*name` reports what it took; without, `:name` is plain text.
 *
 * @param options.parameters - True in the mode `radixtree_uri_with_parameter`.
 */
export function compilePathPattern(uri: string, options: { readonly parameters: boolean }): PathPattern {
  const { parameters } = options;
  const innerStar = /[^/*]\*/.exec(uri);
  const pattern = innerStar === null ? uri : uri.slice(0, innerStar.index + 1);
  const special = (parameters ? /\/[:*]/ : /\/\*/).exec(pattern);
  if (special === null) return { literal: pattern, exact: innerStar === null, match: null };

  const literal = pattern.slice(0, special.index + 1);
  const texts = pattern.slice(literal.length).split('/');
  const segments = texts.map((text) => toSegment(text, parameters));
  if (innerStar !== null) segments.splice(-1, 1, { kind: 'open', text: texts.at(-1) ?? '', name: '' });

  const [first] = segments;
  if (segments.length === 1 && first?.kind === 'many' && first.name === '') {
    return { literal, exact: false, match: null };
  }
  return { literal, exact: false, match: (path) => matchSegments(segments, path.slice(literal.length).split('/')) };
}

function toSegment(text: string, parameters: boolean): Segment {
  if (text.startsWith('*')) return { kind: 'many', text: '', name: parameters ? text.slice(1) : '' };
  if (parameters && text.startsWith(':')) return { kind: 'one', text: '', name: text.slice(1) };
  return { kind: 'text', text, name: '' };
}

/** Goes back to the last `many` only, as wildcard matching may: never worse than path length times pattern length. */
function matchSegments(pattern: readonly Segment[], path: readonly string[]): PathParams | null {
  const starts: number[] = [];
  let at = 0;
  let position = 0;
  let lastMany = -1;
  let afterMany = 0;
  while (position < path.length) {
    const segment = pattern[at];
    if (segment !== undefined && accepts(segment, path[position] ?? '')) {
      starts[at] = position++;
      if (segment.kind === 'many') {
        lastMany = at;
        afterMany = position;
      }
      if (segment.kind === 'open') position = path.length;
      at++;
    } else if (lastMany !== -1) {
      position = ++afterMany;
      at = lastMany + 1;
    } else {
      return null;
    }
  }
  return at === pattern.length ? takeParams(pattern, path, starts) : null;
}

function accepts(segment: Segment, text: string): boolean {
  switch (segment.kind) {
    case 'text':
      return text === segment.text;
    case 'one':
      return text !== '';
    case 'open':
      return text.startsWith(segment.text);
    case 'many':
      return true;
  }
}

function takeParams(pattern: readonly Segment[], path: readonly string[], starts: readonly number[]): PathParams {
  let params: Record<string, string> | undefined;
  for (const [index, { name }] of pattern.entries()) {
    if (name === '') continue;
    params ??= {};
    params[name] = path.slice(starts[index], starts[index + 1] ?? path.length).join('/');
  }
  return params ?? noPathParams;
}
