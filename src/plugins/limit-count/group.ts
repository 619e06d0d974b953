import type { Log } from '../../base/log.ts';
import type { LimitCountConf } from './schema.ts';

interface Member {
  readonly owner: string;
  readonly conf: LimitCountConf;
  readonly log: Log;
}

/** By group: the member that was configured last, and what makes its limits. */
const latest = new Map<string, { readonly owner: string; readonly limits: string }>();

/** Routes of one group with different limits are a mistake, or a change that has not come to all of them yet. */
export function warnOfDifferentGroup(group: string, { owner, conf, log }: Member): void {
  const { count, time_window, rules, key, key_type, policy } = conf;
  const limits = JSON.stringify([count, time_window, rules, key, key_type, policy]);
  const other = latest.get(group);
  latest.set(group, { owner, limits });
  if (other === undefined || other.owner === owner || other.limits === limits) return;
  log.warn('limit-count: two routes of a group have different limits for the counters that they share', {
    group,
    routes: [other.owner, owner],
  });
}
