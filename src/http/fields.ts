/**
 * The field lines of one message (RFC 9110, section 5). Names are lower case; values are latin1 strings, one
 * character a byte, exactly as received. Order and repetition are kept.
 */
export class Fields {
  /** name, value, name, value, … A flat list: a lookup of a short list of strings beats building an object. */
  readonly flat: string[];

  constructor(flat: string[] = []) {
    this.flat = flat;
  }

  get size(): number {
    return this.flat.length >> 1;
  }

  /** The first value of `name` (lower case), or undefined. */
  get(name: string): string | undefined {
    const flat = this.flat;
    for (let i = 0; i < flat.length; i += 2) if (flat[i] === name) return flat[i + 1];
    return undefined;
  }

  /** All values of `name` in one, joined by `, ` as RFC 9110 section 5.3 allows (cookies: `; `); undefined when absent. */
  getCombined(name: string, separator = ', '): string | undefined {
    const flat = this.flat;
    let combined: string | undefined;
    for (let i = 0; i < flat.length; i += 2) {
      if (flat[i] !== name) continue;
      combined = combined === undefined ? flat[i + 1] : combined + separator + (flat[i + 1] ?? '');
    }
    return combined;
  }

  /** The last member of a list in a field (lower case): what the last sender has appended; undefined when absent. */
  getLast(name: string): string | undefined {
    const combined = this.getCombined(name);
    return combined?.slice(combined.lastIndexOf(',') + 1).trim();
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }
}
