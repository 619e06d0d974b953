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
  return names.map((name, index) => `${name}="${escapeLabelValue(cut(values[index] ?? ''))}"`).join(',');
}

export function escapeLabelValue(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

/** At most so many bytes of UTF-8, whole characters. */
function cut(value: string): string {
  const text = value.toWellFormed();
  if (text.length * 3 <= maxValueBytes || Buffer.byteLength(text) <= maxValueBytes) return text;
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(maxValueBytes));
  return text.slice(0, read);
}

/** Values that clients choose: after so many different ones, all others are one. */
export class BoundedValues {
  readonly #limit: number;
  readonly #seen = new Set<string>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The value itself, or {@link otherValue}. */
  get(value: string): string {
    if (value === '' || this.#seen.has(value)) return value;
    if (this.#seen.size >= this.#limit) return otherValue;
    this.#seen.add(value);
    return value;
  }
}
