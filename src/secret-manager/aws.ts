import { AwsSigV4 } from '../cloud-auth/aws-sigv4.ts';
import { callService, parseObject } from '../cloud-auth/call-service.ts';
import { CredentialError } from '../cloud-auth/credential-error.ts';
import { uriPattern } from './uri-pattern.ts';
import { defineSecretManager, secretTimeoutMs, toSecretFields } from './secret-manager.ts';

const service = 'AWS Secrets Manager';

/**
 * AWS Secrets Manager: the current version of secrets whose text is a JSON object.
 *
 * @see https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
 */
export const awsSecretsManager = defineSecretManager({
  schema: {
    type: 'object',
    properties: {
      access_key_id: { type: 'string', description: 'Access key id of AWS.' },
      secret_access_key: { type: 'string', description: 'Secret access key of AWS.' },
      session_token: { type: 'string', description: 'Session token of temporary credentials.' },
      region: { type: 'string', default: 'us-east-1', description: 'Region of AWS that keeps the secrets.' },
      endpoint_url: {
        type: 'string',
        pattern: uriPattern,
        description: 'Address of AWS Secrets Manager. Not set: https://secretsmanager.{region}.amazonaws.com.',
      },
    },
    required: ['access_key_id', 'secret_access_key'],
    encrypt_fields: ['secret_access_key', 'session_token'],
  },
  create(conf) {
    const { region } = conf;
    const address = conf.endpoint_url ?? `https://secretsmanager.${region}.amazonaws.com/`;
    if (!URL.canParse(address)) throw new CredentialError(`the address of ${service} is not a URL`);
    const url = new URL(address);
    const signature = new AwsSigV4(
      {
        accessKeyId: conf.access_key_id,
        secretAccessKey: conf.secret_access_key,
        sessionToken: conf.session_token,
      },
      { region, service: 'secretsmanager' },
    );
    return {
      async fetch(name) {
        const body = Buffer.from(JSON.stringify({ SecretId: name, VersionStage: 'AWSCURRENT' }));
        const headers = {
          host: url.host,
          'content-type': 'application/x-amz-json-1.1',
          'x-amz-target': 'secretsmanager.GetSecretValue',
        };
        const signed = signature.sign({ method: 'POST', target: url.pathname, headers, body }, new Date());
        const { status, text } = await callService({
          service,
          url: `${url.origin}${url.pathname}`,
          method: 'POST',
          headers: { ...headers, ...signed },
          body,
          timeoutMs: secretTimeoutMs,
          verifyTls: true,
        });
        const answer = parseObject(text) ?? {};
        if (status !== 200) throw new CredentialError(`${service} answered ${status}${errorType(answer['__type'])}`);
        const secret = answer['SecretString'];
        if (typeof secret !== 'string') throw new CredentialError('the secret has no SecretString');
        return toSecretFields(secret);
      },
    };
  },
});

/** `com.amazonaws.secretsmanager#ResourceNotFoundException` -> `: ResourceNotFoundException`. */
function errorType(type: unknown): string {
  const name = typeof type === 'string' ? /(?:^|#)([A-Za-z]{1,80})$/.exec(type)?.[1] : undefined;
  return name === undefined ? '' : `: ${name}`;
}
