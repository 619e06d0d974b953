import type { Log } from '../../base/log.ts';
import type { Candidate, ImmediateBalancer } from './balancer.ts';
import { ConsistentHash } from './consistent-hash.ts';
import { compileHashKey, type HashKeyConf } from './hash-key.ts';
import { groupByPriority, PriorityGroups, type RankedCandidate } from './priority-groups.ts';
import { LeastConnections, type RunningCount } from './least-connections.ts';
import { MovingAverage } from './moving-average.ts';
import { RoundRobin, type Counter } from './round-robin.ts';

/** How requests are spread: the fields of APISIX's `balancer`, as far as they concern these algorithms. */
export interface BalancerConf extends HashKeyConf {
  readonly algorithm: keyof typeof algorithms;
}

interface BalancerParts {
  /** Begins the names of this balancer's counters: one text for each place in the configuration, the same in all workers. */
  readonly name: string;
  /** Where the workers count together. */
  readonly cells: { open(name: string): SharedCell };
  /** For `least_conn`. */
  readonly running: { open(name: string): RunningCount };
  /** For requests that have no key. */
  readonly log: Log;
  /** For `ewma`. Default: that of the system, and its clock. */
  readonly random?: () => number;
  readonly now?: () => number;
}

/** A whole number of 32 bits that all workers see. */
interface SharedCell extends Counter {
  load(): number;
  store(value: number): void;
}

/** Makes the balancer of one group; its candidates have weights above 0. */
type CreateForGroup = (candidates: readonly Candidate[], groupName: string) => ImmediateBalancer;
type Algorithm = (conf: BalancerConf, parts: BalancerParts) => CreateForGroup;

/** Every algorithm that Weir has for any kind of candidates: the only list. */
const algorithms = {
  roundrobin: (_conf, parts) => (candidates, groupName) => takeTurns(candidates, groupName, parts),
  chash(conf, parts) {
    const keyOf = compileHashKey(conf, parts);
    return (candidates) => new ConsistentHash(candidates, keyOf);
  },
  least_conn: (_conf, parts) => (candidates, groupName) => {
    const running = candidates.map((candidate) => parts.running.open(`${parts.name} running ${candidate.name}`));
    return new LeastConnections(candidates, running, takeTurns(candidates, groupName, parts));
  },
  ewma:
    (_conf, { name, cells, random = Math.random, now = Date.now }) =>
    (candidates) => {
      const latencies = candidates.map((candidate) => ({
        average: cells.open(`${name} latency ${candidate.name}`),
        writtenAt: cells.open(`${name} latency of ${candidate.name} at`),
      }));
      return new MovingAverage(latencies, { random, now });
    },
} satisfies Record<string, Algorithm>;

function takeTurns(candidates: readonly Candidate[], groupName: string, { name, cells }: BalancerParts): RoundRobin {
  const weights = candidates.map(({ weight }) => weight);
  const [first, again] = [`${name} ${groupName} first`, `${name} ${groupName} again`];
  return new RoundRobin(weights, { first: cells.open(first), again: cells.open(again) });
}

/** Makes the balancer of one place in the configuration: the algorithm within each priority. */
export function createBalancer(
  candidates: readonly RankedCandidate[],
  conf: BalancerConf,
  parts: BalancerParts,
): ImmediateBalancer {
  const algorithm: Algorithm = algorithms[conf.algorithm];
  const createForGroup = algorithm(conf, parts);
  const groups = groupByPriority(candidates).map(({ name, members, isReserve }) => {
    if (members.length === 1) return { members, balancer: loneCandidate };
    const group = members.flatMap((index) => candidates[index] ?? []);
    const weighted = isReserve ? group.map((candidate) => ({ ...candidate, weight: 1 })) : group;
    return { members, balancer: createForGroup(weighted, name) };
  });
  const [only, ...others] = groups;
  return only !== undefined && others.length === 0 ? only.balancer : new PriorityGroups(groups);
}

/** For a group of one there is nothing to compute. */
const loneCandidate: ImmediateBalancer = {
  begin: () => ({ next: (excluded) => (excluded.has(0) ? -1 : 0) }),
};
