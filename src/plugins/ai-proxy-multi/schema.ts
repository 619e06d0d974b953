import { callFields } from '../../llm/call-schema.ts';
import { credentialFields, instanceCredentials, instanceFields } from '../../llm/instance-schema.ts';
import type { Infer } from '../../schema/infer.ts';
import { checksSchema } from '../../upstream/health/check-schema.ts';

const instance = {
  type: 'object',
  description: 'An LLM that requests can go to.',
  properties: {
    name: {
      type: 'string',
      minLength: 1,
      maxLength: 100,
      description: 'Names the instance in logs, limits and health checks. Unique within the plugin.',
    },
    ...instanceFields,
    priority: {
      type: 'integer',
      default: 0,
      description: 'Instances with a larger number are used first; others only when none of those can be.',
    },
    weight: {
      type: 'integer',
      minimum: 0,
      description: 'Share of the requests among the instances of one priority. 0: none while others have more.',
    },
    checks: checksSchema,
    examples: {
      type: 'array',
      minItems: 1,
      maxItems: 64,
      items: { type: 'string', minLength: 1 },
      description: 'semantic: prompts that this instance is meant for.',
    },
    threshold: {
      type: 'number',
      minimum: -1,
      maximum: 1,
      description: 'semantic: how similar a prompt has to be. Not set: `semantic_opts.threshold`.',
    },
  },
  required: ['name', 'provider', 'auth', 'weight'],
} as const;

const balancer = {
  type: 'object',
  description: 'How an instance is chosen among those of one priority.',
  default: { algorithm: 'roundrobin' },
  properties: {
    algorithm: {
      type: 'string',
      enum: ['chash', 'roundrobin', 'semantic'],
      default: 'roundrobin',
      description:
        'roundrobin: in turn, by weight. chash: equal keys go to the same instance. semantic: by what the prompt is about.',
    },
    hash_on: {
      type: 'string',
      enum: ['vars', 'header', 'cookie', 'consumer', 'vars_combinations'],
      default: 'vars',
      description: 'chash: where the key is taken from.',
    },
    key: {
      type: 'string',
      description:
        'chash: a variable without its dollar sign, the name of a header or of a cookie, or text with variables such as `$http_x_user$remote_addr`. Required unless `hash_on` is consumer.',
    },
  },
} as const;

const fallbackStrategy = {
  description:
    'What makes another instance answer. `rate_limiting`: the quota of the first is used up. `http_429`, `http_5xx`: it answers so; failures to connect and timeouts count as 5xx. `instance_health_and_rate_limiting`: all three.',
  anyOf: [
    { type: 'string', enum: ['instance_health_and_rate_limiting', 'http_429', 'http_5xx'] },
    { type: 'array', items: { type: 'string', enum: ['rate_limiting', 'http_429', 'http_5xx'] } },
  ],
} as const;

const embeddings = {
  type: 'object',
  description: 'The API that prompts and examples are compared with.',
  properties: {
    provider: { type: 'string', enum: ['openai', 'azure-openai'], description: 'Who provides it.' },
    model: { type: 'string', minLength: 1, description: 'The embedding model.' },
    auth: {
      type: 'object',
      description: 'The credential for it.',
      properties: {
        header: { ...credentialFields, description: 'Request headers.' },
        query: { ...credentialFields, description: 'Query arguments.' },
      },
      additionalProperties: false,
    },
    endpoint: {
      type: 'string',
      description: 'URL of the API. Not set: that of OpenAI. Required for azure-openai, with a path.',
    },
    timeout: {
      type: 'integer',
      minimum: 1,
      default: 3000,
      description: 'For the whole call; a request that waits longer goes to the fallback.',
    },
    ssl_verify: { type: 'boolean', default: true, description: "Verify the API's certificate." },
  },
  required: ['provider', 'model', 'auth'],
} as const;

const semanticOptions = {
  type: 'object',
  description: 'For the algorithm semantic.',
  properties: {
    embeddings,
    threshold: {
      type: 'number',
      minimum: -1,
      maximum: 1,
      default: 0,
      description: 'How similar a prompt has to be to an example, as a cosine.',
    },
    fallback: {
      type: 'string',
      minLength: 1,
      description: 'The instance for prompts that are similar to nothing. Not set: the first.',
    },
    debugging: {
      type: 'boolean',
      default: false,
      description: 'Answers say how similar the prompt was: `X-AI-Semantic-Scores`, `X-AI-Semantic-Picked-Instance`.',
    },
  },
  required: ['embeddings'],
} as const;

/** JSON Schema of the plugin `ai-proxy-multi`, with the fields, defaults and limits of APISIX 3.18. Times are in ms, sizes in bytes. */
export const aiProxyMultiSchema = {
  type: 'object',
  properties: {
    balancer,
    instances: {
      type: 'array',
      minItems: 1,
      items: instance,
      description: 'The LLMs to choose from.',
    },
    fallback_strategy: fallbackStrategy,
    fallback_http_statuses: {
      type: 'array',
      minItems: 1,
      uniqueItems: true,
      items: { type: 'integer', minimum: 400, maximum: 599 },
      description: 'Other statuses after which another instance is tried.',
    },
    max_retries: {
      type: 'integer',
      minimum: 0,
      description: 'Attempts beyond the first. Not set: until every instance was tried.',
    },
    retry_on_failure_within_ms: {
      type: 'integer',
      minimum: 1,
      description: 'An attempt that took longer is the last. Not set: however long it took.',
    },
    semantic_opts: semanticOptions,
    ...callFields,
  },
  required: ['instances'],
  encrypt_fields: [
    ...instanceCredentials.map((field) => `instances.${field}`),
    'semantic_opts.embeddings.auth.header',
    'semantic_opts.embeddings.auth.query',
  ],
} as const;

/** A valid configuration of `ai-proxy-multi`, defaults filled in. */
export type AiProxyMultiConf = Infer<typeof aiProxyMultiSchema>;

/** One of its instances. */
export type MultiInstanceConf = AiProxyMultiConf['instances'][number];
