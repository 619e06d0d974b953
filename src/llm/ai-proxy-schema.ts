import type { Infer } from '../schema/infer.ts';
import { isJsonObject } from './json.ts';
import { parseEndpoint } from './endpoint.ts';
import { findProvider, providerNames } from './providers/index.ts';
import { checkHeader } from './request-headers.ts';

const credentials = {
  type: 'object',
  patternProperties: { '^[a-zA-Z0-9._-]+$': { type: 'string' } },
} as const;

/** JSON Schema of the plugin `ai-proxy`, with the fields, defaults and limits of APISIX 3.18. Times are in ms, sizes in bytes. */
export const aiProxySchema = {
  type: 'object',
  properties: {
    provider: { type: 'string', description: 'The LLM service, and with it address and dialect.', enum: providerNames },
    auth: {
      type: 'object',
      description: 'The credential for the provider. Sent instead of whatever credential the client sent.',
      properties: {
        header: { ...credentials, description: 'Request headers; they win over the headers of the client.' },
        query: { ...credentials, description: 'Query arguments; clients cannot override them.' },
      },
      additionalProperties: false,
    },
    options: {
      type: 'object',
      description: 'Members of the request body that win over those of the client: model, temperature, stream, ...',
      properties: { model: { type: 'string', description: 'The model to ask.' } },
      additionalProperties: true,
    },
    override: {
      type: 'object',
      properties: {
        endpoint: {
          type: 'string',
          minLength: 1,
          description:
            "URL to use instead of the provider's public API: http(s)://host[:port][/path][?query]. Without a path the provider's own path is used. Required for openai-compatible and azure-openai.",
        },
      },
    },
    logging: {
      type: 'object',
      properties: {
        summaries: { type: 'boolean', default: false, description: 'Log model, duration and tokens of each request.' },
        payloads: { type: 'boolean', default: false, description: 'Log what was asked and what was answered.' },
      },
    },
    timeout: {
      type: 'integer',
      minimum: 1,
      maximum: 600000,
      default: 30000,
      description: 'For connecting, for sending, and for each read of the answer; not for all of it together.',
    },
    max_req_body_size: { type: 'integer', minimum: 1, default: 67108864, description: 'Larger requests get 413.' },
    keepalive: { type: 'boolean', default: true, description: 'Keep connections to the provider for later requests.' },
    keepalive_timeout: { type: 'integer', minimum: 1000, default: 60000, description: 'Idle connections close then.' },
    keepalive_pool: {
      type: 'integer',
      minimum: 1,
      default: 30,
      description: 'Idle connections that a worker keeps for this origin.',
    },
    streaming_flush_interval_ms: {
      type: 'integer',
      minimum: 0,
      description:
        'Gather the pieces of a streamed answer for so long before they are sent. Not set, or 0: each piece is sent as it comes.',
    },
    ssl_verify: { type: 'boolean', default: true, description: "Verify the provider's certificate." },
  },
  required: ['provider', 'auth'],
  encrypt_fields: ['auth.header', 'auth.query'],
} as const;

/** A valid configuration of `ai-proxy`, defaults filled in. */
export type AiProxyConf = Infer<typeof aiProxySchema>;

/**
 * Fields of APISIX 3.18 that this version does not act on. The schema tolerates unknown fields, as APISIX's does; these
 * are refused, because a limit that is silently not applied is worse than none.
 */
export const notYetSupported: readonly string[] = [
  'provider_conf',
  'max_stream_duration_ms',
  'max_response_bytes',
  'override.llm_options',
  'override.request_body',
  'override.request_body_force_override',
];

/**
 * What the schema cannot say about a configuration that fits it.
 *
 * @returns One sentence that names the field, without any value of `auth`; null if all is well.
 */
export function checkAiProxy(conf: AiProxyConf): string | null {
  return checkSupported(conf) ?? checkReferences(conf, '') ?? checkEndpoint(conf) ?? checkCredentials(conf);
}

function checkSupported(conf: AiProxyConf): string | null {
  for (const field of notYetSupported) {
    let value: unknown = conf;
    for (const key of field.split('.')) value = isJsonObject(value) ? value[key] : undefined;
    if (value !== undefined) return `${field} is not supported by this version of Weir`;
  }
  return null;
}

/** A reference that nobody resolves would go to the provider as if it were the secret itself. */
function checkReferences(value: unknown, path: string): string | null {
  if (typeof value === 'string') {
    return /^\$(?:env|secret):\/\//i.test(value)
      ? `${path}: references such as $env:// and $secret:// are not supported by this version of Weir`
      : null;
  }
  if (typeof value !== 'object' || value === null) return null;
  for (const [key, member] of Object.entries(value)) {
    const fault = checkReferences(member, path === '' ? key : `${path}.${key}`);
    if (fault !== null) return fault;
  }
  return null;
}

function checkEndpoint(conf: AiProxyConf): string | null {
  const endpoint = conf.override?.endpoint;
  if (endpoint === undefined) {
    const isMissing = findProvider(conf.provider)?.origin === null;
    return isMissing ? `override.endpoint is required for ${conf.provider} provider` : null;
  }
  const parsed = parseEndpoint(endpoint);
  return typeof parsed === 'string' ? `override.endpoint: ${parsed}` : null;
}

function checkCredentials(conf: AiProxyConf): string | null {
  for (const [name, value] of Object.entries(conf.auth.header ?? {})) {
    const fault = checkHeader(name, value);
    if (fault !== null) return `auth.header ${JSON.stringify(name)} ${fault}`;
  }
  for (const [name, value] of Object.entries(conf.auth.query ?? {})) {
    if (typeof value !== 'string') return `auth.query ${JSON.stringify(name)} must be a string`;
  }
  return null;
}
