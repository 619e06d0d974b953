import { callService, parseObject } from '../cloud-auth/call-service.ts';
import { CredentialError } from '../cloud-auth/credential-error.ts';
import { uriPattern } from './uri-pattern.ts';
import { defineSecretManager, secretTimeoutMs, type SecretFields } from './secret-manager.ts';

/**
 * HashiCorp Vault (and OpenBao), secrets engine KV version 1 or 2. With version 2 the prefix names the engine's data:
 * `kv/data`.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/secret/kv
 */
export const vault = defineSecretManager({
  schema: {
    type: 'object',
    properties: {
      uri: { type: 'string', pattern: uriPattern, description: 'Address of Vault: https://127.0.0.1:8200.' },
      prefix: {
        type: 'string',
        description: 'Path that all secrets are under, with the mount of the KV engine. KV version 2: `kv/data`.',
      },
      token: { type: 'string', description: 'Token that may read the secrets.' },
      namespace: { type: 'string', description: 'Namespace of Vault Enterprise or HCP Vault.' },
    },
    required: ['uri', 'prefix', 'token'],
    encrypt_fields: ['token'],
  },
  create({ uri, prefix, token, namespace }) {
    const base = uri.replace(/\/+$/, '');
    const headers = {
      'x-vault-token': token,
      ...(namespace !== undefined && { 'x-vault-namespace': namespace }),
    };
    return {
      async fetch(name) {
        const { status, text } = await callService({
          service: 'vault',
          url: `${base}/v1/${toPath(`${prefix}/${name}`)}`,
          method: 'GET',
          headers,
          timeoutMs: secretTimeoutMs,
          verifyTls: true,
        });
        if (status === 404) throw new CredentialError('vault answered 404: there is no such secret');
        if (status !== 200) throw new CredentialError(`vault answered ${status}`);
        return fieldsOf(text);
      },
    };
  },
});

/** Segments that a URL would resolve are refused: they would lead out of the prefix. */
function toPath(text: string): string {
  const segments = text.split('/').filter((segment) => segment !== '');
  if (segments.some((segment) => segment === '.' || segment === '..')) {
    throw new CredentialError('the path of a secret must not have the segments "." and ".."');
  }
  return segments.map((segment) => encodeURIComponent(segment.toWellFormed())).join('/');
}

function fieldsOf(text: string): SecretFields {
  const data = toObject(parseObject(text)?.['data']);
  if (data === null) throw new CredentialError('vault answered 200 without data');
  // Version 2 puts the secret one level deeper, beside a metadata object that has its version.
  const isVersion2 = typeof toObject(data['metadata'])?.['version'] === 'number';
  return (isVersion2 ? toObject(data['data']) : null) ?? data;
}

function toObject(value: unknown): SecretFields | null {
  return typeof value === 'object' && value !== null ? (value as SecretFields) : null;
}
