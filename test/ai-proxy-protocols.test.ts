import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, beforeEach, describe, test } from 'node:test';
import { BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand } from '@aws-sdk/client-bedrock-runtime';
import { encodeAwsEvent } from '../src/llm/framing/aws-event-stream.ts';
import { startStage, type AiStage, type LoggedCall } from './support/ai-stage.ts';
import { eventually } from './support/gateway.ts';
import { call, openCall } from './support/http-call.ts';
import { answerJson, chatAnswer, chunk, textEvent, type Answer } from './support/mock-provider.ts';

const awsType = 'application/vnd.amazon.eventstream';
const bedrock = {
  provider: 'bedrock',
  provider_conf: { region: 'eu-west-1' },
  auth: { aws: { access_key_id: 'AKID', secret_access_key: 'secret' } },
};

let stage: AiStage;
before(async () => {
  stage = await startStage({
    config: { nginx_config: { http: { access_log_format: accessLog() } } },
  });
});
after(() => stage[Symbol.asyncDispose]());
beforeEach(() => {
  stage.provider.requests.length = 0;
  stage.provider.answer = answerJson(chatAnswer);
});

/** A log that keeps the text of answers, which costs the parsing of every event. */
function accessLog(): string {
  const names = ['request_uri', 'status', 'weir_error', 'request_type', 'request_llm_model', 'llm_model', 'route_id'];
  const counts = ['llm_prompt_tokens', 'llm_completion_tokens', 'llm_total_tokens', 'llm_tool_count'];
  const rest = ['llm_has_tool_calls', 'llm_end_user_id', 'llm_stream', 'llm_response_text'];
  return `{${[...names, ...counts, ...rest].map((name) => `"${name}":"$${name}"`).join(',')}}`;
}

/** A route for every path below an address of its own. @returns That address. */
async function openRoute(conf: object): Promise<string> {
  const url = await stage.route(conf);
  const id = url.slice(url.lastIndexOf('/') + 1);
  assert.equal((await stage.gateway.admin('PATCH', `/routes/${id}`, { uri: `/${id}/*` })).status, 200);
  return url;
}

function events(...list: readonly object[]): string {
  return list.map((event) => `event: ${(event as { type: string }).type}\ndata: ${JSON.stringify(event)}\n\n`).join('');
}

function frame(type: string, payload: object, kind: 'event' | 'exception' = 'event'): Buffer {
  return encodeAwsEvent({
    headers: { [`:${kind}-type`]: type, ':content-type': 'application/json', ':message-type': kind },
    payload: JSON.stringify(payload),
  });
}

/** A native stream of each protocol that has streams, in parts. */
interface Native {
  readonly name: string;
  readonly conf: object;
  readonly path: string;
  readonly body: object;
  readonly target: string;
  readonly contentType: string;
  readonly text: Buffer;
  readonly tool: Buffer;
  readonly end: Buffer;
  readonly error: Buffer;
  /** In the gateway's log. */
  readonly reason: RegExp;
}

const tool = { type: 'function', function: { name: 'f', parameters: {} } };
const natives: Native[] = [
  {
    name: 'OpenAI chat',
    conf: {},
    path: '/any',
    body: { model: 'm', messages: [], stream: true, safety_identifier: 's1', user: 'u1', tools: [tool, tool] },
    target: '/v1/chat/completions',
    contentType: 'text/event-stream',
    text: Buffer.from(textEvent('Hé')),
    tool: Buffer.from('data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c"}]}}]}\n\n'),
    end: Buffer.from(
      'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: {"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":8,"total_tokens":18}}\n\ndata: [DONE]\n\n',
    ),
    error: Buffer.from('data: {"error":{"message":"too busy","code":"busy"}}\n\n'),
    reason: /busy: too busy/,
  },
  {
    name: 'OpenAI responses',
    conf: {},
    path: '/v1/responses',
    body: { model: 'm', input: 'x', stream: true, safety_identifier: 's1', user: 'u1', tools: [tool, tool] },
    target: '/v1/responses',
    contentType: 'text/event-stream',
    text: Buffer.from(events({ type: 'response.output_text.delta', delta: 'Hé' })),
    tool: Buffer.from(events({ type: 'response.output_item.added', item: { type: 'function_call', name: 'f' } })),
    end: Buffer.from(
      events({
        type: 'response.completed',
        response: { usage: { input_tokens: 10, output_tokens: 8, total_tokens: 18 } },
      }),
    ),
    error: Buffer.from(events({ type: 'response.failed', response: { error: { code: 'busy', message: 'too busy' } } })),
    reason: /busy: too busy/,
  },
  {
    name: 'Anthropic messages',
    conf: { provider: 'anthropic' },
    path: '/v1/messages',
    body: { model: 'm', max_tokens: 9, messages: [], stream: true, metadata: { user_id: 's1' }, tools: [tool, tool] },
    target: '/v1/messages',
    contentType: 'text/event-stream',
    text: Buffer.from(
      events(
        { type: 'message_start', message: { usage: { input_tokens: 10, output_tokens: 1 } } },
        { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hé' } },
      ),
    ),
    tool: Buffer.from(
      events({ type: 'content_block_start', index: 1, content_block: { type: 'tool_use', id: 't', name: 'f' } }),
    ),
    end: Buffer.from(
      events(
        { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 8 } },
        { type: 'message_stop' },
      ),
    ),
    error: Buffer.from(events({ type: 'error', error: { type: 'busy', message: 'too busy' } })),
    reason: /busy: too busy/,
  },
  {
    name: 'Bedrock converse',
    conf: bedrock,
    path: '/model/m/converse-stream',
    body: { messages: [], toolConfig: { tools: [{ toolSpec: {} }, { toolSpec: {} }] } },
    target: '/model/m/converse-stream',
    contentType: awsType,
    text: frame('contentBlockDelta', { contentBlockIndex: 0, delta: { text: 'Hé' } }),
    tool: frame('contentBlockStart', { contentBlockIndex: 1, start: { toolUse: { toolUseId: 't', name: 'f' } } }),
    end: Buffer.concat([
      frame('messageStop', { stopReason: 'end_turn' }),
      frame('metadata', { usage: { inputTokens: 10, outputTokens: 8, totalTokens: 18 } }),
    ]),
    error: frame('throttlingException', { message: 'too busy' }, 'exception'),
    reason: /throttlingException: too busy/,
  },
];

describe('a native stream', { timeout: 120_000 }, () => {
  for (const native of natives) {
    const { name, contentType } = native;

    async function callNative(
      bytes: Buffer,
    ): Promise<{ body: Buffer; contentType: string; logged: LoggedCall & Record<string, string> }> {
      const url = (await openRoute({ override: { endpoint: stage.provider.url }, ...native.conf })) + native.path;
      stage.provider.answer = (_request, response) => {
        response.writeHead(200, { 'Content-Type': contentType }).end(bytes);
      };
      const answer = await call(url, { body: native.body });
      const [logged] = (await stage.logged(url)) as (LoggedCall & Record<string, string>)[];
      assert.ok(answer.complete && logged !== undefined);
      return { body: answer.body, contentType: answer.headers['content-type'] ?? '', logged };
    }

    test(`V25 V42 V43 of ${name} arrives as it was sent, and all of its facts are logged`, async () => {
      const bytes = Buffer.concat([native.text, native.tool, native.end]);
      const got = await callNative(bytes);
      assert.ok(got.body.equals(bytes));
      assert.equal(got.contentType, contentType);
      assert.equal(stage.provider.requests[0]?.target, native.target);
      const { logged } = got;
      assert.deepEqual(
        [logged.llm_prompt_tokens, logged.llm_completion_tokens, logged.llm_total_tokens, logged.weir_error],
        ['10', '8', '18', ''],
      );
      assert.deepEqual(
        [logged.llm_has_tool_calls, logged.llm_tool_count, logged.llm_stream, logged.request_type],
        ['true', '2', 'true', 'ai_stream'],
      );
      assert.deepEqual([logged.llm_model, logged.request_llm_model], ['m', 'm']);
      assert.equal(logged.llm_end_user_id, native.conf === bedrock ? '' : 's1');
      assert.equal(logged['llm_response_text'], 'Hé');
    });

    test(`of ${name} without tool calls says so`, async () => {
      const { logged } = await callNative(Buffer.concat([native.text, native.end]));
      assert.equal(logged.llm_has_tool_calls, 'false');
    });

    test(`of ${name} that reports an error is relayed as it is; the log has a code and the reason`, async () => {
      const bytes = Buffer.concat([native.text, native.error]);
      const { body, logged } = await callNative(bytes);
      assert.ok(body.equals(bytes));
      assert.deepEqual([logged.status, logged.weir_error], ['200', 'UPSTREAM_ERROR_EVENT']);
      const line = await warningAbout(logged.route_id);
      assert.match(line, native.reason);
    });

    test(`of ${name} that ends too early is relayed as it is; the log has a code`, async () => {
      const { body, logged } = await callNative(native.text);
      assert.ok(body.equals(native.text));
      assert.deepEqual([logged.status, logged.weir_error], ['200', 'UPSTREAM_INCOMPLETE_STREAM']);
    });

    test(`of ${name} whose connection breaks after its end is complete`, async () => {
      const conf = { override: { endpoint: stage.raw.url }, ...native.conf };
      const url = (await openRoute(conf)) + native.path;
      const bytes = Buffer.concat([native.text, native.end]);
      stage.raw.answer = ({ socket }) => {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Type: ${contentType}\r\nTransfer-Encoding: chunked\r\n\r\n`);
        socket.write(chunk(bytes));
        setTimeout(() => socket.destroy(), 20);
      };
      const answer = await call(url, { body: native.body });
      assert.ok(answer.complete && answer.body.equals(bytes));
      assert.equal((await stage.logged(url))[0]?.weir_error, 'UPSTREAM_RESET');
    });
  }

  async function warningAbout(routeId: string): Promise<string> {
    const about = new RegExp(`^.*UPSTREAM_ERROR_EVENT.* route_id=${routeId}\\b.*$`, 'm');
    await eventually(() => about.test(stage.gateway.errorLog()));
    return about.exec(stage.gateway.errorLog())?.[0] ?? '';
  }

  for (const [name, text] of [
    ['a finish_reason and no [DONE]', `${textEvent('a')}data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n`],
    ['[DONE] and no finish_reason', `${textEvent('a')}data: [DONE]\n\n`],
    ['comments alone', ': ping\n\n'],
    ['an event that is too large to be read', `${textEvent('a')}${textEvent('x'.repeat(3 * 1024 * 1024))}`],
  ] as const) {
    test(`of a chat with ${name} is nothing to complain about`, async () => {
      const url = await stage.route();
      stage.provider.answer = (_request, response) => {
        response.writeHead(200, { 'Content-Type': 'text/event-stream' }).end(text);
      };
      assert.equal((await call(url, { body: { messages: [], stream: true } })).text, text);
      assert.equal((await stage.logged(url))[0]?.weir_error, '');
    });
  }

  test('of AWS frames arrives byte for byte at every split, and is read', async () => {
    const url = `${await openRoute({ ...bedrock, override: { endpoint: stage.raw.url } })}/model/m/converse-stream`;
    const native = natives.find(({ contentType }) => contentType === awsType) ?? assert.fail();
    const bytes = Buffer.concat([native.text, native.end]);
    const secondParts = new Map<number, () => void>();
    stage.raw.answer = ({ socket }, request) => {
      const at = Number(request.fields.find(([field]) => field === 'x-split')?.[1]);
      socket.write(`HTTP/1.1 200 OK\r\nContent-Type: ${awsType}\r\nTransfer-Encoding: chunked\r\n\r\n`);
      socket.write(chunk(bytes.subarray(0, at)));
      secondParts.set(at, () => {
        socket.write(chunk(bytes.subarray(at)));
        socket.write('0\r\n\r\n');
      });
    };
    const offsets = Array.from({ length: bytes.length - 1 }, (_, index) => index + 1).values();
    const lane = async (): Promise<void> => {
      for (const at of offsets) {
        const open = await openCall(`${url}?${at}`, { body: native.body, headers: { 'X-Split': String(at) } });
        let received = 0;
        // The second part leaves when the client has the first: two reads for the gateway, for certain.
        open.response.on('data', (piece: Buffer) => {
          received += piece.length;
          if (received === at) secondParts.get(at)?.();
        });
        assert.ok((await open.finish()).body.equals(bytes), `split at ${at}`);
      }
    };
    await Promise.all(Array.from({ length: 8 }, lane));
    for (const at of [1, 100, bytes.length - 1]) {
      const [logged] = await stage.logged(`${url}?${at}`);
      assert.deepEqual([logged?.llm_total_tokens, logged?.weir_error], ['18', ''], `split at ${at}`);
    }
  });

  test('of AWS frames that are broken is relayed; the log says what is wrong', async () => {
    const url = `${await openRoute({ ...bedrock, override: { endpoint: stage.provider.url } })}/model/m/converse-stream`;
    const broken = Buffer.from('this is not a frame of any kind');
    stage.provider.answer = (_request, response) => {
      response.writeHead(200, { 'Content-Type': awsType }).end(broken);
    };
    assert.ok((await call(url, { body: { messages: [] } })).body.equals(broken));
    const [logged] = await stage.logged(url);
    assert.equal(logged?.weir_error, 'UPSTREAM_INCOMPLETE_STREAM');
    await eventually(() => stage.gateway.errorLog().includes('the checksum of a frame prelude is wrong'));
  });
});

describe('where a request goes', { timeout: 120_000 }, () => {
  const messages = [{ role: 'user', content: [{ text: 'Hi' }] }];
  const rows: {
    name: string;
    conf?: object;
    path: string;
    body: object;
    target?: string;
    /** Default: that of the client. */
    sent?: object;
    logged?: Partial<LoggedCall>;
    refusal?: RegExp;
  }[] = [
    {
      name: 'Converse with the model in the body, which is not sent',
      conf: bedrock,
      path: '/converse',
      body: { model: 'a:b', messages },
      target: '/model/a%3Ab/converse',
      sent: { messages },
      logged: { llm_model: 'a:b', request_type: 'ai_chat' },
    },
    {
      name: "Converse with the gateway's own flag for a stream",
      conf: bedrock,
      path: '/converse',
      body: { model: 'm', messages, stream: true },
      target: '/model/m/converse-stream',
      sent: { messages },
      logged: { request_type: 'ai_stream' },
    },
    {
      name: 'Converse with the model in the path',
      conf: bedrock,
      path: '/model/a%3Ab/converse',
      body: { messages },
      target: '/model/a%3Ab/converse',
      logged: { llm_model: 'a:b', request_llm_model: 'a:b' },
    },
    {
      name: 'Converse with a model in both, of which that of the body counts',
      conf: bedrock,
      path: '/model/a/converse-stream',
      body: { model: 'b', messages },
      target: '/model/b/converse-stream',
      sent: { messages },
    },
    {
      name: 'Converse with a configured model',
      conf: { ...bedrock, options: { model: 'c' } },
      path: '/model/a/converse-stream',
      body: { messages },
      target: '/model/c/converse-stream',
      logged: { llm_model: 'c', request_llm_model: 'a', request_type: 'ai_stream' },
    },
    {
      name: 'V36 Converse without a model anywhere',
      conf: bedrock,
      path: '/converse',
      body: { messages },
      refusal: /^\{"error_msg":"could not resolve upstream path: .*"\}\n$/,
    },
    {
      name: 'V36 a chat, which Bedrock does not speak',
      conf: bedrock,
      path: '/v1/chat',
      body: { messages },
      refusal: /^provider bedrock does not support openai-chat protocol \(supported: bedrock-converse\)$/,
    },
    {
      name: 'ConverseStream to a provider that does not speak it',
      path: '/model/m/converse-stream',
      body: { messages },
      refusal: /^provider openai-compatible does not support bedrock-converse protocol/,
    },
    {
      name: 'V34 any other API under its own path',
      path: '/v1/images/generations',
      body: { prompt: 'x' },
      // The route's own part of the path is part of it.
      target: '*/v1/images/generations',
    },
    {
      name: 'V35 Azure without model',
      conf: { provider: 'azure-openai' },
      path: '/x',
      body: { model: 'm', messages },
      target: '/completions',
      sent: { messages },
      logged: { llm_model: 'm' },
    },
  ];
  for (const { name, conf = {}, path, body, target, sent = body, logged = {}, refusal } of rows) {
    test(name, async () => {
      const base = await openRoute({ override: { endpoint: stage.provider.url }, ...conf });
      const answer = await call(base + path, { body });
      if (refusal !== undefined) {
        assert.equal(answer.status, 400);
        assert.match(answer.text, refusal);
        assert.equal(stage.provider.requests.length, 0);
        return;
      }
      assert.equal(answer.status, 200);
      const [request] = stage.provider.requests;
      assert.equal(request?.target, target?.replace('*', new URL(base).pathname));
      assert.deepEqual(JSON.parse(request?.body.toString() ?? ''), sent);
      const [line] = await stage.logged(base + path);
      for (const [variable, value] of Object.entries(logged)) assert.equal(line?.[variable as keyof LoggedCall], value);
    });
  }

  test('a body whose model is in the path goes out byte for byte', async () => {
    for (const operation of ['converse', 'converse-stream']) {
      const url = `${await openRoute({ ...bedrock, override: { endpoint: stage.provider.url } })}/model/m/${operation}`;
      const body = '{ "system":[],"messages" : [] }';
      await call(url, { body });
      assert.equal(stage.provider.requests.at(-1)?.body.toString(), body);
    }
  });
});

describe("Amazon's own client through the gateway", { timeout: 120_000 }, () => {
  // By itself the client speaks HTTP/2. Its other handler is a dependency of the client, not of ours.
  const ofClient = createRequire(import.meta.resolve('@aws-sdk/client-bedrock-runtime'));
  const { NodeHttpHandler } = ofClient('@smithy/node-http-handler');

  async function clientOf(answer: Answer): Promise<BedrockRuntimeClient> {
    stage.provider.answer = answer;
    return new BedrockRuntimeClient({
      region: 'us-east-1',
      endpoint: await openRoute({ ...bedrock, override: { endpoint: stage.provider.url } }),
      credentials: { accessKeyId: 'of-the-client', secretAccessKey: 'x', sessionToken: 'client-token' },
      maxAttempts: 1,
      requestHandler: new NodeHttpHandler(),
    });
  }

  const question = { modelId: 'anthropic.claude:0', messages: [{ role: 'user' as const, content: [{ text: 'Hi' }] }] };

  test('gets an answer; the provider gets the signature of the gateway and nothing of its', async () => {
    const output = { message: { role: 'assistant', content: [{ text: 'Hello' }] } };
    const usage = { inputTokens: 8, outputTokens: 5, totalTokens: 13 };
    const client = await clientOf(answerJson({ output, usage, stopReason: 'end_turn' }));
    const answer = await client.send(new ConverseCommand(question));
    assert.equal(answer.output?.message?.content?.[0]?.text, 'Hello');
    const [request] = stage.provider.requests;
    assert.equal(request?.target, '/model/anthropic.claude%3A0/converse');
    const text = JSON.stringify(request?.fields);
    assert.match(text, /Credential=AKID\/\d+\/eu-west-1\/bedrock/);
    assert.ok(!text.includes('of-the-client') && !text.includes('client-token'), text);
    client.destroy();
  });

  test('gets a stream, and the error that ends it', async () => {
    const frames = [
      frame('messageStart', { role: 'assistant' }),
      frame('contentBlockDelta', { contentBlockIndex: 0, delta: { text: 'Hé' } }),
      frame('throttlingException', { message: 'too busy' }, 'exception'),
    ];
    const client = await clientOf((_request, response) => {
      response.writeHead(200, { 'Content-Type': awsType }).end(Buffer.concat(frames));
    });
    const { stream } = await client.send(new ConverseStreamCommand(question));
    let text = '';
    const reading = (async () => {
      for await (const { contentBlockDelta } of stream ?? []) text += contentBlockDelta?.delta?.text ?? '';
    })();
    await assert.rejects(reading, { name: 'ThrottlingException', message: 'too busy' });
    assert.equal(text, 'Hé');
    client.destroy();
  });
});
