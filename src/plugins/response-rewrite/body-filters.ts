import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib';
import type { BodyRewrite } from '../../http/answer-head.ts';
import { withoutField } from '../../http/field-list.ts';
import { BoundedPattern, compileSubstitute, PatternTimeout, replaceMatch } from '../../router/bounded-pattern.ts';

interface FilterConf {
  readonly regex: string;
  readonly scope: 'once' | 'global';
  readonly replace: string;
  readonly options: string;
}

/** Changes a text in which each character is a byte. @throws PatternTimeout */
type Filter = (text: string) => string;

/** A small body could unfold to any size. */
const maxDecodedBytes = 8 * 1024 * 1024;

/** Fields about the bytes of a body, untrue of another one. */
const aboutBody = ['content-encoding', 'etag', 'last-modified', 'content-md5', 'content-digest', 'repr-digest'];

/**
 * Compiles one of `filters`. Like PCRE in nginx it sees bytes, or with the letter `u` in its options UTF-8.
 *
 * @throws SyntaxError for a pattern, a substitute or options that cannot be used.
 */
export function compileFilter({ regex, scope, replace, options }: FilterConf): Filter {
  const unknown = /[^imsujoa]/.exec(options);
  if (unknown !== null) throw new SyntaxError(`the option ${unknown[0]} is not supported`);
  const unicode = options.includes('u');
  const flags = Array.from('ims')
    .filter((letter) => options.includes(letter))
    .join('');
  const read = (text: string): string => (unicode ? text : Buffer.from(text, 'utf8').toString('latin1'));
  const pattern = new BoundedPattern((flags === '' ? '' : `(?${flags})`) + read(regex), { unicode });
  const substitute = compileSubstitute(read(replace), pattern.groupCount);
  return (bytes) => {
    const text = unicode ? Buffer.from(bytes, 'latin1').toString('utf8') : bytes;
    const first = pattern.exec(text);
    if (first === null) return bytes;
    const replaced = scope === 'global' ? pattern.replaceAll(text, substitute) : replaceMatch(text, first, substitute);
    return unicode ? Buffer.from(replaced, 'utf8').toString('latin1') : replaced;
  };
}

/**
 * Compiles `filters` to a change of whole bodies. One that is coded (gzip, br, deflate) is decoded for it.
 *
 * @param onUndone - Is told why a body passes as it is.
 */
export function compileBodyFilters(filters: readonly FilterConf[], onUndone: (reason: string) => void): BodyRewrite {
  const compiled = filters.map(compileFilter);
  return (body, answer) => {
    const decoded = decode(body, answer.field('content-encoding'));
    if (decoded === null) {
      onUndone('its coding cannot be read');
      return null;
    }
    const before = decoded.toString('latin1');
    let text = before;
    try {
      for (const filter of compiled) text = filter(text);
    } catch (error) {
      if (!(error instanceof PatternTimeout)) throw error;
      onUndone(error.message);
      return null;
    }
    if (text === before) return null;
    answer.fields = withoutBodyFields(answer.fields);
    return Buffer.from(text, 'latin1');
  };
}

/** Without what was only true of the body before it was changed. */
export function withoutBodyFields(fields: readonly string[]): readonly string[] {
  return aboutBody.reduce<readonly string[]>((kept, name) => withoutField(kept, name), fields);
}

function decode(body: Buffer, coding: string | undefined): Buffer | null {
  const limit = { maxOutputLength: maxDecodedBytes };
  try {
    switch (coding?.toLowerCase() ?? 'identity') {
      case 'identity':
        return body;
      case 'gzip':
      case 'x-gzip':
        return gunzipSync(body, limit);
      case 'br':
        return brotliDecompressSync(body, limit);
      case 'deflate':
        return inflateSync(body, limit);
      default:
        return null;
    }
  } catch {
    return null;
  }
}
