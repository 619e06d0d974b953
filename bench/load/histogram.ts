const subBuckets = 256;
const subBucketBits = 8;

/**
 * Counts of durations, in the manner of HdrHistogram: buckets whose width grows with the value, so that every value from
 * 1 microsecond to hours is kept to within 0.4 %, in constant memory.
 */
export class Histogram {
  readonly #counts = new Float64Array(subBuckets * 40);
  #total = 0;
  #max = 0;

  get count(): number {
    return this.#total;
  }

  /** Largest recorded value, exactly. */
  get max(): number {
    return this.#max;
  }

  /** @param micros - Negative values, from clocks that are read in two processes, count as 0. */
  record(micros: number): void {
    const value = Math.max(0, micros);
    const index = indexOf(Math.round(value));
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#total++;
    if (value > this.#max) this.#max = value;
  }

  /**
   * The value that `percent` of all values do not exceed (nearest rank); 0 if nothing was recorded.
   *
   * @param percent - 0 to 100.
   */
  percentile(percent: number): number {
    const rank = Math.max(1, Math.ceil((percent / 100) * this.#total));
    if (rank >= this.#total) return this.#max;
    let seen = 0;
    for (let index = 0; index < this.#counts.length; index++) {
      seen += this.#counts[index] ?? 0;
      if (seen >= rank) return Math.min(valueOf(index), this.#max);
    }
    return this.#max;
  }
}

/** Below 256 each value has its bucket; from there on each power of two has 128. */
function indexOf(value: number): number {
  if (value < subBuckets) return value;
  const shift = Math.floor(Math.log2(value)) - subBucketBits + 1;
  return shift * (subBuckets / 2) + Math.floor(value / 2 ** shift);
}

/** The middle of a bucket. */
function valueOf(index: number): number {
  if (index < subBuckets) return index;
  const shift = Math.floor(index / (subBuckets / 2)) - 1;
  const lowest = (index - shift * (subBuckets / 2)) * 2 ** shift;
  return lowest + (2 ** shift - 1) / 2;
}
