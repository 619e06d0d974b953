import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { BedrockRuntimeClient } from '@aws-sdk/client-bedrock-runtime';
import { AwsSigV4, type AwsCredentials } from '../../src/cloud-auth/aws-sigv4.ts';
import { encodeAwsEvent } from '../../src/llm/framing/aws-event-stream.ts';
import { fieldOf, type Answer, type RecordedRequest } from './mock-provider.ts';

export const bedrockRegion = 'eu-west-1';

/** By itself the client speaks HTTP/2. Its other handler is a dependency of the client, not of ours. */
const { NodeHttpHandler } = createRequire(import.meta.resolve('@aws-sdk/client-bedrock-runtime'))(
  '@smithy/node-http-handler',
);

/** Amazon's own client. It signs with `credentials`, and does not try again. */
export function bedrockClient(endpoint: string, credentials: AwsCredentials): BedrockRuntimeClient {
  return new BedrockRuntimeClient({
    region: bedrockRegion,
    endpoint,
    credentials: {
      accessKeyId: credentials.accessKeyId,
      secretAccessKey: credentials.secretAccessKey,
      ...(credentials.sessionToken !== undefined && { sessionToken: credentials.sessionToken }),
    },
    maxAttempts: 1,
    requestHandler: new NodeHttpHandler(),
  });
}

/**
 * Checks a signature as AWS does: makes it once more out of what arrived. Fields `x-amz-*` must all be covered by it.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */
export function assertSigned(request: RecordedRequest | undefined, credentials: AwsCredentials): void {
  assert.ok(request !== undefined, 'nothing arrived');
  const time = fieldOf(request, 'x-amz-date') ?? '';
  const at = new Date(time.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  assert.ok(Math.abs(Date.now() - at.getTime()) < 10_000, `signed at ${time}`);
  const { method, target, body, fields } = request;
  const headers = { host: fieldOf(request, 'host') ?? '' };
  const signature = new AwsSigV4(credentials, { region: bedrockRegion, service: 'bedrock' });
  const expected = signature.sign({ method, target, headers, body }, at);
  for (const [name, value] of Object.entries(expected)) assert.equal(fieldOf(request, name), value);
  const unsigned = fields.map(([name]) => name.toLowerCase()).filter((name) => name.startsWith('x-amz-'));
  assert.deepEqual(
    unsigned.filter((name) => !(name in expected)),
    [],
  );
}

/** A frame of ConverseStream. */
export function converseEvent(type: string, payload: object): Buffer {
  return encodeAwsEvent({
    headers: { ':event-type': type, ':content-type': 'application/json', ':message-type': 'event' },
    payload: JSON.stringify(payload),
  });
}

/** A frame that ends a stream with an error. @param type - With a small first letter: `throttlingException`. */
export function converseException(type: string, message: string): Buffer {
  return encodeAwsEvent({
    headers: { ':exception-type': type, ':content-type': 'application/json', ':message-type': 'exception' },
    payload: JSON.stringify({ message }),
  });
}

/** Answers with frames, in pieces that have nothing to do with them. */
export function answerFrames(frames: readonly Buffer[]): Answer {
  return (_request, response) => {
    response.writeHead(200, { 'Content-Type': 'application/vnd.amazon.eventstream', 'x-amzn-requestid': 'req-1' });
    const bytes = Buffer.concat(frames);
    for (let at = 0; at < bytes.length; at += 61) response.write(bytes.subarray(at, at + 61));
    response.end();
  };
}

const usage = { inputTokens: 8, outputTokens: 5, totalTokens: 13, cacheReadInputTokens: 4 };

/** A whole answer of Converse: text and a tool call. */
export const converseAnswer = {
  output: {
    message: {
      role: 'assistant',
      content: [
        { text: 'Héllo 🌊' },
        { toolUse: { toolUseId: 't1', name: 'get_weather', input: { city: 'Paris "é"' } } },
      ],
    },
  },
  stopReason: 'tool_use',
  usage,
  metrics: { latencyMs: 5 },
};

/** The same as frames; the first two bring `Hé`. */
export const converseFrames: readonly Buffer[] = [
  converseEvent('messageStart', { role: 'assistant' }),
  converseEvent('contentBlockDelta', { contentBlockIndex: 0, delta: { text: 'Hé' } }),
  converseEvent('contentBlockDelta', { contentBlockIndex: 0, delta: { text: 'llo 🌊' } }),
  converseEvent('contentBlockStop', { contentBlockIndex: 0 }),
  converseEvent('contentBlockStart', {
    contentBlockIndex: 1,
    start: { toolUse: { toolUseId: 't1', name: 'get_weather' } },
  }),
  converseEvent('contentBlockDelta', { contentBlockIndex: 1, delta: { toolUse: { input: '{"city":"Par' } } }),
  converseEvent('contentBlockDelta', { contentBlockIndex: 1, delta: { toolUse: { input: 'is \\"é\\""}' } } }),
  converseEvent('contentBlockStop', { contentBlockIndex: 1 }),
  converseEvent('messageStop', { stopReason: 'tool_use' }),
  converseEvent('metadata', { usage, metrics: { latencyMs: 5 } }),
];
