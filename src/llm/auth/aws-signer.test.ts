import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { WeirError } from '../../base/errors.ts';
import { createAwsSigner, type AwsSignerOptions } from './aws-signer.ts';

const options: AwsSignerOptions = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
  region: 'us-east-1',
  service: 'service',
};
const request = { method: 'GET', target: '/', host: 'example.amazonaws.com', body: Buffer.alloc(0) };
const now = (): Date => new Date('2015-08-30T12:36:00Z');

describe('the AWS signer', () => {
  // get-vanilla of AWS's test suite
  it('gives the header lines at once, signed for the host they go to', () => {
    assert.equal(
      createAwsSigner(options, now).sign(request),
      'x-amz-date: 20150830T123600Z\r\n' +
        'authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31\r\n',
    );
  });

  it('signs and sends a session token', () => {
    const sessionToken = '6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267';
    assert.equal(
      createAwsSigner({ ...options, sessionToken }, now).sign(request),
      'x-amz-date: 20150830T123600Z\r\n' +
        `x-amz-security-token: ${sessionToken}\r\n` +
        'authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date;x-amz-security-token, Signature=07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8\r\n',
    );
  });

  it('uses the time of the request', () => {
    const signer = createAwsSigner(options);
    const before = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
    const lines = signer.sign(request);
    assert.ok(typeof lines === 'string');
    const time = /x-amz-date: (\w+)/.exec(lines)?.[1] ?? '';
    assert.ok(time >= before && time <= new Date().toISOString().replace(/[-:]|\.\d+/g, ''));
  });

  const wrong: readonly [field: string, Partial<AwsSignerOptions>][] = [
    ['auth.aws.access_key_id', { accessKeyId: 'SECRET\r\nx-evil: 1' }],
    ['auth.aws.secret_access_key', { secretAccessKey: 'SECRET\n' }],
    ['auth.aws.secret_access_key', { secretAccessKey: '' }],
    ['auth.aws.session_token', { sessionToken: 'SECRET é' }],
    ['provider_conf.region', { region: 'SECRET 1' }],
  ];
  for (const [field, part] of wrong) {
    it(`refuses ${JSON.stringify(part)} without repeating it`, () => {
      const signer = createAwsSigner({ ...options, ...part });
      assert.throws(
        () => signer.sign(request),
        (error) =>
          error instanceof WeirError &&
          error.code === 'LLM_AUTH' &&
          error.message ===
            `failed to get the credential for the provider: ${field} must consist of printable ASCII characters without spaces`,
      );
    });
  }
});
