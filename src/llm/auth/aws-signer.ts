import { WeirError } from '../../base/errors.ts';
import { AwsSigV4, type AwsCredentials, type AwsScope } from '../../cloud-auth/aws-sigv4.ts';
import type { RequestSigner } from './request-signer.ts';

/** `auth.aws` with where it is used. */
export interface AwsSignerOptions extends AwsCredentials, AwsScope {}

/**
 * Signs requests with AWS Signature Version 4, at once. The path of the request must have each segment escaped once.
 * Credentials that cannot be sent are told by `sign`, as they may come from a secret that is read later.
 *
 * @param now - The time of the signature; AWS refuses one that is more than 5 minutes off.
 */
export function createAwsSigner(options: AwsSignerOptions, now = (): Date => new Date()): RequestSigner {
  const fault = findFault(options);
  const signature = new AwsSigV4(options, options);
  return {
    sign({ method, target, host, body }) {
      if (fault !== null) throw new WeirError('LLM_AUTH', [fault]);
      const headers = signature.sign({ method, target, headers: { host }, body }, now());
      let lines = '';
      for (const [name, value] of Object.entries(headers)) lines += `${name}: ${value}\r\n`;
      return lines;
    },
  };
}

function findFault(options: AwsSignerOptions): string | null {
  const values = {
    'auth.aws.access_key_id': options.accessKeyId,
    'auth.aws.secret_access_key': options.secretAccessKey,
    'auth.aws.session_token': options.sessionToken,
    'provider_conf.region': options.region,
  };
  for (const [field, value] of Object.entries(values)) {
    // A line break in the secret alone, as files end with one, would only make signatures that AWS refuses.
    if (value === undefined || /^[\x21-\x7e]+$/.test(value)) continue;
    return `${field} must consist of printable ASCII characters without spaces`;
  }
  return null;
}
