/**
 * Translates a PCRE pattern, as APISIX's configuration writes them, to a JavaScript RegExp that matches the same texts.
 *
 * Texts are UTF-16 here, where PCRE under nginx sees bytes. What JavaScript has no like for (recursion, conditions, atomic groups,
 * possessive quantifiers, `\K`, the flags x and U, ...) is refused rather than matched differently. A pattern that
 * backtracks without end is the operator's own doing; nothing here prevents it.
 *
 * @throws {SyntaxError} when the pattern is invalid or cannot be translated.
 */
export function compilePcre(pattern: string, options: PcreOptions): RegExp {
  const [leading = '', letters = ''] = /^\(\?([a-zA-Z]+)\)/.exec(pattern) ?? [];
  for (const letter of letters) {
    if (!'ims'.includes(letter)) throw notSupported(`the flag ${letter}`);
  }
  const unicode = options.unicode ?? false;
  const flags = new Set(Array.from(letters + (options.ignoreCase ? 'i' : '') + (unicode ? 'u' : '')));
  const mode: Mode = {
    unicode,
    dot: flags.has('s') ? '.' : '[^\\n]',
    // PCRE's dollar also matches before a last newline.
    dollar: flags.has('m') ? '$' : '(?=\\n?$)',
  };
  return new RegExp(translate(pattern.slice(leading.length), mode), Array.from(flags).join(''));
}

interface PcreOptions {
  readonly ignoreCase: boolean;
  /** PCRE's UTF mode: a character is a code point, and `\p{...}` is known. Default false. */
  readonly unicode?: boolean;
}

interface Mode {
  readonly unicode: boolean;
  readonly dot: string;
  readonly dollar: string;
}

interface Piece {
  readonly source: string;
  /** Where the next piece begins in the PCRE pattern. */
  readonly end: number;
}

function translate(pattern: string, mode: Mode): string {
  let source = '';
  for (let at = 0; at < pattern.length;) {
    const piece = translatePiece(pattern, at, mode);
    source += piece.source;
    at = piece.end;
  }
  return source;
}

function translatePiece(pattern: string, at: number, mode: Mode): Piece {
  const character = pattern.charAt(at);
  switch (character) {
    case '\\':
      return translateEscape(pattern, at, { letters: outsideClass, unicode: mode.unicode });
    case '[':
      return translateClass(pattern, at, mode.unicode);
    case '(':
      return translateGroup(pattern, at);
    case '.':
      return { source: mode.dot, end: at + 1 };
    case '$':
      return { source: mode.dollar, end: at + 1 };
    case '{':
      return translateBrace(pattern, at);
    case '}':
    case ']':
      return { source: `\\${character}`, end: at + 1 };
    default:
      return { source: character, end: at + 1 };
  }
}

/** A quantifier, or a character: JavaScript's Unicode mode wants the character escaped. */
function translateBrace(pattern: string, at: number): Piece {
  const quantifier = /\{\d+(?:,\d*)?\}/y;
  quantifier.lastIndex = at;
  const [source = '\\{'] = quantifier.exec(pattern) ?? [];
  return { source, end: source === '\\{' ? at + 1 : quantifier.lastIndex };
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

interface EscapePlace {
  /** What escaped letters and digits become here. */
  readonly letters: Readonly<Record<string, string>>;
  readonly unicode: boolean;
}

function translateEscape(pattern: string, at: number, { letters, unicode }: EscapePlace): Piece {
  const character = pattern.charAt(at + 1);
  if (character === '') throw new SyntaxError('\\ at the end of the pattern');
  if (character === 'x') return translateHex(pattern, at, unicode);
  if (unicode && (character === 'p' || character === 'P')) return translateProperty(pattern, at);
  if (character === 'Q' && letters === outsideClass) {
    const close = pattern.indexOf('\\E', at + 2);
    const quoted = pattern.slice(at + 2, close === -1 ? pattern.length : close);
    return { source: RegExp.escape(quoted), end: close === -1 ? pattern.length : close + 2 };
  }
  const known = letters[character];
  if (known !== undefined) return { source: known, end: at + 2 };
  if (/[0-9A-Za-z]/.test(character)) throw notSupported(`\\${character}`);
  return { source: escapeMark(character), end: at + 2 };
}

/** Not with a backslash for all: JavaScript's Unicode mode knows that only before characters of its syntax. */
function escapeMark(character: string): string {
  if (/[\^$\\.*+?()[\]{}|/]/.test(character)) return `\\${character}`;
  const code = character.charCodeAt(0);
  return code < 0x80 ? `\\x${code.toString(16).padStart(2, '0')}` : character;
}

/** `\xh`, `\xhh` and `\x{h...}`; without digits it is NUL. */
function translateHex(pattern: string, at: number, unicode: boolean): Piece {
  const hex = /\\x(?:\{(?<braced>[0-9a-fA-F]+)\}|(?<plain>[0-9a-fA-F]{0,2}))/y;
  hex.lastIndex = at;
  const { braced, plain } = hex.exec(pattern)?.groups ?? {};
  const code = Number.parseInt(`0${braced ?? plain ?? ''}`, 16);
  if (code > 0xffff && !unicode) throw notSupported('a character above \\x{ffff}');
  const digits = code.toString(16);
  return { source: code > 0xffff ? `\\u{${digits}}` : `\\u${digits.padStart(4, '0')}`, end: hex.lastIndex };
}

/** `\pL`, `\p{Lu}`, `\p{L&}`, `\p{^Lu}`, `\p{Any}`, and a script's name: `\p{Han}`. */
function translateProperty(pattern: string, at: number): Piece {
  const property = /\\(?<letter>[pP])(?:\{(?<not>\^?)(?<braced>\w+&?)\}|(?<plain>[A-Z]))/y;
  property.lastIndex = at;
  const { letter, not, braced, plain } = property.exec(pattern)?.groups ?? {};
  const name = braced ?? plain;
  if (name === undefined) throw notSupported(pattern.slice(at, at + 3));
  const isCategory = name === 'Any' || /^[A-Z][a-z]?$/.test(name);
  const value = name === 'L&' ? 'LC' : isCategory ? name : `Script=${name}`;
  return { source: `\\${(letter === 'P') === (not === '^') ? 'p' : 'P'}{${value}}`, end: property.lastIndex };
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

function translateClass(pattern: string, at: number, unicode: boolean): Piece {
  const [open = ''] = /^\[\^?/.exec(pattern.slice(at, at + 2)) ?? [];
  let source = open;
  let next = at + open.length;
  // A bracket in the first place is a character of the class.
  for (let first = true; first || pattern.charAt(next) !== ']'; first = false) {
    if (next >= pattern.length) throw new SyntaxError('a character class is not closed');
    const isSet = /^(?:\[:|\\[dDwWsSpPhv])/.test(pattern.slice(next, next + 2));
    const piece = translateClassPiece(pattern, next, unicode);
    source += piece.source;
    next = piece.end;
    // Behind a set a hyphen is a character, not a range.
    if (isSet && pattern.charAt(next) === '-') {
      source += '\\-';
      next++;
    }
  }
  return { source: `${source}]`, end: next + 1 };
}

function translateClassPiece(pattern: string, at: number, unicode: boolean): Piece {
  const character = pattern.charAt(at);
  if (character === '\\') return translateEscape(pattern, at, { letters: insideClass, unicode });
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
