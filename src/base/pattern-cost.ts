/** How a part of a pattern behaves at one place of a text, at worst. */
interface Cost {
  /** Ways to match: what follows is tried once for each. */
  readonly paths: number;
  /** Characters looked at until all ways are tried. */
  readonly steps: number;
}

/**
 * An upper bound for the work of searching a text, in characters looked at: about 1 to 3 ns each. Backtracking is counted
 * as if everything were tried, so a repetition of something that can match in several ways is never affordable, nor is
 * a reference back to a group.
 *
 * @param source - `RegExp.source` of a valid expression.
 * @param textLength - In UTF-16 units.
 * @returns Infinity when it is beyond all bounds.
 */
export function searchCost(source: string, textLength: number): number {
  return (textLength + 1) * new CostReader(source, textLength).disjunction().steps;
}

// At most some 10 ms. Below that patterns run as they are, without the thread that watches the clock.
const affordableSteps = 4_000_000;

/**
 * Up to which length texts can be searched with all these expressions without watching the clock (docs/decisions/0012).
 *
 * @param sources - `RegExp.source` of each.
 */
export function affordableLength(sources: readonly string[]): number {
  const isAffordable = (length: number): boolean =>
    sources.reduce((sum, source) => sum + searchCost(source, length), 0) <= affordableSteps;
  let affordable = 0;
  for (let step = 2 ** 22; step >= 1; step /= 2) if (isAffordable(affordable + step)) affordable += step;
  return affordable;
}

const groupStart = /\((?:\?(?:<?[=!]|<[^=!>][^>]*>|[a-z]*(?:-[a-z]*)?:))?/y;
const lookaround = /^\(\?<?[=!]/;
const escapeOrClass = /\\[upP]\{[^}]*\}|\\[^]|\[(?:\\[^]|[^\]\\])*\]/y;
const backReference = /^\\(?:[1-9]|k)/;
const quantifier = /(?:[*+?]|\{(?<min>\d+)(?<open>,(?<max>\d*))?\})\??/y;

class CostReader {
  #source: string;
  #textLength: number;
  #at = 0;

  constructor(source: string, textLength: number) {
    this.#source = source;
    this.#textLength = textLength;
  }

  /** Up to the end of the group, or of the pattern. */
  disjunction(): Cost {
    let total = this.#sequence();
    while (this.#source[this.#at] === '|') {
      this.#at++;
      const { paths, steps } = this.#sequence();
      total = { paths: total.paths + paths, steps: total.steps + steps };
    }
    return total;
  }

  #sequence(): Cost {
    // One step for having come here keeps every cost above zero.
    let total: Cost = { paths: 1, steps: 1 };
    while (this.#at < this.#source.length && !')|'.includes(this.#source.charAt(this.#at))) {
      const { paths, steps } = this.#quantified(this.#atom());
      total = { paths: total.paths * paths, steps: total.steps + total.paths * steps };
    }
    return total;
  }

  #atom(): Cost {
    const open = this.#take(groupStart)?.[0];
    if (open !== undefined) {
      const inner = this.disjunction();
      this.#at++;
      // Once a look around has succeeded, its other ways are not tried.
      return lookaround.test(open) ? { paths: 1, steps: inner.steps } : inner;
    }
    const special = this.#take(escapeOrClass)?.[0];
    if (special === undefined) this.#at++;
    else if (backReference.test(special)) return { paths: Infinity, steps: Infinity };
    return { paths: 1, steps: 1 };
  }

  #quantified(atom: Cost): Cost {
    const found = this.#take(quantifier);
    if (found === null) return atom;
    const [min, max] = rangeOf(found, this.#textLength);
    // Every further round starts from each way of the round before.
    const waysOfLast = atom.paths ** max;
    return { paths: (max - min + 1) * waysOfLast, steps: (max + 1) * waysOfLast * atom.steps };
  }

  #take(token: RegExp): RegExpExecArray | null {
    token.lastIndex = this.#at;
    const found = token.exec(this.#source);
    if (found !== null) this.#at = token.lastIndex;
    return found;
  }
}

function rangeOf(found: RegExpExecArray, textLength: number): readonly [min: number, max: number] {
  switch (found[0].charAt(0)) {
    case '?':
      return [0, 1];
    case '*':
      return [0, textLength];
    case '+':
      return [1, Math.max(1, textLength)];
    default: {
      const { min, open, max } = found.groups ?? {};
      const from = Number(min);
      if (open === undefined) return [from, from];
      return [from, max === '' ? Math.max(from, textLength) : Number(max)];
    }
  }
}
