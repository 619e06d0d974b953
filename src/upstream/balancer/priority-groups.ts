import type { RequestView } from '../../router/request-view.ts';
import type { Candidate, ImmediateBalancer, Picker } from './balancer.ts';

/** A candidate among others that may be preferred to it. */
export interface RankedCandidate extends Candidate {
  /** Larger numbers first. */
  readonly priority: number;
}

/** Candidates between which only weights decide. */
export interface CandidateGroup {
  /** Unique among the groups. */
  readonly name: string;
  /** By their index among all. */
  readonly members: readonly number[];
  /** Of weight 0, all of them: nothing else is left. */
  readonly isReserve: boolean;
}

/**
 * Sorts candidates into groups, the preferred one first: by priority, larger numbers first. Those of weight 0 come after
 * all others, whatever their priority, for they get nothing while others can take it.
 */
export function groupByPriority(candidates: readonly RankedCandidate[]): CandidateGroup[] {
  const isReserve = (index: number): boolean => candidates[index]?.weight === 0;
  const priorityOf = (index: number): number => candidates[index]?.priority ?? 0;
  const nameOf = (index: number): string => `${isReserve(index) ? 'reserve' : 'priority'} ${priorityOf(index)}`;
  const sorted = [...candidates.keys()].sort(
    (a, b) => Number(isReserve(a)) - Number(isReserve(b)) || priorityOf(b) - priorityOf(a),
  );
  return Array.from(Map.groupBy(sorted, nameOf), ([name, members]) => ({
    name,
    members,
    isReserve: members.every(isReserve),
  }));
}

interface BalancedGroup {
  readonly members: readonly number[];
  /** Knows candidates by their place in `members`. */
  readonly balancer: ImmediateBalancer;
}

/** Asks the first group first, and the next one when it has nobody left. */
export class PriorityGroups implements ImmediateBalancer {
  readonly #groups: readonly BalancedGroup[];

  /** @param groups - Of {@link groupByPriority}, in that order. */
  constructor(groups: readonly BalancedGroup[]) {
    this.#groups = groups;
  }

  begin(view: RequestView): Picker {
    return new GroupPicker(this.#groups, view);
  }
}

const nobody: ReadonlySet<number> = new Set();

class GroupPicker implements Picker {
  readonly #groups: readonly BalancedGroup[];
  readonly #view: RequestView;
  readonly #pickers: Picker[] = [];

  constructor(groups: readonly BalancedGroup[], view: RequestView) {
    this.#groups = groups;
    this.#view = view;
  }

  next(excluded: ReadonlySet<number>): number {
    for (const [at, { members, balancer }] of this.#groups.entries()) {
      const excludedMembers = excluded.size === 0 ? nobody : placesOf(excluded, members);
      if (excludedMembers.size === members.length) continue;
      const picker = (this.#pickers[at] ??= balancer.begin(this.#view));
      return members[picker.next(excludedMembers)] ?? -1;
    }
    return -1;
  }

  release(index: number, elapsedMs: number): void {
    for (const [at, { members }] of this.#groups.entries()) {
      const place = members.indexOf(index);
      if (place !== -1) this.#pickers[at]?.release?.(place, elapsedMs);
    }
  }
}

function placesOf(excluded: ReadonlySet<number>, members: readonly number[]): ReadonlySet<number> {
  const places = new Set<number>();
  for (const [place, member] of members.entries()) if (excluded.has(member)) places.add(place);
  return places;
}
