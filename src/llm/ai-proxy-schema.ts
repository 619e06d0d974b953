import { isSecretReference } from '../config/secret-reference.ts';
import type { Infer } from '../schema/infer.ts';
import { checkServiceAccountJson } from './auth/gcp-signer.ts';
import { parseEndpoint } from './endpoint.ts';
import { findProvider, providerNames } from './providers/index.ts';
import { checkHeader } from './request-headers.ts';

const credentials = {
  type: 'object',
  patternProperties: { '^[a-zA-Z0-9._-]+$': { type: 'string' } },
} as const;

const freeObject = { type: 'object', additionalProperties: true } as const;

/** JSON Schema of the plugin `ai-proxy`, with the fields, defaults and limits of APISIX 3.18. Times are in ms, sizes in bytes. */
export const aiProxySchema = {
  type: 'object',
  properties: {
    provider: { type: 'string', description: 'The LLM service, and with it address and dialect.', enum: providerNames },
    provider_conf: {
      type: 'object',
      description: "Which part of the provider's service is called.",
      properties: {
        project_id: { type: 'string', description: 'vertex-ai: the Google Cloud project.' },
        region: {
          type: 'string',
          minLength: 1,
          description: 'vertex-ai: the location, such as us-central1 or global. bedrock: the AWS region.',
        },
      },
    },
    auth: {
      type: 'object',
      description: 'The credential for the provider. Sent instead of whatever credential the client sent.',
      properties: {
        header: { ...credentials, description: 'Request headers; they win over the headers of the client.' },
        query: { ...credentials, description: 'Query arguments; clients cannot override them.' },
        gcp: {
          type: 'object',
          description: 'A Google Cloud service account; its access tokens are fetched and renewed.',
          properties: {
            service_account_json: {
              type: 'string',
              description: 'Its key, as JSON. Not set: the environment variable GCP_SERVICE_ACCOUNT.',
            },
            max_ttl: {
              type: 'integer',
              minimum: 1,
              description: 'Seconds after which a token is renewed although it is valid for longer.',
            },
            expire_early_secs: {
              type: 'integer',
              minimum: 0,
              default: 60,
              description: 'Seconds before its end at which a token is renewed.',
            },
          },
        },
        aws: {
          type: 'object',
          description: 'AWS credentials that requests to bedrock are signed with; no effect with other providers.',
          properties: {
            access_key_id: { type: 'string', minLength: 1, description: 'The id of the key.' },
            secret_access_key: { type: 'string', minLength: 1, description: 'The key; it is never sent.' },
            session_token: { type: 'string', minLength: 1, description: 'For temporary credentials.' },
          },
          required: ['access_key_id', 'secret_access_key'],
        },
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
        llm_options: {
          type: 'object',
          properties: {
            max_tokens: {
              type: 'integer',
              minimum: 1,
              description:
                'Limits the length of answers, whatever the client asks for; sent under the name that the provider knows.',
            },
          },
          additionalProperties: false,
        },
        request_body: {
          type: 'object',
          description:
            'Members of the request body, by the protocol in which the provider is called; merged into objects.',
          properties: {
            'anthropic-messages': freeObject,
            'bedrock-converse': freeObject,
            'openai-chat': freeObject,
            'openai-embeddings': freeObject,
            'openai-responses': freeObject,
            passthrough: freeObject,
          },
          additionalProperties: false,
        },
        request_body_force_override: {
          type: 'boolean',
          default: false,
          description:
            "true: `request_body` wins over the client's members. false: it only fills in those that are missing.",
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
    max_stream_duration_ms: {
      type: 'integer',
      minimum: 1,
      description: 'A streamed answer is ended then. Not set: no limit.',
    },
    max_response_bytes: {
      type: 'integer',
      minimum: 1,
      description: 'A longer answer is refused or, once it has begun, ended. Not set: no limit.',
    },
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
  encrypt_fields: [
    'auth.header',
    'auth.query',
    'auth.gcp.service_account_json',
    'auth.aws.secret_access_key',
    'auth.aws.session_token',
  ],
} as const;

/** A valid configuration of `ai-proxy`, defaults filled in. */
export type AiProxyConf = Infer<typeof aiProxySchema>;

/**
 * What the schema cannot say about a configuration that fits it. A reference to a secret passes for any value.
 *
 * @returns One sentence that names the field, without any value of `auth`; null if all is well.
 */
export function checkAiProxy(conf: AiProxyConf): string | null {
  return (
    checkServiceAccount(conf) ??
    checkProvider(conf) ??
    checkEndpoint(conf) ??
    checkRegion(conf) ??
    checkCredentials(conf)
  );
}

function checkServiceAccount(conf: AiProxyConf): string | null {
  const json = conf.auth.gcp?.service_account_json;
  return json === undefined || isSecretReference(json) ? null : checkServiceAccountJson(json);
}

function checkProvider(conf: AiProxyConf): string | null {
  const provider = findProvider(conf.provider);
  if (provider === undefined) return `ai provider: ${conf.provider} is not supported.`;
  const hasEndpoint = conf.override?.endpoint !== undefined;
  if (provider.origin === null && !hasEndpoint) return `override.endpoint is required for ${conf.provider} provider`;
  const hasAwsCredential = conf.auth.aws !== undefined;
  return provider.check?.({ conf: conf.provider_conf ?? {}, hasEndpoint, hasAwsCredential }) ?? null;
}

function checkEndpoint(conf: AiProxyConf): string | null {
  const endpoint = conf.override?.endpoint;
  if (endpoint === undefined || isSecretReference(endpoint)) return null;
  const parsed = parseEndpoint(endpoint);
  return typeof parsed === 'string' ? `override.endpoint: ${parsed}` : null;
}

/** It becomes a part of a host name. */
function checkRegion(conf: AiProxyConf): string | null {
  const region = conf.provider_conf?.region;
  if (region === undefined || isSecretReference(region) || /^[a-z0-9-]+$/i.test(region)) return null;
  return 'provider_conf.region: expected letters, digits and hyphens, such as us-east-1';
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
