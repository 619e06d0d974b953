import type { Infer } from '../../schema/infer.ts';
import { checkAiProxy, type AiProxyConf } from '../../llm/ai-proxy-schema.ts';
import { findProvider, providerNames } from '../../llm/providers/index.ts';

const credentials = { type: 'object', patternProperties: { '^[a-zA-Z0-9._-]+$': { type: 'string' } } } as const;

/** JSON Schema of the plugin `ai-request-rewrite`. Times are in ms, sizes in bytes. */
export const aiRequestRewriteSchema = {
  type: 'object',
  properties: {
    prompt: { type: 'string', description: 'The system message that tells the LLM how to rewrite a request.' },
    provider: { type: 'string', description: 'The LLM service that rewrites.', enum: providerNames },
    auth: {
      type: 'object',
      description: 'The credential for the provider.',
      properties: {
        header: { ...credentials, description: 'Request headers.' },
        query: { ...credentials, description: 'Query arguments.' },
      },
      additionalProperties: false,
    },
    options: {
      type: 'object',
      description: 'Members of the request to the LLM: model, temperature, ...; `stream` has no effect.',
      properties: { model: { type: 'string', description: 'The model to ask.' } },
      additionalProperties: true,
    },
    timeout: {
      type: 'integer',
      minimum: 1,
      maximum: 60000,
      default: 30000,
      description: 'For the call of the LLM, from connecting to the end of its answer.',
    },
    keepalive: { type: 'boolean', default: true, description: 'Keep connections to the provider for later requests.' },
    keepalive_pool: {
      type: 'integer',
      minimum: 1,
      default: 30,
      description: 'Idle connections that a worker keeps for this origin.',
    },
    ssl_verify: { type: 'boolean', default: true, description: "Verify the provider's certificate." },
    override: {
      type: 'object',
      properties: {
        endpoint: {
          type: 'string',
          minLength: 1,
          description:
            "URL to use instead of the provider's public API: http(s)://host[:port][/path][?query]. Required for openai-compatible and azure-openai.",
        },
      },
    },
    max_req_body_size: { type: 'integer', minimum: 1, default: 67108864, description: 'Larger requests get 413.' },
  },
  required: ['prompt', 'provider', 'auth'],
  encrypt_fields: ['auth.header', 'auth.query'],
} as const;

/** A valid configuration of `ai-request-rewrite`, defaults filled in. */
type AiRequestRewriteConf = Infer<typeof aiRequestRewriteSchema>;

/** @returns What the schema cannot say about a configuration: one sentence, without any value of `auth`; or null. */
export function checkAiRequestRewrite(conf: AiRequestRewriteConf): string | null {
  const spoken = findProvider(conf.provider)?.protocols ?? {};
  if (spoken['openai-chat'] === undefined) {
    return `provider ${conf.provider} cannot rewrite requests, because it does not speak openai-chat`;
  }
  return checkAiProxy(toAiProxyConf(conf));
}

// Only a whole answer can take the place of a request.
const wholeAnswer = { stream: false };

/** The same LLM as ai-proxy would be configured to call. */
export function toAiProxyConf(conf: AiRequestRewriteConf): AiProxyConf {
  const { provider, auth, timeout, keepalive, keepalive_pool, ssl_verify, max_req_body_size } = conf;
  return {
    provider,
    auth,
    options: { ...conf.options, ...wholeAnswer },
    ...(conf.override !== undefined && { override: { ...conf.override, request_body_force_override: false } }),
    timeout,
    keepalive,
    keepalive_pool,
    keepalive_timeout: 60_000,
    ssl_verify,
    max_req_body_size,
  };
}
