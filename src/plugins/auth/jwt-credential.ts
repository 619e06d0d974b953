import { createPublicKey, createSecretKey, type KeyObject } from 'node:crypto';
import { isSecretReference } from '../../config/secret-reference.ts';
import type { Infer } from '../../schema/infer.ts';

const symmetric = ['HS256', 'HS384', 'HS512'] as const;
const asymmetric = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'] as const;

/** What a consumer or credential has under `jwt-auth`. */
export const jwtCredentialSchema = {
  type: 'object',
  properties: {
    key: {
      type: 'string',
      minLength: 1,
      description: 'What the tokens of the consumer say in the claim `key_claim_name`. Every consumer has another one.',
    },
    algorithm: {
      type: 'string',
      enum: [...symmetric, ...asymmetric],
      default: 'HS256',
      description: 'How its tokens are signed; a token that says otherwise is refused.',
    },
    secret: { type: 'string', minLength: 1, description: 'HS256, HS384, HS512: the key that tokens are signed with.' },
    base64_secret: { type: 'boolean', default: false, description: 'The secret is written in base64.' },
    public_key: { type: 'string', minLength: 1, description: 'The other algorithms: the public key, in PEM format.' },
    private_key: { type: 'string', description: 'Accepted without effect: the gateway signs nothing.' },
    exp: {
      type: 'integer',
      minimum: 1,
      default: 86400,
      description: 'Accepted without effect: the token itself says until when it is good.',
    },
    lifetime_grace_period: {
      type: 'integer',
      minimum: 0,
      default: 0,
      description: 'Seconds by which the clock of who signs may differ from ours.',
    },
  },
  required: ['key'],
  encrypt_fields: ['secret', 'private_key'],
} as const;

export type JwtCredential = Infer<typeof jwtCredentialSchema>;

/** Key types of node:crypto by the beginning of the algorithm's name. https://www.rfc-editor.org/rfc/rfc7518#section-3.1 */
const keyTypes: Readonly<Record<string, readonly string[]>> = {
  RS: ['rsa'],
  PS: ['rsa', 'rsa-pss'],
  ES: ['ec'],
  Ed: ['ed25519'],
};
const curves: Readonly<Record<string, string>> = { ES256: 'prime256v1', ES384: 'secp384r1', ES512: 'secp521r1' };
/** What RFC 7518 asks for RS* and PS*. */
const minRsaBits = 2048;

/** What the schema cannot say: null, or what is wrong. References to secrets pass. */
export function checkJwtCredential(given: Readonly<Record<string, unknown>>): string | null {
  const conf = given as JwtCredential;
  const { algorithm, secret, base64_secret, public_key } = conf;
  if (isSymmetric(algorithm)) {
    if (secret === undefined) return `property "secret" is required when "algorithm" is "${algorithm}"`;
    if (!base64_secret || isSecretReference(secret) || isBase64(secret)) return null;
    return 'base64_secret required but the secret is not in base64 format';
  }
  if (public_key === undefined) return `property "public_key" is required when "algorithm" is "${algorithm}"`;
  return isSecretReference(public_key) ? null : checkPublicKey(public_key, algorithm);
}

/** @throws Error when a key cannot be read. */
export function verificationKey({ algorithm, secret = '', base64_secret, public_key = '' }: JwtCredential): KeyObject {
  if (!isSymmetric(algorithm)) return createPublicKey(public_key);
  return createSecretKey(Buffer.from(secret, base64_secret ? 'base64' : 'utf8'));
}

function isSymmetric(algorithm: string): boolean {
  return symmetric.some((name) => name === algorithm);
}

/** One character alone stands for no byte: the key would be empty, and everybody's. */
function isBase64(text: string): boolean {
  return /^[A-Za-z0-9+/_-]{2,}={0,2}$/.test(text);
}

function checkPublicKey(pem: string, algorithm: string): string | null {
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch {
    return 'property "public_key" is no public key in PEM format';
  }
  const { asymmetricKeyType = '', asymmetricKeyDetails: { modulusLength = minRsaBits, namedCurve } = {} } = key;
  const types = keyTypes[algorithm.slice(0, 2)] ?? [];
  if (!types.includes(asymmetricKeyType)) {
    return `property "public_key" must be a key for ${algorithm}, of the type ${types.join(' or ')}, not ${asymmetricKeyType}`;
  }
  const curve = curves[algorithm];
  if (curve !== undefined && namedCurve !== curve) {
    return `property "public_key" must be a key for ${algorithm}, on the curve ${curve}, not ${namedCurve}`;
  }
  if (modulusLength < minRsaBits)
    return `property "public_key" must have at least ${minRsaBits} bits, not ${modulusLength}`;
  return null;
}
