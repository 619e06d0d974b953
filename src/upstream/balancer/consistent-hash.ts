import type { RequestView } from '../../router/request-view.ts';
import type { Candidate, ImmediateBalancer, Picker } from './balancer.ts';
import { toShares } from './weights.ts';

/** Points on the ring for a candidate of the smallest weight, as in Ketama. */
const pointsPerShare = 160;
/** With large weights in odd proportions, or very many candidates, there are fewer for each. A full ring takes 512 KiB. */
const maxPoints = 2 ** 16;
/** More than there are candidates. A hash of 32 bits and such a number make one exact number. */
const maxCandidates = 2 ** 20;

/**
 * Candidates on a circle of hashes, each at as many points as its weight asks for. A key belongs to the first point at or
 * behind its own hash:
 *
 *     ... --A----C--k-->B---A--B--- ...     the key k belongs to B; while B is excluded, to A
 */
interface Ring {
  /** Ascending. */
  readonly hashes: Uint32Array;
  /** Index of the candidate, by point. */
  readonly owners: Uint32Array;
  readonly candidateCount: number;
}

/**
 * Sends requests with equal keys to the same candidate. All of them stay on the ring whatever their health: only the keys
 * of the one that is excluded go elsewhere, each to the next point of another one. Points depend on names and weights
 * alone, so all workers agree, and a restart changes nothing.
 */
export class ConsistentHash implements ImmediateBalancer {
  readonly #ring: Ring;
  readonly #keyOf: (view: RequestView) => string;

  /** @param candidates - With weights above 0. */
  constructor(candidates: readonly Candidate[], keyOf: (view: RequestView) => string) {
    this.#ring = createRing(candidates);
    this.#keyOf = keyOf;
  }

  begin(view: RequestView): Picker {
    return new RingWalk(this.#ring, hashOf(this.#keyOf(view)));
  }
}

class RingWalk implements Picker {
  readonly #ring: Ring;
  #at: number;

  constructor(ring: Ring, hash: number) {
    this.#ring = ring;
    this.#at = firstAtOrBehind(ring.hashes, hash);
  }

  next(excluded: ReadonlySet<number>): number {
    const { owners, candidateCount } = this.#ring;
    if (excluded.size >= candidateCount) return -1;
    for (let passed = 0; passed < owners.length; passed++) {
      const owner = owners[this.#at];
      if (owner !== undefined && !excluded.has(owner)) return owner;
      this.#at = (this.#at + 1) % owners.length;
    }
    return -1;
  }
}

/** 0, the next one on a circle, behind the last. */
function firstAtOrBehind(hashes: Uint32Array, hash: number): number {
  let low = 0;
  let high = hashes.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((hashes[middle] ?? 0) < hash) low = middle + 1;
    else high = middle;
  }
  return low === hashes.length ? 0 : low;
}

function createRing(candidates: readonly Candidate[]): Ring {
  const weights = candidates.map(({ weight }) => weight);
  const shares = toShares(weights, Math.max(maxPoints, 2 * candidates.length));
  const total = shares.reduce((sum, share) => sum + share, 0);
  const pointsEach = Math.max(1, Math.min(pointsPerShare, Math.floor(maxPoints / total)));
  // Names, not places in a list, decide between equal hashes.
  const byName = [...candidates.keys()].sort((a, b) => compare(candidates[a]?.name ?? '', candidates[b]?.name ?? ''));
  const points = new Float64Array(total * pointsEach);
  let count = 0;
  for (const [rank, index] of byName.entries()) {
    const name = candidates[index]?.name ?? '';
    const end = count + (shares[index] ?? 0) * pointsEach;
    // One number for hash and rank: typed arrays sort numbers at once.
    for (let i = 0; count < end; i++) points[count++] = hashOf(`${name}-${i}`) * maxCandidates + rank;
  }
  points.sort();
  return {
    hashes: Uint32Array.from(points, (point) => Math.floor(point / maxCandidates)),
    owners: Uint32Array.from(points, (point) => byName[point % maxCandidates] ?? 0),
    candidateCount: candidates.length,
  };
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/**
 * A hash of 32 bits: FNV-1a over the text's UTF-16 units, its bits mixed at the end by MurmurHash3's finalizer, because
 * names that differ in their last digit only would stand side by side.
 * https://www.rfc-editor.org/rfc/rfc9923 https://github.com/aappleby/smhasher/blob/master/src/MurmurHash3.cpp
 */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
