import { createPrivateKey, hash, sign, type KeyObject } from 'node:crypto';
import { callService, parseObject } from './call-service.ts';
import { CredentialError } from './credential-error.ts';

const defaultTokenUri = 'https://oauth2.googleapis.com/token';
const defaultScope = 'https://www.googleapis.com/auth/cloud-platform';
const grantType = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

/** The longest that Google allows an assertion to be valid. */
const assertionSeconds = 3600;
const grantTimeoutMs = 10_000;

/** A service account of Google Cloud that can ask for tokens. */
export interface ServiceAccount {
  readonly clientEmail: string;
  readonly privateKey: KeyObject;
  /** `kid` of the assertion; null if not known, Google then tries all keys of the account. */
  readonly keyId: string | null;
  readonly tokenUri: string;
  /** Separated by spaces. */
  readonly scope: string;
  /** Differs between any two accounts that may not share a token. Not a secret. */
  readonly digest: string;
}

/**
 * Reads the fields of a service account's key file: `client_email`, `private_key` (PEM, RSA), and if they are there
 * `private_key_id`, `token_uri` and `scope` (a text or a list of texts).
 *
 * @throws CredentialError that names the field.
 */
export function toServiceAccount(fields: Readonly<Record<string, unknown>>): ServiceAccount {
  const clientEmail = textOf(fields, 'client_email');
  const pem = textOf(fields, 'private_key');
  const tokenUri = fields['token_uri'] === undefined ? defaultTokenUri : textOf(fields, 'token_uri');
  const keyId = fields['private_key_id'] === undefined ? null : textOf(fields, 'private_key_id');
  const scope = scopeOf(fields['scope']);
  return {
    clientEmail,
    privateKey: readPrivateKey(pem),
    keyId,
    tokenUri,
    scope,
    digest: hash('sha256', JSON.stringify([clientEmail, pem, keyId, tokenUri, scope])),
  };
}

/** {@link toServiceAccount} of the JSON text of a key file. */
export function parseServiceAccount(json: string): ServiceAccount {
  const fields = parseObject(json);
  if (fields === null) throw new CredentialError('the service account is not a JSON object');
  return toServiceAccount(fields);
}

function textOf(fields: Readonly<Record<string, unknown>>, name: string): string {
  const value = fields[name];
  if (typeof value === 'string' && value !== '') return value;
  throw new CredentialError(`${name} of the service account must be a string that is not empty`);
}

function scopeOf(value: unknown): string {
  if (Array.isArray(value) && value.length > 0) return value.join(' ');
  return typeof value === 'string' && value !== '' ? value : defaultScope;
}

function readPrivateKey(pem: string): KeyObject {
  try {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyType === 'rsa') return key;
  } catch {
    // The error of OpenSSL says nothing that helps, and goes the same way as a key of another kind.
  }
  throw new CredentialError('private_key of the service account must be an RSA private key in PEM');
}

interface GrantedToken {
  readonly token: string;
  /** From the moment of the answer on. */
  readonly expiresInSeconds: number;
}

interface GrantOptions {
  /** Wall clock, in ms since 1970. */
  readonly now: number;
  readonly verifyTls: boolean;
}

/**
 * Exchanges a signed assertion for an access token.
 *
 * @throws CredentialError when the token endpoint refuses, answers nonsense or does not answer within 10 s.
 * @see https://developers.google.com/identity/protocols/oauth2/service-account#httprest
 */
export async function requestToken(account: ServiceAccount, options: GrantOptions): Promise<GrantedToken> {
  const form = new URLSearchParams({ grant_type: grantType, assertion: createAssertion(account, options.now) });
  const { status, text } = await callService({
    service: 'token endpoint',
    url: account.tokenUri,
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' },
    body: Buffer.from(form.toString()),
    timeoutMs: grantTimeoutMs,
    verifyTls: options.verifyTls,
  });
  const answer = parseObject(text) ?? {};
  if (status !== 200) throw new CredentialError(`token endpoint answered ${status}${errorCode(answer['error'])}`);

  const token = answer['access_token'];
  // It is written into a header as it is, so it must not be able to end one.
  if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token)) {
    throw new CredentialError('token endpoint answered 200 without a usable access_token');
  }
  const expiresIn = Number(answer['expires_in'] ?? assertionSeconds);
  return { token, expiresInSeconds: Number.isFinite(expiresIn) ? expiresIn : assertionSeconds };
}

function createAssertion(account: ServiceAccount, now: number): string {
  const issuedAt = Math.floor(now / 1000);
  const header = { alg: 'RS256', typ: 'JWT', ...(account.keyId !== null && { kid: account.keyId }) };
  const claims = {
    iss: account.clientEmail,
    scope: account.scope,
    aud: account.tokenUri,
    iat: issuedAt,
    exp: issuedAt + assertionSeconds,
  };
  const unsigned = `${toBase64Url(header)}.${toBase64Url(claims)}`;
  return `${unsigned}.${sign('sha256', Buffer.from(unsigned), account.privateKey).toString('base64url')}`;
}

function toBase64Url(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url');
}

/** Codes of OAuth such as `invalid_grant`; a free text of the endpoint could repeat what was sent. */
function errorCode(error: unknown): string {
  return typeof error === 'string' && /^[a-z_]{1,60}$/.test(error) ? `: ${error}` : '';
}
