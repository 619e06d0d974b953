import type { RequestContext, TokenQuota } from '../../pipeline/context.ts';
import type { Picker } from '../../upstream/balancer/balancer.ts';
import type { GroupMember } from './instance-group.ts';

/** The instances that one request is sent to, one after the other, none of them twice. */
export class Selection {
  readonly #members: readonly GroupMember[];
  readonly #picker: Picker;
  /** Tried, or without quota. */
  readonly #spent = new Set<number>();

  constructor(members: readonly GroupMember[], picker: Picker) {
    this.#members = members;
    this.#picker = picker;
  }

  /**
   * The instance whose turn it is. Unhealthy ones are passed over, unless all of them are.
   *
   * @param quota - Instances for which it has no room are passed over; null: it does not matter.
   * @returns Null: none is left. A Promise only where the quota has to be asked of a server.
   */
  next(ctx: RequestContext, quota: TokenQuota | null): GroupMember | null | Promise<GroupMember | null> {
    for (;;) {
      const index = this.#picker.next(this.#unusable());
      const member = this.#members[index];
      if (member === undefined) return null;
      this.#spent.add(index);
      if (quota === null) return member;
      const hasRoom = quota.hasRoom(ctx, member.llm.target.instanceName);
      if (hasRoom instanceof Promise) return hasRoom.then((late) => (late ? member : this.next(ctx, quota)));
      if (hasRoom) return member;
    }
  }

  #unusable(): ReadonlySet<number> {
    let unhealthy: number[] | null = null;
    for (const [index, { health }] of this.#members.entries()) if (!health.healthy) (unhealthy ??= []).push(index);
    if (unhealthy === null || unhealthy.length === this.#members.length) return this.#spent;
    return new Set([...this.#spent, ...unhealthy]);
  }
}
