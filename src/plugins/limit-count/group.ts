import type { Log } from '../../base/log.ts';
import type { LimitCountConf } from './schema.ts';

interface Member {
  /** The route. */
  readonly owner: string;
  readonly conf: LimitCountConf;
  /** What is there as long as the route has this configuration. */
  readonly user: object;
}

interface KnownMember {
  readonly limits: string;
  readonly user: WeakRef<object>;
}

/** By group and owner. */
const groups = new Map<string, Map<string, KnownMember>>();

/** Routes of one group with different limits are a mistake, or a change that has not come to all of them yet. */
export function warnOfDifferentLimits(group: string, { owner, conf, user }: Member, log: Log): void {
  const { count, time_window, rules, key, key_type, policy } = conf;
  const limits = JSON.stringify([count, time_window, rules, key, key_type, policy]);
  for (const members of groups.values()) members.delete(owner);
  const members = groups.get(group) ?? new Map<string, KnownMember>();
  groups.set(group, members);
  const others: string[] = [];
  for (const [other, known] of members) {
    if (known.user.deref() === undefined) members.delete(other);
    else if (known.limits !== limits) others.push(other);
  }
  members.set(owner, { limits, user: new WeakRef(user) });
  if (others.length === 0) return;
  log.warn('limit-count: routes of a group have different limits for the counters that they share', {
    group,
    routes: [...others, owner],
  });
}
