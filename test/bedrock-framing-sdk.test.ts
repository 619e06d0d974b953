import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, describe, test } from 'node:test';
import {
  BedrockRuntimeClient,
  ConverseCommand,
  ConverseStreamCommand,
  InternalServerException,
  ModelStreamErrorException,
  ServiceUnavailableException,
  ValidationException,
  type ConverseCommandInput,
  type ConverseStreamOutput,
} from '@aws-sdk/client-bedrock-runtime';
import { WeirError } from '../src/base/errors.ts';
import { AwsEventSplitter, encodeAwsEvent } from '../src/llm/framing/aws-event-stream.ts';
import { bedrockConverse } from '../src/llm/protocols/bedrock-converse.ts';
import { answerJson, startProvider, type Provider } from './support/mock-provider.ts';

const question: ConverseCommandInput = { modelId: 'm', messages: [{ role: 'user', content: [{ text: 'Hi' }] }] };
const usage = { inputTokens: 8, outputTokens: 5, totalTokens: 13 };

// By itself the client speaks HTTP/2. Its other handler is a dependency of the client, not of ours.
const ofClient = createRequire(import.meta.resolve('@aws-sdk/client-bedrock-runtime'));
const { NodeHttpHandler } = ofClient('@smithy/node-http-handler');

let provider: Provider;
let client: BedrockRuntimeClient;

before(async () => {
  provider = await startProvider(answerJson({}));
  client = new BedrockRuntimeClient({
    region: 'us-east-1',
    endpoint: provider.url,
    credentials: { accessKeyId: 'id', secretAccessKey: 'secret' },
    maxAttempts: 1,
    requestHandler: new NodeHttpHandler(),
  });
});

after(async () => {
  client.destroy();
  await provider[Symbol.asyncDispose]();
});

function event(type: string, payload: object): Buffer {
  return encodeAwsEvent({
    headers: { ':event-type': type, ':content-type': 'application/json', ':message-type': 'event' },
    payload: JSON.stringify(payload),
  });
}

/** Answers with frames, in pieces that have nothing to do with them. */
function answerFrames(...frames: Buffer[]): void {
  provider.answer = (_request, response) => {
    response.setHeader('Content-Type', 'application/vnd.amazon.eventstream');
    const bytes = Buffer.concat(frames);
    for (let at = 0; at < bytes.length; at += 61) response.write(bytes.subarray(at, at + 61));
    response.end();
  };
}

async function* eventsOf(): AsyncGenerator<ConverseStreamOutput> {
  const { stream } = await client.send(new ConverseStreamCommand(question));
  assert.ok(stream);
  yield* stream;
}

const frames = [
  event('messageStart', { role: 'assistant' }),
  event('contentBlockDelta', { contentBlockIndex: 0, delta: { text: 'Hé' } }),
  event('contentBlockDelta', { contentBlockIndex: 0, delta: { text: 'llo' } }),
  event('contentBlockStop', { contentBlockIndex: 0 }),
  event('contentBlockStart', { contentBlockIndex: 1, start: { toolUse: { toolUseId: 't', name: 'weather' } } }),
  event('contentBlockDelta', { contentBlockIndex: 1, delta: { toolUse: { input: '{"city":' } } }),
  event('contentBlockDelta', { contentBlockIndex: 1, delta: { toolUse: { input: '"Paris"}' } } }),
  event('contentBlockStop', { contentBlockIndex: 1 }),
  event('messageStop', { stopReason: 'tool_use' }),
  event('metadata', { usage, metrics: { latencyMs: 5 } }),
];

describe("Amazon's own Bedrock client", { timeout: 120_000 }, () => {
  test('reads text, a tool call and usage of a stream that Weir has framed, and Weir reads the same', async () => {
    answerFrames(...frames);
    const seen = { text: '', tool: '', input: '', tokens: 0 };
    for await (const { contentBlockStart, contentBlockDelta, metadata } of eventsOf()) {
      seen.tool += contentBlockStart?.start?.toolUse?.name ?? '';
      seen.text += contentBlockDelta?.delta?.text ?? '';
      seen.input += contentBlockDelta?.delta?.toolUse?.input ?? '';
      seen.tokens += metadata?.usage?.totalTokens ?? 0;
    }
    assert.deepEqual(seen, { text: 'Héllo', tool: 'weather', input: '{"city":"Paris"}', tokens: 13 });

    const ours = { text: '', tools: 0, tokens: 0 };
    const splitter = new AwsEventSplitter(({ data }) => {
      const json = JSON.parse(data);
      ours.text += bedrockConverse.deltaTextOf(json);
      ours.tools += Number(bedrockConverse.hasToolCalls(json));
      ours.tokens += bedrockConverse.usageOf(json)?.usage.totalTokens ?? 0;
    });
    splitter.push(Buffer.concat(frames));
    assert.deepEqual(ours, { text: 'Héllo', tools: 1, tokens: 13 });
  });

  const inStream = [
    { code: 'UPSTREAM_RESET', kind: ModelStreamErrorException },
    { code: 'SHUTTING_DOWN', kind: ServiceUnavailableException },
    { code: 'INTERNAL', kind: InternalServerException },
    { code: 'LLM_BODY_EMPTY', kind: ValidationException },
  ] as const;
  for (const { code, kind } of inStream) {
    test(`raises ${kind.name} out of a stream that ends with ${code}`, async () => {
      const error = new WeirError(code, ['the reason']);
      answerFrames(...frames.slice(0, 2), bedrockConverse.renderErrorEvent(error));
      let text = '';
      const reading = (async () => {
        for await (const { contentBlockDelta } of eventsOf()) text += contentBlockDelta?.delta?.text ?? '';
      })();
      await assert.rejects(reading, (raised) => raised instanceof kind && raised.message === error.message);
      assert.equal(text, 'Hé');
    });
  }

  test('reads the same text, tool call and usage of a whole answer as Weir', async () => {
    const toolUse = { toolUseId: 't', name: 'weather', input: { city: 'Paris' } };
    const answer = {
      output: { message: { role: 'assistant', content: [{ text: 'Héllo' }, { toolUse }] } },
      stopReason: 'tool_use',
      usage,
      metrics: { latencyMs: 5 },
    };
    provider.answer = answerJson(answer);
    const read = await client.send(new ConverseCommand(question));
    const content = read.output?.message?.content;
    assert.equal(bedrockConverse.textOf(answer), content?.[0]?.text);
    assert.equal(bedrockConverse.hasToolCalls(answer), content?.[1]?.toolUse !== undefined);
    assert.equal(bedrockConverse.usageOf(answer)?.usage.totalTokens, read.usage?.totalTokens);
    assert.ok(bedrockConverse.matches(provider.requests.at(-1)?.target ?? '', { messages: [] }));
  });

  const whole = [
    { code: 'UPSTREAM_CONNECT', kind: ServiceUnavailableException },
    { code: 'INTERNAL', kind: InternalServerException },
    { code: 'LLM_BODY_EMPTY', kind: ValidationException },
  ] as const;
  for (const { code, kind } of whole) {
    test(`raises ${kind.name} for ${code}`, async () => {
      const error = new WeirError(code, ['the reason']);
      provider.answer = answerJson(JSON.parse(bedrockConverse.renderError(error).body), error.status);
      await assert.rejects(
        client.send(new ConverseCommand(question)),
        (raised) => raised instanceof kind && raised.message === error.message,
      );
    });
  }
});
