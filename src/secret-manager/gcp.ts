import { readFile } from 'node:fs/promises';
import { callService, parseObject } from '../cloud-auth/call-service.ts';
import { CredentialError } from '../cloud-auth/credential-error.ts';
import { toServiceAccount } from '../cloud-auth/google-token.ts';
import { googleTokens } from '../cloud-auth/google-tokens.ts';
import { defineSecretManager, secretTimeoutMs, toSecretFields, type SecretFields } from './secret-manager.ts';

const service = 'GCP Secret Manager';
const defaultEntriesUri = 'https://secretmanager.googleapis.com/v1';

/**
 * Google Cloud Secret Manager: the latest version of secrets whose text is a JSON object.
 *
 * @see https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access
 */
export const gcpSecretManager = defineSecretManager({
  schema: {
    type: 'object',
    properties: {
      auth_config: {
        type: 'object',
        description: 'The service account, as in its key file.',
        properties: {
          client_email: { type: 'string', description: 'E-mail address of the service account.' },
          private_key: { type: 'string', description: 'Private key of the service account, PEM.' },
          project_id: { type: 'string', description: 'Project that keeps the secrets.' },
          token_uri: {
            type: 'string',
            default: 'https://oauth2.googleapis.com/token',
            description: 'Where access tokens are granted.',
          },
          scope: {
            type: 'array',
            items: { type: 'string' },
            default: ['https://www.googleapis.com/auth/cloud-platform'],
            description: 'Scopes of the access token.',
          },
          entries_uri: { type: 'string', default: defaultEntriesUri, description: 'Address of the API.' },
        },
        required: ['client_email', 'private_key', 'project_id'],
      },
      auth_file: { type: 'string', description: 'File that holds what `auth_config` would; read at each use.' },
      ssl_verify: { type: 'boolean', default: true, description: 'Verify the certificates of Google.' },
    },
    oneOf: [{ required: ['auth_config'] }, { required: ['auth_file'] }],
    encrypt_fields: ['auth_config.private_key'],
  },
  create({ auth_config: authConfig, auth_file: authFile, ssl_verify: verifyTls }) {
    return {
      async fetch(name) {
        const account = authConfig ?? (await readAuthFile(authFile ?? ''));
        const policy = { expireEarlySeconds: 60, maxTtlSeconds: null, verifyTls };
        const token = await googleTokens.get(toServiceAccount(account), policy);
        const { status, text } = await callService({
          service,
          url: secretUrl(account, name),
          method: 'GET',
          headers: { authorization: `Bearer ${token}`, accept: 'application/json' },
          timeoutMs: secretTimeoutMs,
          verifyTls,
        });
        if (status !== 200) throw new CredentialError(`${service} answered ${status}`);
        return toSecretFields(payloadOf(text));
      },
    };
  },
});

async function readAuthFile(path: string): Promise<SecretFields> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new CredentialError('auth_file of the secret manager cannot be read', { cause: error });
  }
  const fields = parseObject(text);
  if (fields === null) throw new CredentialError('auth_file of the secret manager is not a JSON object');
  return fields;
}

function secretUrl(account: SecretFields, name: string): string {
  const { project_id: project, entries_uri: entriesUri = defaultEntriesUri } = account;
  if (typeof project !== 'string' || project === '') {
    throw new CredentialError('project_id of the service account must be a string that is not empty');
  }
  const base = String(entriesUri).replace(/\/+$/, '');
  return `${base}/projects/${escape(project)}/secrets/${escape(name)}/versions/latest:access`;
}

function escape(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}

function payloadOf(text: string): string {
  const payload = parseObject(text)?.['payload'];
  const data = typeof payload === 'object' && payload !== null && 'data' in payload ? payload.data : null;
  if (typeof data !== 'string') throw new CredentialError(`${service} answered 200 without payload.data`);
  return Buffer.from(data, 'base64').toString('utf8');
}
