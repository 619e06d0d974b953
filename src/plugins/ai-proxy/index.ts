import { aiProxySchema, checkAiProxy } from '../../llm/ai-proxy-schema.ts';
import { compileLlmTarget, type LlmTarget } from '../../llm/target.ts';
import type { RequestContext } from '../../pipeline/context.ts';
import { definePlugin, type PluginEnv } from '../../pipeline/define-plugin.ts';
import type { Reply } from '../../pipeline/reply.ts';
import { LlmAttemptTarget, type LlmInstance } from './llm-attempt-target.ts';
import { writeLlmLog } from './llm-log-record.ts';
import { readLlmRequest } from './llm-request.ts';
import { loggedUri } from './logged-uri.ts';
import { refuseClient } from './refuse-client.ts';

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
    if (target.lacksCredential) {
      env.configurationLog.warn(
        `ai-proxy: provider ${target.provider.name} is called without a credential; set auth.header, auth.query, auth.gcp or auth.aws`,
      );
    }
    const instance = createInstance(target, env);
    return {
      access: (ctx) => chooseTarget(ctx, instance),
      ...((target.logsSummaries || target.logsPayloads) && { log: (ctx) => writeLlmLog(ctx, target, env.llmLog) }),
    };
  },
});

function createInstance(target: LlmTarget, env: PluginEnv): LlmInstance {
  const { scheme, host, port, targets, lockedArguments } = target.endpoint;
  const loggedTargets = Object.fromEntries(
    Object.entries(targets).map(([protocol, uri]) => [protocol, loggedUri(uri, lockedArguments)]),
  );
  return {
    target,
    pool: env.pools.get({ origin: { scheme, host, port }, verifyTls: target.verifiesCertificate }),
    use: {
      timeoutMs: target.timeoutMs,
      keepAlive: target.keepalive !== null,
      idleTimeoutMs: target.keepalive?.idleTimeoutMs ?? 0,
      maxIdle: target.keepalive?.maxIdle ?? 0,
    },
    loggedTargets,
    capturesText: target.logsPayloads || env.logsResponseText,
  };
}

function chooseTarget(ctx: RequestContext, instance: LlmInstance): Reply | undefined | Promise<Reply | undefined> {
  try {
    const request = readLlmRequest(ctx, instance.target.maxRequestBodyBytes);
    if (request instanceof Promise) {
      return request.then(
        (understood) => void (ctx.target = new LlmAttemptTarget(instance, understood)),
        (error: unknown) => refuseClient(ctx, error),
      );
    }
    ctx.target = new LlmAttemptTarget(instance, request);
    return undefined;
  } catch (error) {
    return refuseClient(ctx, error);
  }
}
