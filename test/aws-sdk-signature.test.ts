import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BedrockRuntimeClient, ConverseCommand } from '@aws-sdk/client-bedrock-runtime';
import { AwsSigV4, escapePath } from '../src/cloud-auth/aws-sigv4.ts';

const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret+/=', sessionToken: 'session//token==' };
const region = 'eu-central-1';

interface SdkRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** What AWS's own SDK would send. */
async function signedBySdk(modelId: string): Promise<SdkRequest> {
  let sent: SdkRequest | undefined;
  const client = new BedrockRuntimeClient({
    region,
    credentials,
    maxAttempts: 1,
    requestHandler: {
      handle: (request: SdkRequest) => {
        sent = request;
        return Promise.reject(new Error('seen enough'));
      },
    },
  });
  const command = new ConverseCommand({ modelId, messages: [{ role: 'user', content: [{ text: 'hällo' }] }] });
  await assert.rejects(client.send(command), /seen enough/);
  if (sent === undefined) throw new Error('the SDK sent nothing');
  return sent;
}

function parseTime(text: string): Date {
  return new Date(text.replace(/^(....)(..)(..)T(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z'));
}

describe("the signature of AWS's SDK", () => {
  const modelIds = [
    'amazon.nova-lite-v1',
    'anthropic.claude-3-5-sonnet-20240620-v1:0',
    'arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.anthropic.claude-v1:0',
    "it's (a) test*! 100%",
    'ሴ/é',
  ];
  for (const modelId of modelIds) {
    it(`is ours for the model ${modelId}`, async () => {
      const request = await signedBySdk(modelId);
      const { authorization = '', 'x-amz-date': time = '' } = request.headers;
      const names = /SignedHeaders=([^,]+)/.exec(authorization)?.[1]?.split(';') ?? [];
      const headers: Record<string, string> = {};
      for (const name of names) headers[name] = request.headers[name] ?? '';

      const ours = new AwsSigV4(credentials, { region, service: 'bedrock' }).sign(
        { method: request.method, target: request.path, headers, body: request.body },
        parseTime(time),
      );
      assert.equal(ours['authorization'], authorization);
      assert.equal(escapePath(request.path), request.path);
    });
  }
});
