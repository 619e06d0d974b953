import type { KeyObject } from 'node:crypto';
import type * as jose from 'jose';
import type { Credential } from '../../pipeline/consumer.ts';
import { verificationKey, type JwtCredential } from './jwt-credential.ts';

/** The payload of a token. */
export type Claims = Readonly<Record<string, unknown>>;

/** Reading a key costs more than a signature, and a credential stays the same object for as long as its values do. */
const keys = new WeakMap<Credential, KeyObject>();

/** Loading it takes 50 ms, so only who configures the plugin pays for that. */
export type Jose = typeof jose;

/**
 * Verifies that a token was signed for this credential and is good now.
 *
 * @param claimsToVerify - `exp` and `nbf` are looked at if they are named here and the token has them.
 * @returns Null, or what is wrong, without anything of the token.
 */
export async function verifyToken(
  { compactVerify, decodeJwt }: Jose,
  token: string,
  { credential, claimsToVerify }: { credential: Credential; claimsToVerify: ReadonlySet<string> },
): Promise<string | null> {
  const conf = credential.conf as JwtCredential;
  try {
    // Without the list, a token could choose how it is verified.
    await compactVerify(token, keyOf(credential, conf), { algorithms: [conf.algorithm] });
  } catch (error) {
    return error instanceof Error ? error.name : 'the signature cannot be verified';
  }
  const claims: Claims = decodeJwt(token);
  const now = Date.now() / 1000;
  const leeway = conf.lifetime_grace_period;
  return (
    (claimsToVerify.has('exp') ? checkTime(claims, 'exp', (exp) => now < exp + leeway) : null) ??
    (claimsToVerify.has('nbf') ? checkTime(claims, 'nbf', (nbf) => now >= nbf - leeway) : null)
  );
}

function checkTime(claims: Claims, name: string, isGood: (seconds: number) => boolean): string | null {
  const seconds = claims[name];
  if (seconds === undefined) return null;
  if (typeof seconds !== 'number') return `the claim ${name} is no number`;
  if (isGood(seconds)) return null;
  return name === 'exp' ? 'the token has expired' : 'the token is not valid yet';
}

function keyOf(credential: Credential, conf: JwtCredential): KeyObject {
  let key = keys.get(credential);
  if (key === undefined) {
    key = verificationKey(conf);
    keys.set(credential, key);
  }
  return key;
}
