import { awsSecretsManager } from './aws.ts';
import { gcpSecretManager } from './gcp.ts';
import type { SecretManagerKind } from './secret-manager.ts';
import { vault } from './vault.ts';

/** All kinds of secret managers, by the name in `$secret://{kind}/{id}/...`. */
export const secretManagerKinds = {
  vault,
  aws: awsSecretsManager,
  gcp: gcpSecretManager,
} as const satisfies Record<string, SecretManagerKind>;
