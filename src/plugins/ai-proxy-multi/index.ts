import { WeirError } from '../../base/errors.ts';
import type { RequestContext } from '../../pipeline/context.ts';
import { definePlugin, type StepResult } from '../../pipeline/define-plugin.ts';
import { refusal, type Reply } from '../../pipeline/reply.ts';
import type { Picker } from '../../upstream/balancer/balancer.ts';
import { chooseTarget, type ChooseTarget } from '../ai-proxy/choose-target.ts';
import type { LlmRequest } from '../ai-proxy/llm-request.ts';
import { writeLlmLog } from '../ai-proxy/llm-log-record.ts';
import { checkConfiguration } from './check-configuration.ts';
import { healthChecksOf } from './health-checks.ts';
import { createInstanceGroup, type GroupMember, type InstanceGroup } from './instance-group.ts';
import { MultiTarget } from './multi-target.ts';
import { aiProxyMultiSchema } from './schema.ts';
import { Selection } from './selection.ts';

/** Sends LLM calls of a route to one of several instances, and to another one when that fails. */
export const aiProxyMulti = definePlugin({
  name: 'ai-proxy-multi',
  priority: 1041,
  version: 0.5,
  summary: 'Spreads requests over several LLM instances, with fallback, health checks and quotas.',
  schema: aiProxyMultiSchema,
  check: checkConfiguration,
  healthChecks: healthChecksOf,
  create(conf, env) {
    const group = createInstanceGroup(conf, env);
    const choose: ChooseTarget = (ctx, request) => {
      const picker = group.balancer.begin(ctx);
      return picker instanceof Promise
        ? picker.then((late) => chooseFirst(ctx, { group, request, picker: late }))
        : chooseFirst(ctx, { group, request, picker });
    };
    const { summaries, payloads } = conf.logging ?? { summaries: false, payloads: false };
    const logsCalls = summaries || payloads;
    return {
      access: (ctx) => chooseTarget(ctx, conf.max_req_body_size, choose),
      log(ctx) {
        if (!logsCalls) return;
        const target = ctx.target instanceof MultiTarget ? ctx.target : null;
        writeLlmLog(ctx, target?.attempt ?? null, env.llmLog);
      },
    };
  },
});

interface Choice {
  readonly group: InstanceGroup;
  readonly request: LlmRequest;
  readonly picker: Picker;
}

function chooseFirst(ctx: RequestContext, choice: Choice): StepResult {
  const { members, rules } = choice.group;
  const selection = new Selection(members, choice.picker);
  const first = selection.next(ctx, rules.passesOverExhausted ? ctx.tokenQuota : null);
  return first instanceof Promise
    ? first.then((late) => setTarget(ctx, choice, { selection, first: late }))
    : setTarget(ctx, choice, { selection, first });
}

interface FirstChoice {
  readonly selection: Selection;
  readonly first: GroupMember | null;
}

function setTarget(
  ctx: RequestContext,
  { group, request }: Choice,
  { selection, first }: FirstChoice,
): Reply | undefined {
  if (first === null) return refusal(ctx, new WeirError('NO_USABLE_INSTANCE'));
  const { members, rules } = group;
  ctx.target = new MultiTarget({ request, rules, selection, first, isLone: members.length === 1 });
  return undefined;
}
