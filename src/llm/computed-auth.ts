import type { AiProxyConf } from './ai-proxy-schema.ts';
import { createAwsSigner } from './auth/aws-signer.ts';
import { createGcpSigner } from './auth/gcp-signer.ts';
import type { RequestSigner } from './auth/request-signer.ts';
import type { Provider } from './providers/define-provider.ts';

/** A credential that is computed for each request, or fetched: `auth.aws` or `auth.gcp`. */
export interface ComputedAuth {
  readonly signer: RequestSigner;
  /** Header fields that nobody else may set; names in lower case. */
  readonly headerNames: readonly string[];
  /** False: there is nothing to compute it from, and each request will fail. */
  readonly isComplete: boolean;
}

/** Those of the signature, and others that AWS clients send: AWS refuses `x-amz-*` fields that are not signed. */
const awsHeaderNames: readonly string[] = [
  'authorization',
  'x-amz-date',
  'x-amz-security-token',
  'x-amz-content-sha256',
  'x-amz-user-agent',
];

/**
 * Makes the computed credential of a configuration. A signature, where the provider takes one, is preferred to a token.
 *
 * @returns null if `auth` configures none that this provider takes.
 */
export function compileComputedAuth(conf: AiProxyConf, provider: Provider): ComputedAuth | null {
  const { aws, gcp } = conf.auth;
  const region = conf.provider_conf?.region;
  if (provider.awsService !== undefined && aws !== undefined && region !== undefined) {
    const signer = createAwsSigner({
      accessKeyId: aws.access_key_id,
      secretAccessKey: aws.secret_access_key,
      sessionToken: aws.session_token,
      region,
      service: provider.awsService,
    });
    return { signer, headerNames: awsHeaderNames, isComplete: true };
  }
  if (gcp === undefined) return null;
  const signer = createGcpSigner({
    serviceAccountJson: gcp.service_account_json,
    maxTtlSeconds: gcp.max_ttl,
    expireEarlySeconds: gcp.expire_early_secs,
  });
  const isComplete = (gcp.service_account_json ?? process.env['GCP_SERVICE_ACCOUNT']) !== undefined;
  return { signer, headerNames: ['authorization'], isComplete };
}
