/**
 * Translates a PCRE pattern, as APISIX's configuration writes them, to a JavaScript RegExp that matches the same texts.
 *
 * Texts are UTF-16 here, where PCRE under nginx sees bytes. What JavaScript has no like for (recursion, conditions, atomic groups,
 * possessive quantifiers, `\K`, `\p`, the flags x and U, ...) is refused rather than matched differently. A pattern that
 * backtracks without end is the operator's own doing; nothing here prevents it.
 *
 * @throws {SyntaxError} when the pattern is invalid or cannot be translated.
 */
export function compilePcre(pattern: string, options: { readonly ignoreCase: boolean }): RegExp {
  const [leading = '', letters = ''] = /^\(\?([a-zA-Z]+)\)/.exec(pattern) ?? [];
  for (const letter of letters) {
    if (!'ims'.includes(letter)) throw notSupported(`the flag ${letter}`);
  }
  const flags = new Set(Array.from(options.ignoreCase ? `${letters}i` : letters));
  const anchors: Anchors = {
    dot: flags.has('s') ? '.' : '[^\\n]',
    // PCRE's dollar also matches before a last newline.
    dollar: flags.has('m') ? '$' : '(?=\\n?$)',
  };
  return new RegExp(translate(pattern.slice(leading.length), anchors), Array.from(flags).join(''));
}

interface Anchors {
  readonly dot: string;
  readonly dollar: string;
}

interface Piece {
  readonly source: string;
  /** Where the next piece begins in the PCRE pattern. */
  readonly end: number;
}

function translate(pattern: string, anchors: Anchors): string {
  let source = '';
  for (let at = 0; at < pattern.length;) {
    const piece = translatePiece(pattern, at, anchors);
    source += piece.source;
    at = piece.end;
  }
  return source;
}

function translatePiece(pattern: string, at: number, anchors: Anchors): Piece {
  const character = pattern.charAt(at);
  switch (character) {
    case '\\':
      return translateEscape(pattern, at, outsideClass);
    case '[':
      return translateClass(pattern, at);
    case '(':
      return translateGroup(pattern, at);
    case '.':
      return { source: anchors.dot, end: at + 1 };
    case '$':
      return { source: anchors.dollar, end: at + 1 };
    default:
      return { source: character, end: at + 1 };
  }
}

/** Escapes by letter: those that JavaScript reads alike stand for themselves. Every other letter is refused. */
const alikeEverywhere = asTheyStand('dDwWsSbnrtfc');
const verticalSpace = '\\n\\v\\f\\r';

const outsideClass: Readonly<Record<string, string>> = {
  ...alikeEverywhere,
  ...asTheyStand('B0123456789k'),
  A: '(?<![^])',
  z: '(?![^])',
  Z: '(?=\\n?(?![^]))',
  h: '[\\t ]',
  H: '[^\\t ]',
  v: `[${verticalSpace}]`,
  V: `[^${verticalSpace}]`,
  R: `(?:\\r\\n|[${verticalSpace}])`,
  N: '[^\\n]',
  a: '\\x07',
  e: '\\x1b',
};

const insideClass: Readonly<Record<string, string>> = {
  ...alikeEverywhere,
  ...asTheyStand('01234567'),
  h: '\\t ',
  v: verticalSpace,
  a: '\\x07',
  e: '\\x1b',
};

function asTheyStand(letters: string): Record<string, string> {
  return Object.fromEntries(Array.from(letters, (letter) => [letter, `\\${letter}`]));
}

function translateEscape(pattern: string, at: number, letters: Readonly<Record<string, string>>): Piece {
  const character = pattern.charAt(at + 1);
  if (character === '') throw new SyntaxError('\\ at the end of the pattern');
  if (character === 'x') return translateHex(pattern, at);
  if (character === 'Q' && letters === outsideClass) {
    const close = pattern.indexOf('\\E', at + 2);
    const quoted = pattern.slice(at + 2, close === -1 ? pattern.length : close);
    return { source: RegExp.escape(quoted), end: close === -1 ? pattern.length : close + 2 };
  }
  const known = letters[character];
  if (known !== undefined) return { source: known, end: at + 2 };
  if (/[0-9A-Za-z]/.test(character)) throw notSupported(`\\${character}`);
  return { source: `\\${character}`, end: at + 2 };
}

/** `\xh`, `\xhh` and `\x{h...}`; without digits it is NUL. */
function translateHex(pattern: string, at: number): Piece {
  const hex = /\\x(?:\{(?<braced>[0-9a-fA-F]+)\}|(?<plain>[0-9a-fA-F]{0,2}))/y;
  hex.lastIndex = at;
  const { braced, plain } = hex.exec(pattern)?.groups ?? {};
  const code = Number.parseInt(`0${braced ?? plain ?? ''}`, 16);
  if (code > 0xffff) throw notSupported('a character above \\x{ffff}');
  return { source: `\\u${code.toString(16).padStart(4, '0')}`, end: hex.lastIndex };
}

const posixClasses: Readonly<Record<string, string>> = {
  alnum: '0-9A-Za-z',
  alpha: 'A-Za-z',
  ascii: '\\x00-\\x7f',
  blank: '\\t ',
  cntrl: '\\x00-\\x1f\\x7f',
  digit: '0-9',
  graph: '!-~',
  lower: 'a-z',
  print: ' -~',
  punct: '!-\\/:-@\\[-`{-~',
  space: '\\t-\\r ',
  upper: 'A-Z',
  word: '0-9A-Za-z_',
  xdigit: '0-9A-Fa-f',
};

function translateClass(pattern: string, at: number): Piece {
  const [open = ''] = /^\[\^?/.exec(pattern.slice(at, at + 2)) ?? [];
  let source = open;
  let next = at + open.length;
  // A bracket in the first place is a character of the class.
  for (let first = true; first || pattern.charAt(next) !== ']'; first = false) {
    if (next >= pattern.length) throw new SyntaxError('a character class is not closed');
    const piece = translateClassPiece(pattern, next);
    source += piece.source;
    next = piece.end;
  }
  return { source: `${source}]`, end: next + 1 };
}

function translateClassPiece(pattern: string, at: number): Piece {
  const character = pattern.charAt(at);
  if (character === '\\') return translateEscape(pattern, at, insideClass);
  const posix = /\[:(\^?[a-z]+):\]/y;
  posix.lastIndex = at;
  const name = posix.exec(pattern)?.[1];
  if (name === undefined) return { source: character === ']' ? '\\]' : character, end: at + 1 };
  const members = posixClasses[name];
  if (members === undefined) throw notSupported(`[:${name}:]`);
  return { source: members, end: posix.lastIndex };
}

function translateGroup(pattern: string, at: number): Piece {
  const special =
    /\(\?(?:(?<alike>[:=!]|<[=!]|[im]*(?:-[im]*)?:)|P?<(?<name>\w+)>|'(?<quoted>\w+)'|P=(?<reference>\w+)\)|#[^)]*\))/y;
  special.lastIndex = at;
  const groups = special.exec(pattern)?.groups;
  if (groups === undefined) {
    const lead = pattern.slice(at, at + 3);
    if (lead.startsWith('(?') || lead.startsWith('(*')) throw notSupported(lead);
    return { source: '(', end: at + 1 };
  }
  const { alike, reference } = groups;
  const name = groups['name'] ?? groups['quoted'];
  const end = special.lastIndex;
  if (alike !== undefined) return { source: `(?${alike}`, end };
  if (name !== undefined) return { source: `(?<${name}>`, end };
  // What is left is a comment.
  return { source: reference === undefined ? '' : `\\k<${reference}>`, end };
}

function notSupported(what: string): SyntaxError {
  return new SyntaxError(`${what} is not supported`);
}
