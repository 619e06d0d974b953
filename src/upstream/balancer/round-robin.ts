import type { ImmediateBalancer, Picker } from './balancer.ts';
import { greatestCommonDivisor, toShares } from './weights.ts';

/** Counts for all workers. A cell of shared memory is one. */
export interface Counter {
  /** @returns The value before, as a signed number of 32 bits. */
  add(amount: number): number;
}

/** Where the rounds of one group of candidates have got to. */
export interface RoundCounters {
  readonly first: Counter;
  /** Counts the choices after a failure. Among the first ones they would shift the turns, always to the same instance. */
  readonly again: Counter;
}

/** A slot number times a stride has to stay an exact number: 2^26 squared is 2^52. */
const maxCycle = 2 ** 26;
/** Steps of this part of a circle spread best. */
const goldenPart = (Math.sqrt(5) - 1) / 2;
const maxPosition = 2 ** 31 - 1;

/**
 * A round over candidates. It has as many slots as their weights have units together; each step goes `stride` slots on,
 * and as that has no divisor in common with the number of slots, a round visits each of them once:
 *
 *     weights 4 1     slots  A A A A B     stride 3     visited  0 3 1 4 2     picked  A A A B A
 */
interface Round {
  /** By index; 0 for a candidate that takes no part. */
  readonly weights: readonly number[];
  readonly slots: number;
  /** The weight of a slot: what all weights can be divided by. */
  readonly unit: number;
  readonly stride: number;
  /** Where the counter goes back to 0, between two rounds, before it would overflow. */
  readonly restartsAt: number;
}

/**
 * Weighted round robin without any state but counters: over each round, which is as long as the sum of the weights in
 * smallest terms, each candidate is picked exactly as often as its weight says, whichever workers the requests come to.
 *
 * While candidates are excluded, the same holds for those that are left.
 */
export class RoundRobin implements ImmediateBalancer {
  readonly #all: Round;
  readonly #counters: RoundCounters;

  /** @param weights - Whole numbers above 0. Together more than 2^26 in smallest terms: they are rounded. */
  constructor(weights: readonly number[], counters: RoundCounters) {
    this.#all = planRound(toShares(weights, maxCycle));
    this.#counters = counters;
  }

  begin(): Picker {
    return new RoundRobinPicker(this.#all, this.#counters);
  }
}

class RoundRobinPicker implements Picker {
  readonly #all: Round;
  readonly #counters: RoundCounters;
  #counter: Counter;

  constructor(all: Round, counters: RoundCounters) {
    this.#all = all;
    this.#counters = counters;
    this.#counter = counters.first;
  }

  next(excluded: ReadonlySet<number>): number {
    const round = excluded.size === 0 ? this.#all : without(this.#all, excluded);
    const counter = this.#counter;
    this.#counter = this.#counters.again;
    return pick(round, counter);
  }
}

function without({ weights }: Round, excluded: ReadonlySet<number>): Round {
  return planRound(weights.map((weight, index) => (excluded.has(index) ? 0 : weight)));
}

function pick(round: Round, counter: Counter): number {
  const { weights, slots, unit, stride } = round;
  if (slots === 0) return -1;
  // Where there is nothing to choose no turn is taken.
  const position = slots === 1 ? 0 : draw(round, counter);
  let rest = (((position % slots) * stride) % slots) * unit;
  let index = 0;
  for (; rest >= 0; index++) rest -= weights[index] ?? 0;
  return index - 1;
}

function draw({ restartsAt }: Round, counter: Counter): number {
  const position = counter.add(1) >>> 0;
  // Only one worker can meet this very value, and what others have drawn since is kept.
  if (position === restartsAt) counter.add(-restartsAt);
  return position;
}

function planRound(weights: readonly number[]): Round {
  const unit = weights.reduce(greatestCommonDivisor, 0);
  const slots = unit === 0 ? 0 : weights.reduce((sum, weight) => sum + weight, 0) / unit;
  const restartsAt = slots === 0 ? 0 : maxPosition - (maxPosition % slots);
  return { weights, slots, unit, stride: strideFor(slots), restartsAt };
}

/** The number next to the golden part of the slots that has no divisor in common with them. */
function strideFor(slots: number): number {
  const golden = Math.round(slots * goldenPart);
  for (let distance = 0; distance < golden; distance++) {
    if (greatestCommonDivisor(slots, golden - distance) === 1) return golden - distance;
    if (greatestCommonDivisor(slots, golden + distance) === 1) return golden + distance;
  }
  return 1;
}
