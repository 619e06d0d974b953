/** A longer value is cut, as in APISIX. */
const maxValueBytes = 128;
/** Stands in place of values of which there are too many. */
export const otherValue = '<other>';

/**
 * Labels as they stand in the exposition format: `route="1",node="a"`.
 *
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/
 */
export function labelText(names: readonly string[], values: readonly string[]): string {
  return names.map((name, index) => `${name}="${escapeLabelValue(cutLabelValue(values[index] ?? ''))}"`).join(',');
}

/** The labels of the series for what found no room. */
export function otherLabels(names: readonly string[]): string {
  return labelText(
    names,
    names.map(() => otherValue),
  );
}

export function escapeLabelValue(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

/** The value as a label may hold it: at most 128 bytes of UTF-8, whole characters. */
export function cutLabelValue(value: string): string {
  // A character takes at least a byte: one more tells that there are too many.
  const text = value.slice(0, maxValueBytes + 1).toWellFormed();
  if (text.length * 3 <= maxValueBytes || Buffer.byteLength(text) <= maxValueBytes) return text;
  const bytes = Buffer.alloc(maxValueBytes);
  const { written } = new TextEncoder().encodeInto(text, bytes);
  // Not a slice of the text, which would keep all of it in memory.
  return bytes.toString('utf8', 0, written);
}

/** Values that clients choose: after so many different ones, all others are one. */
export class BoundedValues {
  readonly #limit: number;
  readonly #seen = new Set<string>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether it has been given out. */
  has(value: string): boolean {
    return this.#seen.has(value);
  }

  /** The value itself, cut, or {@link otherValue}. */
  get(value: string): string {
    // It is kept, and a client may have sent megabytes.
    const text = cutLabelValue(value);
    if (text === '' || this.#seen.has(text)) return text;
    if (this.#seen.size >= this.#limit) return otherValue;
    this.#seen.add(text);
    return text;
  }
}
