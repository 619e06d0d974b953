/** Gives the value of a name. */
type ValueOf = (name: string) => number;

/** An arithmetic expression, compiled. */
export interface Arithmetic {
  /** The names that stand for values, each once. */
  readonly names: readonly string[];
  /** May give NaN or an infinity, as division by zero does. Never throws. */
  readonly evaluate: (valueOf: ValueOf) => number;
}

/** The text is no arithmetic expression. The message says what was expected, and at which character, counted from 1. */
export class ArithmeticSyntaxError extends Error {
  override readonly name = 'ArithmeticSyntaxError';
}

type Evaluate = Arithmetic['evaluate'];

// Both bound how deep the compiled functions call each other.
const maxLength = 4096;
const maxNesting = 100;

const functions: ReadonlyMap<
  string,
  { readonly apply: (...values: number[]) => number; readonly maxArguments: number }
> = new Map([
  ['abs', { apply: Math.abs, maxArguments: 1 }],
  ['ceil', { apply: Math.ceil, maxArguments: 1 }],
  ['floor', { apply: Math.floor, maxArguments: 1 }],
  ['max', { apply: Math.max, maxArguments: Infinity }],
  ['min', { apply: Math.min, maxArguments: Infinity }],
]);

const numeral = /0[xX][\da-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y;
const word = /[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*/y;

/**
 * Compiles an arithmetic expression as Lua writes and means it: numbers, names (with dots as well), parentheses,
 * `+ - * / % ^`, and the functions abs, ceil, floor, max and min, with `math.` in front or without. `^` binds closer than
 * a minus in front of it and groups from the right, and `%` takes the sign of the divisor.
 * https://www.lua.org/manual/5.1/manual.html#2.5
 *
 * @throws ArithmeticSyntaxError for anything else, more than 4096 characters, and nesting beyond 100 levels.
 */
export function parseArithmetic(text: string): Arithmetic {
  if (text.length > maxLength) {
    throw new ArithmeticSyntaxError(`expected at most ${maxLength} characters, got ${text.length}`);
  }
  const parser = new Parser(text);
  const evaluate = parser.parse();
  return { names: [...parser.names], evaluate };
}

/**
 * Recursive descent, one method a rule:
 * ```
 * sum     = product { ("+" | "-") product }
 * product = signed { ("*" | "/" | "%") signed }
 * signed  = "-" signed | power
 * power   = value [ "^" signed ]
 * value   = number | name | function "(" sum { "," sum } ")" | "(" sum ")"
 * ```
 */
class Parser {
  readonly names = new Set<string>();
  readonly #text: string;
  #position = 0;
  #nesting = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): Evaluate {
    const evaluate = this.#sum();
    this.#skipBlank();
    if (this.#position < this.#text.length) throw this.#expected('an operator or the end');
    return evaluate;
  }

  #sum(): Evaluate {
    let left = this.#product();
    for (;;) {
      const before = left;
      if (this.#takes('+')) {
        const right = this.#product();
        left = (valueOf) => before(valueOf) + right(valueOf);
      } else if (this.#takes('-')) {
        const right = this.#product();
        left = (valueOf) => before(valueOf) - right(valueOf);
      } else return left;
    }
  }

  #product(): Evaluate {
    let left = this.#signed();
    for (;;) {
      const before = left;
      if (this.#takes('*')) {
        const right = this.#signed();
        left = (valueOf) => before(valueOf) * right(valueOf);
      } else if (this.#takes('/')) {
        const right = this.#signed();
        left = (valueOf) => before(valueOf) / right(valueOf);
      } else if (this.#takes('%')) {
        const right = this.#signed();
        left = (valueOf) => remainder(before(valueOf), right(valueOf));
      } else return left;
    }
  }

  /** Every way down comes through here, so this is where nesting is counted. */
  #signed(): Evaluate {
    if (++this.#nesting > maxNesting) {
      throw new ArithmeticSyntaxError(`nested deeper than ${maxNesting} levels at position ${this.#position + 1}`);
    }
    const evaluate = this.#takes('-') ? negated(this.#signed()) : this.#power();
    this.#nesting -= 1;
    return evaluate;
  }

  #power(): Evaluate {
    const base = this.#value();
    if (!this.#takes('^')) return base;
    const exponent = this.#signed();
    return (valueOf) => base(valueOf) ** exponent(valueOf);
  }

  #value(): Evaluate {
    const number = this.#match(numeral);
    if (number !== null) {
      const value = Number(number);
      return () => value;
    }
    const name = this.#match(word);
    if (name !== null) return this.#named(name);
    if (!this.#takes('(')) throw this.#expected('a number, a name or "("');
    const inner = this.#sum();
    if (!this.#takes(')')) throw this.#expected('an operator or ")"');
    return inner;
  }

  #named(name: string): Evaluate {
    const start = this.#position - name.length;
    const known = functions.get(name.replace(/^math\./, ''));
    if (known !== undefined) return this.#call(name, known);
    if (name.startsWith('math.') || this.#takes('(')) {
      const list = [...functions.keys()].join(', ');
      throw new ArithmeticSyntaxError(`unknown function "${name}" at position ${start + 1}: expected one of ${list}`);
    }
    this.names.add(name);
    return (valueOf) => valueOf(name);
  }

  #call(
    name: string,
    { apply, maxArguments }: { apply: (...values: number[]) => number; maxArguments: number },
  ): Evaluate {
    if (!this.#takes('(')) throw this.#expected(`"(" behind the function "${name}"`);
    const values = [this.#sum()];
    while (values.length < maxArguments && this.#takes(',')) values.push(this.#sum());
    if (!this.#takes(')')) throw this.#expected(maxArguments === 1 ? 'an operator or ")"' : 'an operator, "," or ")"');
    return (valueOf) => apply(...values.map((value) => value(valueOf)));
  }

  #takes(character: string): boolean {
    this.#skipBlank();
    if (this.#text[this.#position] !== character) return false;
    this.#position += 1;
    return true;
  }

  /** @param pattern - Sticky. */
  #match(pattern: RegExp): string | null {
    this.#skipBlank();
    pattern.lastIndex = this.#position;
    const found = pattern.exec(this.#text)?.[0] ?? null;
    if (found !== null) this.#position += found.length;
    return found;
  }

  #skipBlank(): void {
    while (/\s/.test(this.#text.charAt(this.#position))) this.#position += 1;
  }

  #expected(what: string): ArithmeticSyntaxError {
    const got =
      this.#position < this.#text.length ? `"${this.#text.slice(this.#position, this.#position + 20)}"` : 'the end';
    return new ArithmeticSyntaxError(`expected ${what} at position ${this.#position + 1}, got ${got}`);
  }
}

function negated(evaluate: Evaluate): Evaluate {
  return (valueOf) => -evaluate(valueOf);
}

function remainder(value: number, divisor: number): number {
  return value - Math.floor(value / divisor) * divisor;
}
