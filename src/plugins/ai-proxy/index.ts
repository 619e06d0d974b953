import { aiProxySchema, checkAiProxy } from '../../llm/ai-proxy-schema.ts';
import { compileLlmTarget } from '../../llm/target.ts';
import { definePlugin } from '../../pipeline/define-plugin.ts';
import { chooseTarget, type ChooseTarget } from './choose-target.ts';
import { LlmAttemptTarget } from './llm-attempt-target.ts';
import { createInstance } from './llm-instance.ts';
import { writeLlmLog } from './llm-log-record.ts';

/** Sends LLM calls of a route to one provider. */
export const aiProxy = definePlugin({
  name: 'ai-proxy',
  priority: 1040,
  version: 0.5,
  summary: 'Proxies requests to an LLM provider, with its credential and model options.',
  schema: aiProxySchema,
  check: checkAiProxy,
  create(conf, env) {
    const target = compileLlmTarget(conf);
    const instance = createInstance(target, env, { subject: 'ai-proxy' });
    const choose: ChooseTarget = (ctx, request) => {
      ctx.target = new LlmAttemptTarget(instance, request);
      return undefined;
    };
    const logs = target.logsSummaries || target.logsPayloads;
    return {
      access: (ctx) => chooseTarget(ctx, target.maxRequestBodyBytes, choose),
      ...(logs && {
        log: (ctx) => writeLlmLog(ctx, ctx.target instanceof LlmAttemptTarget ? ctx.target : null, env.llmLog),
      }),
    };
  },
});
