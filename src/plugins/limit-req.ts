import { setTimeout } from 'node:timers/promises';
import { longestTimerMs } from '../base/longest-timer.ts';
import type { RequestContext } from '../pipeline/context.ts';
import { definePlugin, type StepResult } from '../pipeline/define-plugin.ts';
import { resolvePluginVariable } from '../pipeline/variables.ts';
import { whileAwaited } from '../pipeline/while-awaited.ts';
import { counterScope } from '../rate-limit/counter-scope.ts';
import { compileLimitKey } from '../rate-limit/limit-key.ts';
import { checkPolicy, policyCredentials, policyFields } from '../rate-limit/policy-schema.ts';
import type { Leak } from '../shared-memory/shared-counters.ts';
import { createLimitAnswers, rejectionFields } from './limit-answers.ts';

/** A shorter delay is none, as in APISIX. */
const shortestDelayMs = 1;

/**
 * Limits how many requests pass in a second, with a leaky bucket.
 *
 * @see https://apisix.apache.org/docs/apisix/plugins/limit-req/
 */
export const limitReq = definePlugin({
  name: 'limit-req',
  priority: 1001,
  version: 0.1,
  summary: 'Lets requests pass at a steady rate: what comes faster is delayed, and beyond a burst refused.',
  schema: {
    type: 'object',
    properties: {
      rate: { type: 'number', exclusiveMinimum: 0, description: 'Requests in a second. May be a fraction.' },
      burst: {
        type: 'number',
        minimum: 0,
        description: 'How many requests may be ahead of the rate. They are delayed; more are refused.',
      },
      key_type: {
        type: 'string',
        enum: ['var', 'var_combination'],
        default: 'var',
        description: 'What `key` is: the name of a variable, or a text with variables.',
      },
      key: {
        type: 'string',
        description: 'Every value has its own rate. Without a value it is the address of the client.',
      },
      ...rejectionFields,
      nodelay: {
        type: 'boolean',
        default: false,
        description: 'true: requests within the burst pass at once. false: they wait for their turn.',
      },
      ...policyFields,
    },
    required: ['rate', 'burst', 'key'],
    encrypt_fields: policyCredentials,
  },
  check: checkPolicy,
  create(conf, env) {
    const scope = counterScope('limit-req', env.owner, conf);
    const keyOf = compileLimitKey(conf.key, conf.key_type, resolvePluginVariable);
    const store = env.windowStores.get(conf);
    const answers = createLimitAnswers(conf);
    const bucket = { ratePerSecond: conf.rate, burst: conf.burst };
    const decide = (ctx: RequestContext, { accepted, delayMs }: Leak): StepResult => {
      if (!accepted) return answers.rejected(ctx);
      return conf.nodelay || delayMs < shortestDelayMs ? undefined : waitForTurn(ctx, delayMs);
    };
    return {
      access(ctx) {
        const leak = store.leak(`${scope}:${keyOf(ctx)}`, bucket);
        if (!(leak instanceof Promise)) return decide(ctx, leak);
        return leak.then(
          (decided) => decide(ctx, decided),
          (error: unknown) => answers.undecided(ctx, error),
        );
      },
    };
  },
});

/** @throws WeirError CLIENT_CLOSED_REQUEST or SHUTTING_DOWN when nobody waits so long. */
function waitForTurn(ctx: RequestContext, delayMs: number): Promise<undefined> {
  return whileAwaited(ctx, async (signal) => {
    await setTimeout(Math.min(delayMs, longestTimerMs), undefined, { signal }).catch(() => signal.throwIfAborted());
    return undefined;
  });
}
