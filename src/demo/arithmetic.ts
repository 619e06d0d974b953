const operatorWords: readonly (readonly [RegExp, string])[] = [
  [/\bplus\b/gi, '+'],
  [/\bminus\b/gi, '-'],
  [/\b(?:times|multiplied by)\b|[×·]/gi, '*'],
  [/\bdivided by\b|÷/gi, '/'],
];

/** The pattern below takes cubic time on spaces, and brackets nest on the stack. */
const maxQuestionLength = 120;

/**
 * Answers questions such as `What is 1+1?` and `How much is 12 times (3 - 0.5)?`.
 *
 * @returns One sentence, or null when the question is about something else.
 */
export function answerArithmetic(question: string): string | null {
  if (question.length > maxQuestionLength) return null;
  const symbols = operatorWords.reduce((text, [words, symbol]) => text.replaceAll(words, symbol), question);
  const sum = /^(?:.*\b(?:is|are|calculate|compute|result of|solve)\b)?[\s:]*([-\d.+*/()\s]+?)[\s=?.!]*$/is.exec(
    symbols,
  )?.[1];
  if (sum === undefined || !/\d\)*\s*[-+*/]/.test(sum)) return null;
  const value = new Calculation(sum).result();
  if (value === null) return null;
  const written = sum.replaceAll(/\s/g, '').replaceAll(/(?<=[\d)])([-+*/])/g, ' $1 ');
  if (!Number.isFinite(value)) return `${written} has no result: nothing can be divided by zero.`;
  // Twelve digits hide that 0.1 + 0.2 is not quite 0.3 in binary.
  return `${written} = ${Number(value.toPrecision(12))}`;
}

/** Sums, products, brackets and signs, read from left to right by recursive descent. */
class Calculation {
  readonly #tokens: readonly string[];
  #next = 0;

  constructor(text: string) {
    this.#tokens = text.match(/\d+(?:\.\d+)?|\S/g) ?? [];
  }

  /** @returns Null when the text is no whole expression. */
  result(): number | null {
    const value = this.#sum();
    return this.#next === this.#tokens.length && !Number.isNaN(value) ? value : null;
  }

  #sum(): number {
    let value = this.#product();
    for (;;) {
      if (this.#take('+')) value += this.#product();
      else if (this.#take('-')) value -= this.#product();
      else return value;
    }
  }

  #product(): number {
    let value = this.#factor();
    for (;;) {
      if (this.#take('*')) value *= this.#factor();
      else if (this.#take('/')) value = divide(value, this.#factor());
      else return value;
    }
  }

  /** NaN where something else stands. */
  #factor(): number {
    if (this.#take('-')) return -this.#factor();
    if (this.#take('(')) {
      const value = this.#sum();
      return this.#take(')') ? value : Number.NaN;
    }
    return Number(this.#tokens[this.#next++] ?? Number.NaN);
  }

  #take(token: string): boolean {
    if (this.#tokens[this.#next] !== token) return false;
    this.#next++;
    return true;
  }
}

/** Zero divided by zero has no result either, but NaN stands for a syntax error here. */
function divide(dividend: number, divisor: number): number {
  return divisor === 0 ? Number.POSITIVE_INFINITY : dividend / divisor;
}
