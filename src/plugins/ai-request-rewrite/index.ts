import { WeirError } from '../../base/errors.ts';
import { LlmClient } from '../../llm/client/llm-client.ts';
import { openaiChat } from '../../llm/protocols/openai-chat.ts';
import { compileLlmTarget } from '../../llm/target.ts';
import type { RequestContext } from '../../pipeline/context.ts';
import { definePlugin, type PluginEnv } from '../../pipeline/define-plugin.ts';
import { readBodyBytes } from '../../pipeline/json-body.ts';
import { refusal, type Reply } from '../../pipeline/reply.ts';
import { whileAwaited } from '../../pipeline/while-awaited.ts';
import { aiRequestRewriteSchema, checkAiRequestRewrite, toAiProxyConf } from './schema.ts';

/** Lets an LLM rewrite the bodies of requests, whatever they are; what the LLM says goes on in their place. */
export const aiRequestRewrite = definePlugin({
  name: 'ai-request-rewrite',
  priority: 1073,
  version: 0.1,
  summary: 'Lets an LLM rewrite the body of a request before it goes on.',
  schema: aiRequestRewriteSchema,
  check: checkAiRequestRewrite,
  create(conf, env) {
    const client = new LlmClient({
      target: compileLlmTarget(toAiProxyConf(conf)),
      protocol: openaiChat,
      pools: env.pools,
    });
    const rewriter: Rewriter = { client, prompt: conf.prompt, maxBodyBytes: conf.max_req_body_size, env };
    return { access: (ctx) => rewrite(ctx, rewriter) };
  },
});

interface Rewriter {
  readonly client: LlmClient;
  readonly prompt: string;
  readonly maxBodyBytes: number;
  readonly env: PluginEnv;
}

async function rewrite(ctx: RequestContext, rewriter: Rewriter): Promise<Reply | undefined> {
  try {
    const body = await readBodyBytes(ctx, rewriter.maxBodyBytes);
    if (body.length === 0) return refusal(ctx, new WeirError('LLM_BODY_EMPTY'));
    ctx.replaceBody(Buffer.from(await ask(ctx, rewriter, body.toString())));
    return undefined;
  } catch (error) {
    if (error instanceof WeirError) return refusal(ctx, error);
    throw error;
  }
}

/** @throws WeirError LLM_REWRITE; CLIENT_CLOSED_REQUEST or SHUTTING_DOWN when nobody waits for it any more. */
function ask(ctx: RequestContext, { client, prompt, env }: Rewriter, text: string): Promise<string> {
  const messages = [
    { role: 'system', content: prompt },
    { role: 'user', content: text },
  ];
  // An answer that nobody waits for would be paid for all the same.
  return whileAwaited(ctx, async (signal) => {
    try {
      const rewritten = openaiChat.textOf(await client.ask({ messages }, signal));
      if (rewritten === null) throw new WeirError('UPSTREAM_ANSWER', ['it has no text']);
      return rewritten;
    } catch (cause) {
      if (!(cause instanceof WeirError) || signal.aborted) throw cause;
      const { code, message } = cause;
      env.log.error(`ai-request-rewrite: ${message}`, { code, request_id: ctx.id, route_id: ctx.route?.id });
      throw new WeirError('LLM_REWRITE', [message], { cause });
    }
  });
}
