import { isSecretReference } from '../config/secret-reference.ts';
import type { Infer } from '../schema/infer.ts';
import { checkServiceAccountJson } from './auth/gcp-signer.ts';
import { parseEndpoint } from './endpoint.ts';
import { findProvider, providerNames } from './providers/index.ts';
import { checkHeader } from './request-headers.ts';

/** JSON Schema of credentials by name: header fields, or query arguments. */
export const credentialFields = {
  type: 'object',
  patternProperties: { '^[a-zA-Z0-9._-]+$': { type: 'string' } },
} as const;

const freeObject = { type: 'object', additionalProperties: true } as const;

/** JSON Schemas of the fields that configure one LLM: who provides it, and how it is called. `provider` and `auth` are required. */
export const instanceFields = {
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
      header: { ...credentialFields, description: 'Request headers; they win over the headers of the client.' },
      query: { ...credentialFields, description: 'Query arguments; clients cannot override them.' },
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
} as const;

/** Those of the fields that hold credentials, below an instance. */
export const instanceCredentials = [
  'auth.header',
  'auth.query',
  'auth.gcp.service_account_json',
  'auth.aws.secret_access_key',
  'auth.aws.session_token',
] as const;

/** One configured LLM, defaults filled in. */
export type InstanceConf = Infer<{
  type: 'object';
  properties: typeof instanceFields;
  required: readonly ['provider', 'auth'];
}>;

/**
 * What the schema cannot say about an instance that fits it. A reference to a secret passes for any value.
 *
 * @returns One sentence that names the field, without any value of `auth`; null if all is well.
 */
export function checkInstance(conf: InstanceConf): string | null {
  return (
    checkServiceAccount(conf) ??
    checkProvider(conf) ??
    checkEndpoint(conf) ??
    checkRegion(conf) ??
    checkCredentials(conf)
  );
}

function checkServiceAccount(conf: InstanceConf): string | null {
  const json = conf.auth.gcp?.service_account_json;
  return json === undefined || isSecretReference(json) ? null : checkServiceAccountJson(json);
}

function checkProvider(conf: InstanceConf): string | null {
  const provider = findProvider(conf.provider);
  if (provider === undefined) return `ai provider: ${conf.provider} is not supported.`;
  const hasEndpoint = conf.override?.endpoint !== undefined;
  if (provider.origin === null && !hasEndpoint) return `override.endpoint is required for ${conf.provider} provider`;
  const hasAwsCredential = conf.auth.aws !== undefined;
  return provider.check?.({ conf: conf.provider_conf ?? {}, hasEndpoint, hasAwsCredential }) ?? null;
}

function checkEndpoint(conf: InstanceConf): string | null {
  const endpoint = conf.override?.endpoint;
  if (endpoint === undefined || isSecretReference(endpoint)) return null;
  const parsed = parseEndpoint(endpoint);
  return typeof parsed === 'string' ? `override.endpoint: ${parsed}` : null;
}

/** It becomes a part of a host name. */
function checkRegion(conf: InstanceConf): string | null {
  const region = conf.provider_conf?.region;
  if (region === undefined || isSecretReference(region) || /^[a-z0-9-]+$/i.test(region)) return null;
  return 'provider_conf.region: expected letters, digits and hyphens, such as us-east-1';
}

function checkCredentials(conf: InstanceConf): string | null {
  for (const [name, value] of Object.entries(conf.auth.header ?? {})) {
    const fault = checkHeader(name, value);
    if (fault !== null) return `auth.header ${JSON.stringify(name)} ${fault}`;
  }
  for (const [name, value] of Object.entries(conf.auth.query ?? {})) {
    if (typeof value !== 'string') return `auth.query ${JSON.stringify(name)} must be a string`;
  }
  return null;
}
