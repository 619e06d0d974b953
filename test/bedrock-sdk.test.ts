import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import {
  ConverseCommand,
  ConverseStreamCommand,
  InvokeModelCommand,
  ModelStreamErrorException,
  ServiceUnavailableException,
  ThrottlingException,
  ValidationException,
  type BedrockRuntimeClient,
  type ConverseCommandInput,
  type ConverseStreamCommandOutput,
} from '@aws-sdk/client-bedrock-runtime';
import { startStage, type AiStage, type LoggedCall } from './support/ai-stage.ts';
import {
  answerFrames,
  assertSigned,
  bedrockClient,
  bedrockRegion,
  converseAnswer,
  converseException,
  converseFrames,
} from './support/bedrock-mock.ts';
import { answerJson, chunk } from './support/mock-provider.ts';

const operator = { accessKeyId: 'AKIDOPERATOR', secretAccessKey: 'secret-of-operator', sessionToken: 'session/+=' };
const client = { accessKeyId: 'AKIDCLIENT', secretAccessKey: 'secret-of-client', sessionToken: 'session-of-client' };
const modelId = 'anthropic.claude-3-haiku-20240307-v1:0';
const profile = 'arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude';
const question: ConverseCommandInput = { modelId, messages: [{ role: 'user', content: [{ text: 'Hé – 🌊' }] }] };
const toolConfig: ConverseCommandInput['toolConfig'] = {
  tools: [{ toolSpec: { name: 'get_weather', inputSchema: { json: { type: 'object' } } } }],
};
const streamHead =
  'HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\nTransfer-Encoding: chunked\r\n\r\n';

let stage: AiStage;
const clients: BedrockRuntimeClient[] = [];
before(async () => {
  stage = await startStage();
});
after(async () => {
  for (const client of clients) client.destroy();
  await stage[Symbol.asyncDispose]();
});
beforeEach(() => {
  stage.provider.requests.length = 0;
  stage.raw.requests.length = 0;
});

interface Caller {
  readonly bedrock: BedrockRuntimeClient;
  /** The line of the access log about its call. @param path - Below its route. */
  readonly logged: (path: string) => Promise<LoggedCall | undefined>;
}

/** Amazon's client with credentials of its own, and a route of its own as its endpoint. */
async function callerOf(endpoint: string, conf: object = {}): Promise<Caller> {
  const id = `bedrock-${clients.length}`;
  const { accessKeyId, secretAccessKey, sessionToken } = operator;
  const aiProxy = {
    provider: 'bedrock',
    provider_conf: { region: bedrockRegion },
    auth: { aws: { access_key_id: accessKeyId, secret_access_key: secretAccessKey, session_token: sessionToken } },
    override: { endpoint },
    ...conf,
  };
  await stage.gateway.putRoute(id, { uri: `/${id}/*`, plugins: { 'ai-proxy': aiProxy } });
  const bedrock = bedrockClient(`${stage.gateway.url}/${id}`, client);
  clients.push(bedrock);
  return { bedrock, logged: async (path) => (await stage.logged(`${stage.gateway.url}/${id}${path}`))[0] };
}

function pathOf(operation: string, model = modelId): string {
  return `/model/${encodeURIComponent(model)}/${operation}`;
}

interface Heard {
  text: string;
  tool: string;
  input: string;
  stop: string;
  tokens: number;
}

/** Reads a stream into `heard`, so that what came before an error is known. */
async function read({ stream }: ConverseStreamCommandOutput, heard: Heard): Promise<void> {
  assert.ok(stream);
  for await (const { contentBlockStart, contentBlockDelta, messageStop, metadata } of stream) {
    heard.tool += contentBlockStart?.start?.toolUse?.name ?? '';
    heard.text += contentBlockDelta?.delta?.text ?? '';
    heard.input += contentBlockDelta?.delta?.toolUse?.input ?? '';
    heard.stop += messageStop?.stopReason ?? '';
    heard.tokens += metadata?.usage?.totalTokens ?? 0;
  }
}

function silence(): Heard {
  return { text: '', tool: '', input: '', stop: '', tokens: 0 };
}

async function failure(asking: Promise<unknown>): Promise<Error> {
  const error: unknown = await asking.then(
    () => assert.fail('it did not fail'),
    (raised: unknown) => raised,
  );
  assert.ok(error instanceof Error);
  return error;
}

const everything = {
  text: 'Héllo 🌊',
  tool: 'get_weather',
  input: '{"city":"Paris \\"é\\""}',
  stop: 'tool_use',
  tokens: 13,
};

describe("Amazon's Bedrock client through the gateway", { timeout: 120_000 }, () => {
  test('converses: text, a tool call, usage', async () => {
    const { bedrock, logged } = await callerOf(stage.provider.url);
    stage.provider.answer = answerJson(converseAnswer, 200, { 'x-amzn-requestid': 'req-1' });
    const answer = await bedrock.send(new ConverseCommand({ ...question, toolConfig }));
    assert.deepEqual(answer.output, converseAnswer.output);
    assert.deepEqual([answer.stopReason, answer.usage], ['tool_use', converseAnswer.usage]);
    assert.equal(answer.$metadata.requestId, 'req-1');
    const line = await logged(pathOf('converse'));
    assert.deepEqual(
      [line?.request_type, line?.llm_prompt_tokens, line?.llm_completion_tokens, line?.llm_cache_read_input_tokens],
      ['ai_chat', '8', '5', '4'],
    );
    assert.deepEqual(
      [line?.request_llm_model, line?.llm_model, line?.llm_tool_count, line?.llm_has_tool_calls, line?.weir_error],
      [modelId, modelId, '1', 'true', ''],
    );
  });

  test('converses in a stream: text, a tool call, usage', async () => {
    const { bedrock, logged } = await callerOf(stage.provider.url);
    stage.provider.answer = answerFrames(converseFrames);
    const answer = await bedrock.send(new ConverseStreamCommand({ ...question, toolConfig }));
    const heard = silence();
    await read(answer, heard);
    assert.deepEqual(heard, everything);
    assert.equal(answer.$metadata.requestId, 'req-1');
    const line = await logged(pathOf('converse-stream'));
    assert.deepEqual(
      [line?.request_type, line?.llm_prompt_tokens, line?.llm_completion_tokens, line?.llm_cache_read_input_tokens],
      ['ai_stream', '8', '5', '4'],
    );
    assert.deepEqual(
      [line?.request_llm_model, line?.llm_model, line?.llm_tool_count, line?.llm_has_tool_calls, line?.weir_error],
      [modelId, modelId, '1', 'true', ''],
    );
  });

  test('reads a stream that comes byte by byte', async () => {
    const { bedrock } = await callerOf(stage.raw.url);
    stage.raw.answer = async ({ socket }) => {
      socket.write(streamHead);
      for (const [at, byte] of Buffer.concat(converseFrames).entries()) {
        socket.write(chunk(Buffer.of(byte)));
        // A few of them in one read, now and then.
        if (at % 3 !== 0) await new Promise((resolve) => setImmediate(resolve));
      }
      socket.write('0\r\n\r\n');
    };
    const heard = silence();
    await read(await bedrock.send(new ConverseStreamCommand(question)), heard);
    assert.deepEqual(heard, everything);
  });

  for (const [name, model] of [
    ['a model with a colon', modelId],
    ['an inference profile with slashes', profile],
  ] as const) {
    for (const operation of ['converse', 'converse-stream'] as const) {
      test(`asks ${name} for ${operation} with the credential of the operator alone`, async () => {
        const { bedrock, logged } = await callerOf(stage.provider.url);
        stage.provider.answer = operation === 'converse' ? answerJson(converseAnswer) : answerFrames(converseFrames);
        const input = { ...question, modelId: model, inferenceConfig: { maxTokens: 9 } };
        if (operation === 'converse') await bedrock.send(new ConverseCommand(input));
        else await bedrock.send(new ConverseStreamCommand(input));
        const [request] = stage.provider.requests;
        assertSigned(request, operator);
        assert.equal(request?.target, pathOf(operation, model));
        assert.deepEqual(JSON.parse(request?.body.toString() ?? ''), {
          messages: question.messages,
          inferenceConfig: { maxTokens: 9 },
        });
        const fields = JSON.stringify(request?.fields);
        for (const secret of ['AKIDCLIENT', 'session-of-client']) assert.ok(!fields.includes(secret), secret);
        assert.equal((await logged(pathOf(operation, model)))?.request_llm_model, model);
      });
    }
  }

  test('is given the model and the limit that are configured', async () => {
    const { bedrock, logged } = await callerOf(stage.provider.url, {
      options: { model: profile },
      override: { endpoint: stage.provider.url, llm_options: { max_tokens: 7 } },
    });
    stage.provider.answer = answerFrames(converseFrames);
    await bedrock.send(new ConverseStreamCommand({ ...question, inferenceConfig: { maxTokens: 9, topP: 0.5 } }));
    const [request] = stage.provider.requests;
    assertSigned(request, operator);
    assert.equal(request?.target, pathOf('converse-stream', profile));
    assert.deepEqual(JSON.parse(request?.body.toString() ?? ''), {
      messages: question.messages,
      inferenceConfig: { maxTokens: 7, topP: 0.5 },
    });
    const line = await logged(pathOf('converse-stream'));
    assert.deepEqual([line?.request_llm_model, line?.llm_model], [modelId, profile]);
  });

  test('invokes a model in its own protocol, which passes through, signed', async () => {
    const { bedrock } = await callerOf(stage.provider.url);
    stage.provider.answer = answerJson({ embedding: [0.5] });
    const body = '{"inputText":"é"}';
    const answer = await bedrock.send(
      new InvokeModelCommand({ modelId: 'amazon.titan-embed-text-v2:0', contentType: 'application/json', body }),
    );
    assert.equal(answer.body.transformToString(), '{"embedding":[0.5]}');
    const [request] = stage.provider.requests;
    assert.equal(request?.body.toString(), body);
    assert.match(request?.target ?? '', /\/model\/amazon\.titan-embed-text-v2%3A0\/invoke$/);
    assertSigned(request, operator);
  });

  test('that aborts in the middle of a stream closes the upstream', async () => {
    const { bedrock, logged } = await callerOf(stage.raw.url);
    stage.raw.answer = ({ socket }) => {
      socket.write(Buffer.concat([Buffer.from(streamHead), chunk(Buffer.concat(converseFrames.slice(0, 2)))]));
    };
    const controller = new AbortController();
    const { stream } = await bedrock.send(new ConverseStreamCommand(question), { abortSignal: controller.signal });
    assert.ok(stream);
    const reading = (async () => {
      for await (const { contentBlockDelta } of stream) if (contentBlockDelta) controller.abort();
    })();
    assert.match((await failure(reading)).message, /aborted/);
    await stage.raw.closed(stage.raw.connections.length - 1);
    assert.equal((await logged(pathOf('converse-stream')))?.status, '499');
  });
});

describe("errors reach Amazon's Bedrock client as the right class", { timeout: 120_000 }, () => {
  for (const { status, type, kind } of [
    { status: 400, type: 'ValidationException', kind: ValidationException },
    { status: 429, type: 'ThrottlingException', kind: ThrottlingException },
    { status: 503, type: 'ServiceUnavailableException', kind: ServiceUnavailableException },
  ]) {
    test(`${kind.name} for a ${status} of Bedrock`, async () => {
      const { bedrock, logged } = await callerOf(stage.provider.url);
      stage.provider.answer = answerJson({ message: 'of Bedrock' }, status, {
        'x-amzn-errortype': `${type}:http://internal.amazon.com/coral/com.amazon.bedrock/`,
        'x-amzn-requestid': 'req-1',
      });
      for (const ask of [
        () => bedrock.send(new ConverseCommand(question)),
        () => bedrock.send(new ConverseStreamCommand(question)),
      ]) {
        const error = await failure(ask());
        assert.ok(error instanceof kind, error.name);
        assert.deepEqual(
          [error.message, error.$metadata.httpStatusCode, error.$metadata.requestId],
          ['of Bedrock', status, 'req-1'],
        );
      }
      assert.equal((await logged(pathOf('converse')))?.status, String(status));
    });
  }

  test('ThrottlingException out of a stream, where Bedrock reports it', async () => {
    const { bedrock, logged } = await callerOf(stage.provider.url);
    const exception = converseException('throttlingException', 'of Bedrock');
    stage.provider.answer = answerFrames([...converseFrames.slice(0, 2), exception]);
    const heard = silence();
    const error = await failure(read(await bedrock.send(new ConverseStreamCommand(question)), heard));
    assert.ok(error instanceof ThrottlingException, error.name);
    assert.deepEqual([error.message, heard.text], ['of Bedrock', 'Hé']);
    assert.equal((await logged(pathOf('converse-stream')))?.weir_error, 'UPSTREAM_ERROR_EVENT');
  });

  /** Sends the beginning of the stream, then the connection breaks. */
  function breakAfter(bytes: Buffer): void {
    stage.raw.answer = ({ socket }) => {
      socket.write(Buffer.concat([Buffer.from(streamHead), chunk(bytes)]));
      setTimeout(() => socket.destroy(), 10);
    };
  }

  test('ModelStreamErrorException out of a stream that breaks between two frames', async () => {
    const { bedrock, logged } = await callerOf(stage.raw.url);
    breakAfter(Buffer.concat(converseFrames.slice(0, 2)));
    const heard = silence();
    const error = await failure(read(await bedrock.send(new ConverseStreamCommand(question)), heard));
    assert.ok(error instanceof ModelStreamErrorException, error.name);
    assert.match(error.message, /the upstream closed the connection too early/);
    assert.equal(heard.text, 'Hé');
    assert.equal((await logged(pathOf('converse-stream')))?.weir_error, 'UPSTREAM_RESET');
  });

  test('an error out of a stream that breaks in the middle of a frame', async () => {
    const { bedrock, logged } = await callerOf(stage.raw.url);
    breakAfter(Buffer.concat(converseFrames.slice(0, 3)).subarray(0, -5));
    const heard = silence();
    await failure(read(await bedrock.send(new ConverseStreamCommand(question)), heard));
    assert.equal(heard.text, 'Hé');
    assert.equal((await logged(pathOf('converse-stream')))?.weir_error, 'UPSTREAM_RESET');
  });

  test('nothing, out of a stream that breaks when all was said', async () => {
    const { bedrock } = await callerOf(stage.raw.url);
    breakAfter(Buffer.concat(converseFrames));
    const heard = silence();
    await read(await bedrock.send(new ConverseStreamCommand(question)), heard);
    assert.deepEqual(heard, everything);
  });

  test('ServiceUnavailableException from a Bedrock that cannot be reached', async () => {
    const { bedrock, logged } = await callerOf('http://127.0.0.1:1');
    const error = await failure(bedrock.send(new ConverseCommand(question)));
    assert.ok(error instanceof ServiceUnavailableException, error.name);
    assert.match(error.message, /cannot connect to the upstream/);
    assert.equal((await logged(pathOf('converse')))?.weir_error, 'UPSTREAM_CONNECT');
  });
});
