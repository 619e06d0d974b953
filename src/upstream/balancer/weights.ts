/** The largest whole number that divides both; `gcd(0, n)` is n. */
export function greatestCommonDivisor(a: number, b: number): number {
  let [large, small] = [a, b];
  while (small !== 0) [large, small] = [small, large % small];
  return large;
}

/**
 * The smallest whole numbers in the proportions of the weights: 10 and 5 become 2 and 1.
 *
 * @param weights - Whole numbers above 0.
 * @param maxTotal - The sum stays below it, at the price of exact proportions; more than there are weights.
 */
export function toShares(weights: readonly number[], maxTotal: number): number[] {
  const unit = weights.reduce(greatestCommonDivisor, 0);
  const shares = weights.map((weight) => weight / unit);
  const total = shares.reduce((sum, share) => sum + share, 0);
  if (total <= maxTotal) return shares;
  const room = maxTotal - shares.length;
  // Divided twice, because the sum of weights near the largest number there is would be Infinity.
  const largest = Math.max(...shares);
  const relativeTotal = shares.reduce((sum, share) => sum + share / largest, 0);
  return shares.map((share) => 1 + Math.floor((share / largest / relativeTotal) * room));
}
