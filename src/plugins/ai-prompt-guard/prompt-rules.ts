import { affordableLength } from '../../base/pattern-cost.ts';
import { finishesWithin } from '../../base/time-bound.ts';
import { compilePcre } from '../../router/pcre.ts';

/** For all patterns of a request together. */
const budgetMs = 50;

/** What the patterns say about a text. `undecided`: they took too long; with the pattern that ran then. */
export type PromptVerdict =
  | { readonly is: 'accepted' | 'not allowed' | 'denied' }
  | { readonly is: 'undecided'; readonly pattern: string };

interface NamedPattern {
  /** `deny_patterns[0]` */
  readonly name: string;
  readonly regex: RegExp;
}

const accepted: PromptVerdict = { is: 'accepted' };
const notAllowed: PromptVerdict = { is: 'not allowed' };
const denied: PromptVerdict = { is: 'denied' };

/** The patterns of one configuration. Judges a text in bounded time, whatever pattern and text are. */
export class PromptRules {
  #allow: readonly NamedPattern[];
  #deny: readonly NamedPattern[];
  /** Texts up to this length are affordable without a clock. */
  #affordableLength: number;

  /** @throws SyntaxError for a pattern that {@link checkPattern} refuses. */
  constructor(conf: { readonly allow_patterns: readonly string[]; readonly deny_patterns: readonly string[] }) {
    this.#allow = compileAll('allow_patterns', conf.allow_patterns);
    this.#deny = compileAll('deny_patterns', conf.deny_patterns);
    this.#affordableLength = affordableLength([...this.#allow, ...this.#deny].map(({ regex }) => regex.source));
  }

  judge(text: string): PromptVerdict {
    if (text.length <= this.#affordableLength) return this.#apply(text, () => {});
    let running = '';
    let verdict = accepted;
    const finished = finishesWithin(budgetMs, () => {
      verdict = this.#apply(text, (name) => (running = name));
    });
    return finished ? verdict : { is: 'undecided', pattern: running };
  }

  #apply(text: string, onPattern: (name: string) => void): PromptVerdict {
    const matches = ({ name, regex }: NamedPattern): boolean => {
      onPattern(name);
      return regex.test(text);
    };
    if (this.#allow.length > 0 && !this.#allow.some(matches)) return notAllowed;
    return this.#deny.some(matches) ? denied : accepted;
  }
}

/** @returns What is wrong with a pattern; null if nothing is. */
export function checkPattern(pattern: string): string | null {
  try {
    compile(pattern);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function compile(pattern: string): RegExp {
  return compilePcre(pattern, { ignoreCase: false, unicode: true });
}

function compileAll(field: string, patterns: readonly string[]): NamedPattern[] {
  return patterns.map((pattern, index) => ({ name: `${field}[${index}]`, regex: compile(pattern) }));
}
