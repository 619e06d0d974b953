/** A direction: an embedding scaled to the length 1, so that the cosine of two of them is a sum of products. */
export type UnitVector = Float32Array;

/** @returns Null for what has no direction: nothing but zeros, or numbers too large to be squared. */
export function toUnitVector(numbers: readonly number[]): UnitVector | null {
  const length = Math.sqrt(numbers.reduce((sum, number) => sum + number * number, 0));
  if (length === 0 || !Number.isFinite(length)) return null;
  return Float32Array.from(numbers, (number) => number / length);
}

/**
 * The cosine of the angle between two directions of equal dimensions: 1 for the same, 0 for unrelated, -1 for opposite ones.
 * Exact to six decimals, which is what it is rounded to: a threshold of 1 is met by a text that is the example itself.
 */
export function cosine(a: UnitVector, b: UnitVector): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return Math.max(-1, Math.min(1, Math.round(sum * 1e6) / 1e6));
}
