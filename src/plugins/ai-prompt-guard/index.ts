import { WeirError } from '../../base/errors.ts';
import { findPromptFormat } from '../../llm/prompts/index.ts';
import type { PromptFormat } from '../../llm/prompts/prompt-format.ts';
import type { JsonObject } from '../../llm/json.ts';
import { detectProtocol } from '../../llm/protocols/index.ts';
import type { RequestContext } from '../../pipeline/context.ts';
import { definePlugin, type PluginEnv } from '../../pipeline/define-plugin.ts';
import { withJsonBody } from '../../pipeline/json-body.ts';
import { refusal, type Reply } from '../../pipeline/reply.ts';
import type { Infer } from '../../schema/infer.ts';
import { checkPattern, PromptRules, type PromptVerdict } from './prompt-rules.ts';

const patterns = { type: 'array', items: { type: 'string' }, default: [] } as const;

const schema = {
  type: 'object',
  properties: {
    match_all_roles: {
      type: 'boolean',
      default: false,
      description: 'Check the messages of every role, not only those of the user.',
    },
    match_all_conversation_history: {
      type: 'boolean',
      default: false,
      description:
        'Check every message, not only the last one. The texts of a Responses request are always all checked.',
    },
    allow_patterns: {
      ...patterns,
      description: 'PCRE patterns in UTF mode; if there are any, one of them has to match.',
    },
    deny_patterns: { ...patterns, description: 'PCRE patterns in UTF mode; none of them may match.' },
    fail_mode: {
      type: 'string',
      enum: ['skip', 'warn', 'error'],
      default: 'skip',
      description:
        'What is no LLM request passes unseen (skip), passes with a warning in the log, or is refused (error).',
    },
    max_req_body_size: { type: 'integer', minimum: 1, default: 67108864, description: 'Larger requests get 413.' },
  },
} as const;

type GuardConf = Infer<typeof schema>;

/** Refuses LLM requests by what their prompts say. */
export const aiPromptGuard = definePlugin({
  name: 'ai-prompt-guard',
  priority: 1072,
  version: 0.1,
  summary: 'Lets prompts pass, or refuses them, by regular expressions.',
  schema,
  check: (conf) =>
    checkPatterns('allow_pattern', conf.allow_patterns) ?? checkPatterns('deny_pattern', conf.deny_patterns),
  create(conf, env) {
    const guard = new PromptGuard(conf, env);
    return { access: (ctx) => guard.check(ctx) };
  },
});

function checkPatterns(field: string, list: readonly string[]): string | null {
  for (const pattern of list) {
    const fault = checkPattern(pattern);
    if (fault !== null) return `invalid ${field}: ${pattern} (${fault})`;
  }
  return null;
}

class PromptGuard {
  #conf: GuardConf;
  #rules: PromptRules;
  #env: PluginEnv;

  constructor(conf: GuardConf, env: PluginEnv) {
    this.#conf = conf;
    this.#rules = new PromptRules(conf);
    this.#env = env;
  }

  check(ctx: RequestContext): ReturnType<typeof withJsonBody> {
    return withJsonBody(ctx, {
      maxBytes: this.#conf.max_req_body_size,
      run: ({ json }) => this.#checkJson(ctx, json),
      onUnreadable: (error) => this.#onUnreadable(ctx, error),
    });
  }

  #checkJson(ctx: RequestContext, json: JsonObject): Reply | undefined {
    const protocol = detectProtocol(ctx.path, json);
    const format = protocol === null ? undefined : findPromptFormat(protocol.name);
    if (format === undefined) return this.#onForeign(ctx, new WeirError('PROMPT_UNRECOGNIZED'));
    const text = this.#textToCheck(format, json);
    return text === null ? undefined : this.#toReply(ctx, this.#rules.judge(text));
  }

  /** @returns null when there is nothing to check. */
  #textToCheck(format: PromptFormat, json: JsonObject): string | null {
    const { match_all_roles, match_all_conversation_history } = this.#conf;
    const all = format.messages(json);
    const current = match_all_conversation_history || !format.hasTurns ? all : all.slice(-1);
    const checked = match_all_roles ? current : current.filter(({ role }) => role === 'user');
    return checked.length === 0 ? null : checked.map(({ text }) => text).join(' ');
  }

  #toReply(ctx: RequestContext, verdict: PromptVerdict): Reply | undefined {
    switch (verdict.is) {
      case 'accepted':
        return undefined;
      case 'not allowed':
        return refusal(ctx, new WeirError('PROMPT_NOT_ALLOWED'));
      case 'denied':
        return refusal(ctx, new WeirError('PROMPT_DENIED'));
      case 'undecided':
        this.#warn(ctx, `${verdict.pattern} took too long for a prompt, which was refused`);
        return refusal(ctx, new WeirError('PROMPT_UNDECIDED'));
    }
  }

  #onUnreadable(ctx: RequestContext, error: WeirError): Reply | undefined {
    switch (error.code) {
      case 'LLM_BODY_EMPTY':
        return refusal(ctx, error.as('PROMPT_EMPTY'));
      case 'LLM_BODY_SYNTAX':
        return this.#onForeign(ctx, error);
      case 'LLM_NO_PROTOCOL':
        return this.#onForeign(ctx, error.as('PROMPT_UNRECOGNIZED'));
      default:
        return refusal(ctx, error);
    }
  }

  #onForeign(ctx: RequestContext, error: WeirError): Reply | undefined {
    if (this.#conf.fail_mode === 'error') return refusal(ctx, error);
    if (this.#conf.fail_mode === 'warn') this.#warn(ctx, `a request was not checked: ${error.message}`);
    return undefined;
  }

  #warn(ctx: RequestContext, sentence: string): void {
    this.#env.log.warn(`ai-prompt-guard: ${sentence}`, { request_id: ctx.id, route_id: ctx.route?.id });
  }
}
