import { WeirError } from '../../base/errors.ts';
import { CredentialError } from '../../cloud-auth/credential-error.ts';
import { parseServiceAccount, type ServiceAccount } from '../../cloud-auth/google-token.ts';
import { googleTokens } from '../../cloud-auth/google-tokens.ts';
import { parseJsonObject } from '../json.ts';
import type { RequestSigner } from './request-signer.ts';

const environmentVariable = 'GCP_SERVICE_ACCOUNT';
const defaultExpireEarlySeconds = 60;

/** `auth.gcp`. */
export interface GcpSignerOptions {
  /** Key file of the service account; undefined: the environment variable `GCP_SERVICE_ACCOUNT` holds it. */
  readonly serviceAccountJson?: string | undefined;
  /** Use a token for at most this long; undefined: as long as it is valid. */
  readonly maxTtlSeconds?: number | undefined;
  /** Stop using a token so long before it expires. Default 60. */
  readonly expireEarlySeconds?: number | undefined;
}

/**
 * Adds `Authorization: Bearer` with an access token of Google Cloud, at once while one is at hand; signers with equal
 * options share it. A service account that cannot be used is told by `sign`: it may come from a secret that is read later.
 *
 * @param tokens - Those of this worker; tests bring their own, with a clock.
 */
export function createGcpSigner(options: GcpSignerOptions, tokens = googleTokens): RequestSigner {
  const account = readAccount(options.serviceAccountJson ?? process.env[environmentVariable]);
  const policy = {
    expireEarlySeconds: options.expireEarlySeconds ?? defaultExpireEarlySeconds,
    maxTtlSeconds: options.maxTtlSeconds ?? null,
    verifyTls: true,
  };
  return {
    sign() {
      if (account instanceof CredentialError) throw toWeirError(account);
      try {
        const token = tokens.get(account, policy);
        return typeof token === 'string' ? toLine(token) : token.then(toLine, rethrow);
      } catch (error) {
        throw toWeirError(error);
      }
    },
  };
}

/**
 * The check of `auth.gcp.service_account_json` when it is configured; as APISIX only whether it is JSON at all.
 *
 * @returns null, or what is wrong with it.
 */
export function checkServiceAccountJson(text: string): string | null {
  return parseJsonObject(text) === null ? 'invalid gcp service_account_json: expected the text of a JSON object' : null;
}

function readAccount(json: string | undefined): ServiceAccount | CredentialError {
  if (json === undefined) {
    return new CredentialError(
      `neither auth.gcp.service_account_json nor the environment variable ${environmentVariable} is set`,
    );
  }
  try {
    return parseServiceAccount(json);
  } catch (error) {
    if (error instanceof CredentialError) return error;
    throw error;
  }
}

function toLine(token: string): string {
  return `authorization: Bearer ${token}\r\n`;
}

function rethrow(error: unknown): never {
  throw toWeirError(error);
}

function toWeirError(error: unknown): unknown {
  return error instanceof CredentialError ? new WeirError('LLM_AUTH', [error.message], { cause: error }) : error;
}
