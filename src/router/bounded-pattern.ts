import { affordableLength } from '../base/pattern-cost.ts';
import { finishesWithin } from '../base/time-bound.ts';
import { compilePcre } from './pcre.ts';

/** For one text. */
const budgetMs = 50;
/** Replacing a match costs as much as looking at so many characters. */
const charactersPerMatch = 50;

/** A pattern took too long for a text, or ran out of stack. */
export class PatternTimeout extends Error {
  constructor() {
    super(`a pattern took longer than ${budgetMs} ms`);
    this.name = 'PatternTimeout';
  }
}

interface PatternOptions {
  readonly ignoreCase?: boolean;
  /** See `compilePcre`. */
  readonly unicode?: boolean;
}

/** What is put in the place of a match: literal texts, and numbers of groups between them (0: the whole match). */
type Substitute = readonly (string | number)[];

/**
 * A PCRE pattern of the configuration, for texts that clients choose: it backtracks against a clock where it could take
 * long (docs/decisions/0012).
 */
export class BoundedPattern {
  readonly #regex: RegExp;
  readonly #affordableLength: number;

  /** @throws SyntaxError see `compilePcre`. */
  constructor(pattern: string, options: PatternOptions = {}) {
    this.#regex = compilePcre(pattern, { ignoreCase: options.ignoreCase ?? false, unicode: options.unicode ?? false });
    this.#affordableLength = affordableLength([this.#regex.source]);
  }

  /** How many groups it captures. */
  get groupCount(): number {
    return (new RegExp(`${this.#regex.source}|`, this.#regex.flags).exec('')?.length ?? 1) - 1;
  }

  /** @throws PatternTimeout */
  exec(text: string): RegExpExecArray | null {
    let found: RegExpExecArray | null = null;
    this.#run(text.length, () => {
      found = this.#regex.exec(text);
    });
    return found;
  }

  /**
   * The text with the substitute in place of every match.
   *
   * @throws PatternTimeout
   */
  replaceAll(text: string, substitute: Substitute): string {
    let replaced = '';
    // Not `String.replace`, which the clock cannot interrupt between two matches.
    this.#run(text.length * charactersPerMatch, () => {
      let at = 0;
      for (const match of text.matchAll(new RegExp(this.#regex.source, `${this.#regex.flags}g`))) {
        replaced += text.slice(at, match.index) + fillSubstitute(substitute, match);
        at = match.index + match[0].length;
      }
      replaced += text.slice(at);
    });
    return replaced;
  }

  #run(textLength: number, task: () => void): void {
    if (textLength <= this.#affordableLength) task();
    else if (!finishesWithin(budgetMs, task)) throw new PatternTimeout();
  }
}

/**
 * Compiles the text that takes the place of a match, as `ngx.re.sub` reads it: `$1` and `${1}` are groups, `$0` is the
 * match, `$$` is a dollar.
 *
 * @param groupCount - Of the pattern.
 * @throws SyntaxError for any other dollar, and for a group that the pattern does not have.
 * @see https://github.com/openresty/lua-nginx-module#ngxresub
 */
export function compileSubstitute(text: string, groupCount: number): Substitute {
  const parts: (string | number)[] = [];
  let at = 0;
  for (const match of text.matchAll(/\$(?:(\d+)|\{(\d+)\}|(\$)|)/g)) {
    const [whole, plain, braced, dollar] = match;
    const number = plain ?? braced;
    if (number === undefined && dollar === undefined) {
      throw new SyntaxError(`expected $1, \${1} or $$ at ${JSON.stringify(text.slice(match.index))}`);
    }
    if (Number(number ?? 0) > groupCount) throw new SyntaxError(`the pattern has no group ${number}`);
    parts.push(text.slice(at, match.index), number === undefined ? '$' : Number(number));
    at = match.index + whole.length;
  }
  parts.push(text.slice(at));
  return parts.filter((part) => part !== '');
}

/** The text with the substitute in place of one match. */
export function replaceMatch(text: string, match: RegExpExecArray, substitute: Substitute): string {
  const end = match.index + match[0].length;
  return text.slice(0, match.index) + fillSubstitute(substitute, match) + text.slice(end);
}

/** A group that took no part is empty. */
function fillSubstitute(substitute: Substitute, groups: readonly (string | undefined)[]): string {
  let text = '';
  for (const part of substitute) text += typeof part === 'number' ? (groups[part] ?? '') : part;
  return text;
}
