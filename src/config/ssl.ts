import type { Infer, JsonSchema } from '../schema/infer.ts';
import { checkAuthority, checkKeyPair } from './key-pair.ts';
import { commonFields, pemSchema } from './resource-fields.ts';
import { defineResource } from './resource.ts';
import { BoundedPattern } from '../router/bounded-pattern.ts';
import { checkSecretReferences } from './secret-reference.ts';
import type { StoredResource } from './store/store.ts';

const serverName = { type: 'string', pattern: '^\\*?[0-9a-zA-Z-._]+$' } as const satisfies JsonSchema;

const { name: _, ...sslFields } = commonFields;

const sslSchema = {
  type: 'object',
  properties: {
    ...sslFields,
    type: {
      type: 'string',
      enum: ['server', 'client'],
      default: 'server',
      description: 'server: shown to clients. client: shown to upstreams that name it in `tls.client_cert_id`.',
    },
    cert: { ...pemSchema, description: 'The certificate, and those between it and an authority, in PEM format.' },
    key: { ...pemSchema, description: 'Its private key. It is never returned.' },
    certs: { type: 'array', items: pemSchema, description: 'Further certificates for the same names, ECDSA say.' },
    keys: { type: 'array', items: pemSchema, description: 'Their keys, in the same order.' },
    sni: serverName,
    snis: { type: 'array', items: serverName, minItems: 1, description: 'Names, `*.` in front for all of a domain.' },
    client: {
      type: 'object',
      description: 'Clients must show a certificate of this authority.',
      properties: {
        ca: pemSchema,
        depth: {
          type: 'integer',
          minimum: 0,
          default: 1,
          description: 'How many certificates may be between it and the client.',
        },
        skip_mtls_uri_regex: {
          type: 'array',
          minItems: 1,
          uniqueItems: true,
          items: { type: 'string' },
          description: 'Paths that need no certificate: PCRE patterns.',
        },
      },
      required: ['ca'],
    },
    status: { type: 'integer', enum: [1, 0], default: 1, description: '1: in use. 0: switched off.' },
    ssl_protocols: {
      type: 'array',
      items: { type: 'string', enum: ['TLSv1.1', 'TLSv1.2', 'TLSv1.3'] },
      maxItems: 3,
      uniqueItems: true,
      description: 'Not set: those of `apisix.ssl.ssl_protocols`.',
    },
    validity_start: { type: 'integer', description: 'For people; the gateway looks at the certificate.' },
    validity_end: { type: 'integer', description: 'For people; the gateway looks at the certificate.' },
  },
  if: { properties: { type: { enum: ['server'] } } },
  then: { oneOf: [{ required: ['sni', 'key', 'cert'] }, { required: ['snis', 'key', 'cert'] }] },
  else: { required: ['key', 'cert'] },
  additionalProperties: false,
} as const satisfies JsonSchema;

/** A certificate as workers get it: checked, with the defaults filled in. */
export type Ssl = Infer<typeof sslSchema>;

/** A certificate with its key: for the names of the data plane, or to show to upstreams. */
export const ssl = defineResource({
  kind: 'ssls',
  name: 'ssl',
  schema: sslSchema,
  hiddenFields: ['key', 'keys'],
  mayDefer: true,
  checkRules(conf) {
    const wrong = checkSecretReferences(conf) ?? checkPairs(conf as Partial<Ssl>);
    return wrong === null ? null : `invalid configuration: ${wrong}`;
  },
});

/** What upstreams are shown of a resource `ssls`; null: there is none, or it is not of the type `client`. */
export function clientKeyPairOf(resource: StoredResource | undefined): { cert: string; key: string } | null {
  const { type, cert, key } = (resource?.value ?? {}) as Partial<Ssl>;
  return type !== 'client' || cert === undefined || key === undefined ? null : { cert, key };
}

function checkPairs({ cert = '', key = '', certs = [], keys = [], client }: Partial<Ssl>): string | null {
  if (certs.length !== keys.length) return 'mismatched number of certs and keys';
  const first = checkKeyPair({ cert, key });
  if (first !== null) return first;
  for (const [index, further] of certs.entries()) {
    const wrong = checkKeyPair({ cert: further, key: keys[index] ?? '' });
    if (wrong !== null) return `certs and keys, item ${index + 1}: ${wrong}`;
  }
  if (client === undefined) return null;
  return checkPatterns(client.skip_mtls_uri_regex) ?? checkAuthority(client.ca);
}

function checkPatterns(patterns: readonly string[] = []): string | null {
  for (const [index, pattern] of patterns.entries()) {
    try {
      void new BoundedPattern(pattern);
    } catch {
      return `client.skip_mtls_uri_regex, item ${index + 1}: expected a regular expression, got ${JSON.stringify(pattern)}`;
    }
  }
  return null;
}
