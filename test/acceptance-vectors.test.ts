import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startStage, type AiStage, type LoggedCall } from './support/ai-stage.ts';
import { eventually } from './support/gateway.ts';
import { call, openCall, type CallOptions, type CallResult } from './support/http-call.ts';
import {
  chatAnswer,
  chatEvent,
  chunk,
  fieldOf,
  rawAnswer,
  textEvent,
  type RawAnswer,
  type RecordedRequest,
} from './support/mock-provider.ts';

/**
 * The acceptance vectors of the compatibility specification (section 12) that concern ai-proxy, its protocols and the
 * loggers, one row or a few each. Where Weir decides otherwise on purpose, the description says so after "not".
 */
interface Vector {
  readonly name: string;
  /** Over openai-compatible without a credential. */
  readonly conf?: object;
  /** Behind the address of the mock; null: nobody listens there. */
  readonly endpoint?: string | null;
  /** Other plugins of the route. */
  readonly plugins?: object;
  /** Behind the address of the route. Default: `/v1/chat/completions`. */
  readonly path?: string;
  readonly request: CallOptions;
  /** Default: a chat completion. */
  readonly upstream?: RawAnswer;
  /** Leave when this text has come. */
  readonly leavesAfter?: string;
  /** How many requests reach the provider. Default 1. */
  readonly requests?: number;
  readonly target?: string;
  /** Exactly as the provider gets it. */
  readonly sent?: string;
  /** As the provider gets them; undefined: it must not. */
  readonly sentFields?: Readonly<Record<string, string | undefined>>;
  /** Default 200. */
  readonly status?: number;
  readonly contentType?: string;
  readonly body?: string | RegExp;
  readonly json?: unknown;
  readonly check?: (answer: CallResult, request: RecordedRequest | undefined) => void;
  readonly logged?: Partial<LoggedCall>;
  /** The answer takes at least and less than so many ms. */
  readonly tookMs?: readonly [number, number];
  /** The provider's connection is closed within so many ms of the end. */
  readonly closedWithinMs?: number;
}

const chunkedHead = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n';
const lastChunk = '0\r\n\r\n';
const chatText = JSON.stringify(chatAnswer);
const chat = '{"messages":[{"role":"user","content":"hi"}]}';
const streamedChat = '{"messages":[],"stream":true}';
const messages = { model: 'c', max_tokens: 9, messages: [{ role: 'user', content: 'hi' }] };
const finish = chatEvent({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], usage: null });
const usage = chatEvent({ choices: [], usage: { prompt_tokens: 8, completion_tokens: 5, total_tokens: 13 } });
const done = 'data: [DONE]\n\n';
const wholeStream = textEvent('2') + finish + usage + done;
const bedrock = {
  provider: 'bedrock',
  provider_conf: { region: 'eu-west-1' },
  auth: { aws: { access_key_id: 'AKID', secret_access_key: 'secret' } },
};

function answerWith(status: number, contentType: string, body: string): RawAnswer {
  return ({ socket }) => void socket.write(rawAnswer(status, contentType, body));
}

/** Each piece in a read of its own. */
function streamOf(...pieces: readonly string[]): RawAnswer {
  return async ({ socket }) => {
    socket.write(chunkedHead);
    for (const piece of pieces) {
      socket.write(chunk(piece));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    socket.write(lastChunk);
  };
}

const ofChat: Partial<LoggedCall> = {
  llm_prompt_tokens: '8',
  llm_completion_tokens: '5',
  llm_total_tokens: '13',
  weir_error: '',
};
const noTokens: Partial<LoggedCall> = { llm_prompt_tokens: '0', llm_completion_tokens: '0', llm_total_tokens: '0' };

const vectors: Vector[] = [
  {
    name: 'V1 options win over the client',
    conf: { options: { model: 'A', temperature: 1 } },
    request: { body: '{"model":"B","temperature":0,"messages":[]}' },
    target: '/v1/chat/completions',
    sent: '{"messages":[],"model":"A","temperature":1}',
    body: chatText,
    logged: { ...ofChat, request_llm_model: 'B', llm_model: 'A', request_type: 'ai_chat', llm_stream: 'false' },
  },
  {
    name: 'V2 a body that nothing changes arrives byte for byte',
    request: { body: '{ "z" : 1.0,\n\t"messages" : [ ] ,"a":"\\u00e9" }' },
    sent: '{ "z" : 1.0,\n\t"messages" : [ ] ,"a":"\\u00e9" }',
    body: chatText,
  },
  {
    name: 'V3 a stream asks for its usage (not: the other stream options are lost)',
    request: { body: '{"stream":true,"stream_options":{"include_usage":false,"x":1},"messages":[]}' },
    upstream: streamOf(wholeStream),
    sent: '{"messages":[],"stream":true,"stream_options":{"include_usage":true,"x":1}}',
    contentType: 'text/event-stream',
    body: wholeStream,
    logged: { ...ofChat, request_type: 'ai_stream', llm_stream: 'true' },
  },
  {
    name: 'V4 a stream that options force is a stream everywhere (not: logged as ai_chat, no usage asked for)',
    conf: { options: { stream: true } },
    request: { body: '{"messages":[]}' },
    upstream: streamOf(wholeStream),
    sent: '{"messages":[],"stream":true,"stream_options":{"include_usage":true}}',
    body: wholeStream,
    logged: { ...ofChat, request_type: 'ai_stream', llm_stream: 'true' },
  },
  {
    name: 'V5 text/plain is refused',
    request: { body: chat, headers: { 'Content-Type': 'text/plain' } },
    requests: 0,
    status: 400,
    contentType: 'text/plain',
    body: 'unsupported content-type: text/plain, only application/json is supported',
    logged: { ...noTokens, upstream_addr: '', weir_error: 'LLM_CONTENT_TYPE' },
  },
  {
    name: 'V5 application/json with parameters passes',
    request: { body: chat, headers: { 'Content-Type': 'application/json; charset=utf-8' } },
    sentFields: { 'content-type': 'application/json' },
    body: chatText,
  },
  ...['{}', '[]'].map((body): Vector => ({
    name: `V6 ${body} is of no protocol`,
    request: { body },
    requests: 0,
    status: 400,
    body: 'no matching AI protocol for the request',
    logged: { weir_error: 'LLM_NO_PROTOCOL' },
  })),
  {
    name: 'V7 a body above max_req_body_size is refused',
    conf: { max_req_body_size: 100 },
    request: { body: `{"messages":[],"x":"${'y'.repeat(178)}"}` },
    requests: 0,
    status: 413,
    body: '{"message":"could not get body: request size 200 is greater than the maximum size 100 allowed"}\n',
    logged: { weir_error: 'LLM_BODY_TOO_LARGE' },
  },
  {
    name: 'V7 so is a chunked one',
    conf: { max_req_body_size: 100 },
    request: { body: `{"messages":[],"x":"${'y'.repeat(178)}"}`, headers: { 'Transfer-Encoding': 'chunked' } },
    requests: 0,
    status: 413,
    body: /^\{"message":"could not get body: request size \d+ is greater than the maximum size 100 allowed"\}\n$/,
  },
  {
    name: 'V8 a refused connection is 502 (not 500, and with a reason)',
    endpoint: null,
    request: { body: chat },
    requests: 0,
    status: 502,
    body: /"code":"UPSTREAM_CONNECT"/,
    logged: { ...noTokens, upstream_addr: '127.0.0.1:1', llm_time_to_first_token: '0', weir_error: 'UPSTREAM_CONNECT' },
  },
  {
    name: 'V8 silence beyond timeout is 504',
    conf: { timeout: 150 },
    request: { body: chat },
    upstream: () => {},
    status: 504,
    body: /"code":"UPSTREAM_READ_TIMEOUT"/,
    tookMs: [140, 5000],
    logged: { ...noTokens, llm_time_to_first_token: '0' },
  },
  {
    name: 'V9 a 429 comes back as it is',
    request: { body: chat },
    upstream: ({ socket }) => void setTimeout(() => socket.write(rawAnswer(429, 'text/json', '{"error":"slow"}')), 30),
    status: 429,
    contentType: 'text/json',
    body: '{"error":"slow"}',
    logged: { ...noTokens, upstream_status: '429', weir_error: '' },
  },
  {
    name: 'V10 a 400 comes back as it is',
    request: { body: chat },
    upstream: answerWith(400, 'application/json', '{"error":{"message":"no"}}'),
    status: 400,
    contentType: 'application/json',
    body: '{"error":{"message":"no"}}',
    logged: { ...noTokens, upstream_status: '400', status: '400' },
  },
  {
    name: 'V22 an Anthropic request to an OpenAI provider is converted there and back',
    conf: { provider: 'openai' },
    path: '/v1/messages',
    request: {
      headers: { 'X-Api-Key': 'k', 'Anthropic-Version': '2023-06-01', 'Anthropic-Beta': 'b', 'X-Stainless-Os': 'L' },
      body: { ...messages, tools: [{ name: 'web search!', input_schema: { type: 'object' } }] },
    },
    upstream: ({ socket }, request) => {
      const { tools } = JSON.parse(request.body.toString()) as { tools: { function: { name: string } }[] };
      const { name } = tools[0]?.function ?? assert.fail('no tool');
      const tool_calls = [{ id: 'c1', type: 'function', function: { name, arguments: '{"q":1}' } }];
      const choices = [
        { index: 0, finish_reason: 'tool_calls', message: { role: 'assistant', content: null, tool_calls } },
      ];
      socket.write(rawAnswer(200, 'application/json', JSON.stringify({ ...chatAnswer, choices })));
    },
    target: '/v1/chat/completions',
    sentFields: {
      authorization: 'Bearer k',
      'x-api-key': undefined,
      'anthropic-version': undefined,
      'anthropic-beta': undefined,
      'x-stainless-os': undefined,
    },
    contentType: 'application/json',
    check(answer, request) {
      const sent = JSON.parse(request?.body.toString() ?? '') as Record<string, unknown>;
      assert.deepEqual([sent['max_completion_tokens'], sent['max_tokens'], sent['model']], [9, undefined, 'c']);
      const [tool] = sent['tools'] as { function: { name: string } }[];
      assert.match(tool?.function.name ?? '', /^web_search__[0-9a-f]{8}$/);
      const message = answer.json as Record<string, unknown>;
      assert.deepEqual([message['type'], message['stop_reason']], ['message', 'tool_use']);
      assert.deepEqual(message['content'], [{ type: 'tool_use', id: 'c1', name: 'web search!', input: { q: 1 } }]);
    },
    logged: { ...ofChat, llm_has_tool_calls: 'true', llm_tool_count: '1', request_llm_model: 'c' },
  },
  {
    name: 'V22 a configured authorization stays',
    conf: { provider: 'openai', auth: { header: { Authorization: 'Bearer configured' } } },
    path: '/v1/messages',
    request: { headers: { 'X-Api-Key': 'k' }, body: messages },
    sentFields: { authorization: 'Bearer configured', 'x-api-key': undefined },
  },
  {
    name: 'V23 an Anthropic request without messages is refused',
    conf: { provider: 'openai' },
    path: '/v1/messages',
    request: { body: '{"model":"c"}' },
    requests: 0,
    status: 400,
    body: '{"error_msg":"missing messages"}\n',
    logged: { weir_error: 'LLM_CONVERSION' },
  },
  {
    name: 'V24 a converted stream has one message_delta, with the usage, and one message_stop',
    conf: { provider: 'openai' },
    path: '/v1/messages',
    request: { body: { ...messages, stream: true } },
    upstream: streamOf(textEvent('2'), finish, usage, done),
    contentType: 'text/event-stream',
    check(answer) {
      const names = [...answer.text.matchAll(/^event: (.*)$/gm)].map(([, name]) => name);
      assert.deepEqual(
        names.filter((name) => name === 'message_delta' || name === 'message_stop'),
        ['message_delta', 'message_stop'],
      );
      const [, delta = ''] = /^event: message_delta\ndata: (.*)$/m.exec(answer.text) ?? [];
      const counted = (JSON.parse(delta) as { usage: Record<string, number> }).usage;
      assert.deepEqual([counted['input_tokens'], counted['output_tokens']], [8, 5]);
    },
    logged: { ...ofChat, request_type: 'ai_stream' },
  },
  {
    name: 'V25 the usage of a native Anthropic stream is put together',
    conf: { provider: 'anthropic' },
    path: '/v1/messages',
    request: { body: { ...messages, stream: true } },
    upstream: streamOf(
      'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":10,"output_tokens":0}}}\n\n',
      'event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":8}}\n\n',
      'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    ),
    target: '/v1/messages',
    sent: JSON.stringify({ ...messages, stream: true }),
    logged: { llm_prompt_tokens: '10', llm_completion_tokens: '8', llm_total_tokens: '18', weir_error: '' },
  },
  {
    name: 'V26 a boundary within a token and between CR and LF changes nothing (every other one: stream-splits.test.ts)',
    request: { body: streamedChat },
    upstream: streamOf(
      'data: {"usage":{"prompt_to',
      'kens":8,"completion_tokens":5,"total_tokens":13}}\r',
      '\n\r',
      '\ndata: [DONE]\r\n\r\n',
    ),
    body: 'data: {"usage":{"prompt_tokens":8,"completion_tokens":5,"total_tokens":13}}\r\n\r\ndata: [DONE]\r\n\r\n',
    logged: ofChat,
  },
  {
    name: 'V27 comments and empty events are relayed and not counted',
    request: { body: streamedChat },
    upstream: streamOf(': ping\n\n', '\n\n', 'data:\n\n', wholeStream),
    body: `: ping\n\n\n\ndata:\n\n${wholeStream}`,
    logged: ofChat,
  },
  {
    name: 'V28 usage null is ignored, prompt_cache_hit_tokens are a cache read',
    conf: { provider: 'deepseek' },
    request: { body: streamedChat },
    upstream: streamOf(
      textEvent('2'),
      chatEvent({
        choices: [{ index: 0, delta: {}, finish_reason: 'stop' }],
        usage: { prompt_tokens: 8, completion_tokens: 5, total_tokens: 13, prompt_cache_hit_tokens: 6 },
      }),
      done,
    ),
    target: '/chat/completions',
    logged: { ...ofChat, llm_cache_read_input_tokens: '6' },
  },
  {
    name: 'V29 a client that leaves: the provider is left at once, what was known is logged',
    request: { body: { model: 'B', messages: [], stream: true } },
    upstream: ({ socket }) => void socket.write(chunkedHead + chunk(usage + textEvent('2')).toString()),
    leavesAfter: '"2"',
    closedWithinMs: 2000,
    logged: { ...ofChat, request_llm_model: 'B', request_type: 'ai_stream', weir_error: 'CLIENT_CLOSED_REQUEST' },
  },
  {
    name: 'V30 an announced length above max_response_bytes is refused before it is read (in JSON, not bare)',
    conf: { max_response_bytes: 1000 },
    request: { body: chat },
    upstream: ({ socket }) =>
      void socket.write('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n'),
    status: 502,
    body: /"message":"max_response_bytes exceeded".*"code":"UPSTREAM_RESPONSE_TOO_LARGE"/,
    closedWithinMs: 2000,
    logged: { weir_error: 'UPSTREAM_RESPONSE_TOO_LARGE' },
  },
  {
    name: 'V31 an endless stream ends after max_stream_duration_ms without [DONE] (not silently: with an error event)',
    conf: { max_stream_duration_ms: 300 },
    request: { body: streamedChat },
    upstream: ({ socket }) => {
      socket.write(chunkedHead);
      const timer = setInterval(() => socket.write(chunk(textEvent('2'))), 20);
      socket.on('close', () => clearInterval(timer));
    },
    tookMs: [290, 5000],
    check(answer) {
      assert.ok(answer.complete && !answer.text.includes('[DONE]'));
      assert.match(answer.text, /"code":"UPSTREAM_STREAM_TOO_LONG"[^\n]*\n\n$/);
    },
    closedWithinMs: 2000,
    logged: { weir_error: 'UPSTREAM_STREAM_TOO_LONG', status: '200' },
  },
  {
    name: 'V32 the query of the endpoint and auth.query go together',
    conf: { auth: { query: { api_key: 'k' } } },
    endpoint: '/p?x=1',
    request: { body: chat },
    target: '/p?x=1&api_key=k',
    logged: { upstream_uri: '/p?x=1&api_key=[redacted]' },
  },
  {
    name: 'V32 a passed-through query overlays all but the credential',
    conf: { auth: { query: { api_key: 'k' } } },
    endpoint: '/p?x=1',
    path: '/any?api_key=evil&x=2',
    request: { body: '{"prompt":"x"}' },
    target: '/p?api_key=k&x=2',
  },
  {
    name: "V33 the configured key wins, Accept-Encoding stays (and, not as in APISIX, the client's cookies)",
    conf: { auth: { header: { Authorization: 'Bearer configured' } } },
    request: {
      body: chat,
      headers: { 'Accept-Encoding': 'br', Cookie: 'a=b', Authorization: 'Bearer mine', Traceparent: '00-1-2-03' },
    },
    sentFields: {
      authorization: 'Bearer configured',
      'accept-encoding': undefined,
      cookie: undefined,
      'content-type': 'application/json',
      traceparent: '00-1-2-03',
    },
  },
  {
    name: 'V34 any other API keeps its path',
    path: '/v1/images/generations',
    request: { body: '{"prompt":"x"}' },
    target: '/{route}/v1/images/generations',
    sent: '{"prompt":"x"}',
    logged: noTokens,
  },
  {
    name: 'V34 unless the endpoint has one',
    endpoint: '/fixed',
    path: '/v1/images/generations',
    request: { body: '{"prompt":"x"}' },
    target: '/fixed',
  },
  {
    name: 'V35 azure-openai gets no model',
    conf: { provider: 'azure-openai' },
    endpoint: '/openai/deployments/d/chat/completions?api-version=1',
    request: { body: '{"model":"B","messages":[]}' },
    target: '/openai/deployments/d/chat/completions?api-version=1',
    sent: '{"messages":[]}',
    logged: { llm_model: 'B', request_llm_model: 'B' },
  },
  {
    name: 'V36 bedrock without a model anywhere has no path',
    conf: bedrock,
    path: '/converse',
    request: { body: '{"messages":[]}' },
    requests: 0,
    status: 400,
    body: '{"error_msg":"could not resolve upstream path: ensure the route or request body specifies a model, or that override.endpoint includes a path"}\n',
    logged: { weir_error: 'LLM_UPSTREAM_PATH' },
  },
  {
    name: 'V36 bedrock does not chat',
    conf: bedrock,
    request: { body: chat },
    requests: 0,
    status: 400,
    body: 'provider bedrock does not support openai-chat protocol (supported: bedrock-converse)',
    logged: { weir_error: 'LLM_PROTOCOL_UNSUPPORTED' },
  },
  {
    name: 'V42 tools and tool calls of a plain answer are counted',
    request: { body: '{"messages":[],"tools":[{},{}]}' },
    upstream: answerWith(
      200,
      'application/json',
      '{"choices":[{"message":{"role":"assistant","content":null,"tool_calls":[{"id":"c"}]}}]}',
    ),
    logged: { llm_has_tool_calls: 'true', llm_tool_count: '2' },
  },
  {
    name: 'V42 tool calls of a stream are seen',
    request: { body: '{"messages":[],"stream":true,"tools":[{},{}]}' },
    upstream: streamOf('data: {"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}\n\n', done),
    logged: { llm_has_tool_calls: 'true', llm_tool_count: '2' },
  },
  {
    name: 'V42 neither tools nor calls',
    request: { body: chat },
    logged: { llm_has_tool_calls: 'false', llm_tool_count: '0' },
  },
  {
    name: 'V43 safety_identifier beats user',
    request: { body: '{"messages":[],"user":"u","safety_identifier":"s"}' },
    logged: { llm_end_user_id: 's' },
  },
  { name: 'V43 user alone', request: { body: '{"messages":[],"user":"u"}' }, logged: { llm_end_user_id: 'u' } },
];

let stage: AiStage;
before(async () => {
  stage = await startStage();
});
after(() => stage[Symbol.asyncDispose]());

async function routeFor(id: string, vector: Pick<Vector, 'conf' | 'endpoint' | 'plugins'>): Promise<string> {
  const { conf = {}, endpoint = '', plugins = {} } = vector;
  const override = { endpoint: endpoint === null ? 'http://127.0.0.1:1' : stage.raw.url + endpoint };
  const aiProxy = { provider: 'openai-compatible', auth: {}, override, ...conf };
  await stage.gateway.putRoute(id, { uri: `/${id}/*`, plugins: { ...plugins, 'ai-proxy': aiProxy } });
  return `${stage.gateway.url}/${id}`;
}

async function send(url: string, { request, leavesAfter }: Vector): Promise<CallResult> {
  if (leavesAfter === undefined) return call(url, request);
  const open = await openCall(url, request);
  await eventually(() => open.received().includes(leavesAfter));
  open.leave();
  return open.finish();
}

for (const [index, vector] of vectors.entries()) {
  test(vector.name, { timeout: 120_000 }, async () => {
    const id = `v${index}`;
    const url = (await routeFor(id, vector)) + (vector.path ?? '/v1/chat/completions');
    stage.raw.requests.length = 0;
    stage.raw.answer = vector.upstream ?? answerWith(200, 'application/json', chatText);

    const startedAt = performance.now();
    const answer = await send(url, vector);
    const tookMs = performance.now() - startedAt;

    assert.equal(answer.status, vector.status ?? 200, answer.text);
    assert.equal(stage.raw.requests.length, vector.requests ?? 1);
    const [request] = stage.raw.requests;
    if (vector.target !== undefined) assert.equal(request?.target, vector.target.replace('{route}', id));
    if (vector.sent !== undefined) assert.equal(request?.body.toString(), vector.sent);
    for (const [name, value] of Object.entries(vector.sentFields ?? {})) {
      assert.equal(fieldOf(request, name), value, name);
    }
    if (vector.contentType !== undefined)
      assert.match(answer.headers['content-type'] ?? '', new RegExp(`^${vector.contentType}`));
    if (typeof vector.body === 'string') assert.equal(answer.text, vector.body);
    if (vector.body instanceof RegExp) assert.match(answer.text, vector.body);
    vector.check?.(answer, request);
    if (vector.tookMs !== undefined) {
      const [least, most] = vector.tookMs;
      assert.ok(tookMs >= least && tookMs < most, `${tookMs} ms`);
    }
    if (vector.closedWithinMs !== undefined) {
      const closedAt = await stage.raw.closed(stage.raw.connections.length - 1);
      assert.ok(closedAt - startedAt - tookMs < vector.closedWithinMs, 'the provider was listened to for too long');
    }
    const [logged] = await stage.logged(url);
    for (const [name, value] of Object.entries(vector.logged ?? {})) {
      assert.equal(logged?.[name as keyof LoggedCall], value, name);
    }
  });
}

test('V9 upstream time and time to first token are milliseconds', async () => {
  const url = `${await routeFor('v9-times', {})}/v1/chat/completions`;
  stage.raw.answer = ({ socket }) => void setTimeout(() => socket.write(rawAnswer(429, 'text/json', '{}')), 60);
  await call(url, { body: chat });
  const [logged] = await stage.logged(url);
  for (const variable of ['apisix_upstream_response_time', 'llm_time_to_first_token'] as const) {
    const value = logged?.[variable] ?? '';
    assert.match(value, /^\d+$/, variable);
    assert.ok(Number(value) >= 55 && Number(value) < 5000, `${variable} ${value}`);
  }
});

describe('V44 what logging asks for is what loggers tell', () => {
  const rows: [conf: object | undefined, members: string[]][] = [
    [{ summaries: true }, ['llm_summary']],
    [{ payloads: true }, ['llm_request', 'llm_response_text']],
    [{ summaries: true, payloads: true }, ['llm_summary', 'llm_request', 'llm_response_text']],
    [{}, []],
    [undefined, []],
  ];
  for (const [index, [logging, members]] of rows.entries()) {
    for (const stream of [false, true]) {
      test(`${JSON.stringify(logging)}, ${stream ? 'a stream' : 'a plain answer'}`, async () => {
        const id = `v44-${index}-${stream}`;
        const url = await routeFor(id, {
          ...(logging !== undefined && { conf: { logging } }),
          plugins: { 'file-logger': { path: `logs/${id}.log` } },
        });
        stage.raw.answer = stream ? streamOf(wholeStream) : answerWith(200, 'application/json', chatText);
        await call(`${url}/v1/chat/completions`, { body: { model: 'B', messages: [], stream } });
        await eventually(() => stage.gateway.readLog(`${id}.log`).endsWith('\n'));
        const entry = JSON.parse(stage.gateway.readLog(`${id}.log`)) as Record<string, Record<string, unknown>>;
        assert.deepEqual(
          Object.keys(entry).filter((name) => name.startsWith('llm_')),
          members,
        );
        if (members.includes('llm_summary')) {
          const { request_model, prompt_tokens, stream: isStream } = entry['llm_summary'] ?? {};
          assert.deepEqual([request_model, prompt_tokens, isStream], ['B', 8, String(stream)]);
        }
        if (members.includes('llm_request')) {
          assert.deepEqual(entry['llm_request'], { messages: [], stream });
          assert.deepEqual(entry['llm_response_text'], { content: '2' });
        }
      });
    }
  }
});
