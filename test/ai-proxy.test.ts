import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { after, before, beforeEach, describe, test } from 'node:test';
import { startStage, type AiStage, type LoggedCall } from './support/ai-stage.ts';
import { call, type CallOptions } from './support/http-call.ts';
import {
  answerJson,
  chatAnswer,
  chatEvent,
  chatStream,
  chunk,
  fieldOf,
  rawAnswer,
  startProvider,
  textEvent,
  type Provider,
  type RecordedRequest,
} from './support/mock-provider.ts';
import { serverCertificate } from './support/tls-fixtures.ts';

const mebibyte = 1024 * 1024;
const hi = { messages: [{ role: 'user', content: 'hi' }] };

let stage: AiStage;
/** Stands in for the public addresses of the providers. */
let secure: Provider;

before(async () => {
  secure = await startProvider(answerJson(chatAnswer), { tls: serverCertificate });
  const hosts = ['api.openai.com', 'api.deepseek.com', 'api.aimlapi.com', 'name.openai.azure.com'];
  stage = await startStage({
    connectTo: Object.fromEntries(hosts.map((host) => [`${host}:443`, `127.0.0.1:${secure.port}`])),
    config: { nginx_config: { http: { client_max_body_size: '6m' } } },
  });
});

after(async () => {
  await stage[Symbol.asyncDispose]();
  await secure[Symbol.asyncDispose]();
});

beforeEach(() => {
  stage.provider.answer = answerJson(chatAnswer);
  stage.provider.requests.length = 0;
  stage.raw.answer = () => {};
  secure.requests.length = 0;
});

function lastRequest(provider: Provider = stage.provider): RecordedRequest {
  return provider.requests.at(-1) ?? assert.fail('the provider got no request');
}

describe('what the provider gets', { timeout: 120_000 }, () => {
  interface Row {
    name: string;
    conf?: object;
    /** Path of the endpoint, behind the address of the mock. */
    endpoint?: string;
    /** Behind the URL of the route, which takes every path below it. */
    path?: string;
    call?: CallOptions;
    target?: string;
    method?: string;
    body?: string;
    fields?: Record<string, string | undefined>;
    logged?: Partial<LoggedCall>;
  }

  const odd = '{ "temperature":1.0 ,\n\t"model" : "B",  "messages":[] , "z":1, "a":2 }';
  const rows: Row[] = [
    {
      name: 'V1 options win over the client',
      conf: { options: { model: 'A', temperature: 1 } },
      call: { body: '{"model":"B","temperature":0,"messages":[]}' },
      body: '{"messages":[],"model":"A","temperature":1}',
      logged: { request_llm_model: 'B', llm_model: 'A', request_type: 'ai_chat', llm_stream: 'false' },
    },
    { name: 'V2 a body that nothing changes goes out byte for byte', call: { body: odd }, body: odd },
    {
      name: 'V3 a stream asks for its usage, and other stream options stay',
      call: { body: '{"stream":true,"stream_options":{"include_usage":false,"other":1},"messages":[]}' },
      body: '{"messages":[],"stream":true,"stream_options":{"include_usage":true,"other":1}}',
      logged: { request_type: 'ai_stream', llm_stream: 'true' },
    },
    {
      name: 'V4 a stream that options force is one in every respect',
      conf: { options: { stream: true } },
      call: { body: '{"messages":[]}' },
      body: '{"messages":[],"stream":true,"stream_options":{"include_usage":true}}',
      logged: { request_type: 'ai_stream', llm_stream: 'true' },
    },
    {
      name: 'V32 the query of the endpoint and that of auth',
      conf: { auth: { query: { api_key: 'k', x: 'loses' } } },
      endpoint: '/p?x=1',
      call: { body: hi },
      target: '/p?x=1&api_key=k',
    },
    {
      name: "V32 a chat's own query stays at the gateway",
      path: '?q=of-the-client',
      call: { body: hi },
      target: '/v1/chat/completions',
    },
    {
      name: 'V32 a passed-through query cannot replace the credential',
      conf: { auth: { query: { api_key: 'k' } } },
      endpoint: '/p?x=1',
      path: '?api_key=evil&x=2',
      call: { body: '{"prompt":"x"}' },
      target: '/p?api_key=k&x=2',
    },
    {
      name: 'V33 headers: configured ones win, cookies and codings stay',
      conf: { auth: { header: { Authorization: 'Bearer configured' } } },
      call: {
        body: hi,
        headers: {
          'Accept-Encoding': 'br, gzip',
          Cookie: 'a=b',
          Authorization: 'Bearer mine',
          'X-Api-Key': 'mine',
          'Content-Type': 'application/json; charset=utf-8',
          Traceparent: '00-1-2-03',
          'X-Twice': ['one', 'two'],
          Connection: 'keep-alive, X-Hop',
          'X-Hop': 'not for the provider',
          TE: 'trailers',
        },
      },
      fields: {
        authorization: 'Bearer configured',
        cookie: undefined,
        'accept-encoding': undefined,
        'x-api-key': undefined,
        'content-type': 'application/json',
        traceparent: '00-1-2-03',
        'x-twice': 'one, two',
        'x-hop': undefined,
        te: undefined,
        'transfer-encoding': undefined,
      },
    },
    {
      name: 'the key of the client, when none is configured',
      call: { body: hi, headers: { Authorization: 'Bearer mine' } },
      fields: { authorization: 'Bearer mine' },
    },
    {
      name: 'V34 any other API under its own path',
      path: '/v1/images/generations?n=1',
      call: { body: '{"prompt":"x"}' },
      target: '/{route}/v1/images/generations?n=1',
      body: '{"prompt":"x"}',
    },
    {
      name: 'V34 any other API under the path of the endpoint',
      endpoint: '/fixed',
      path: '/v1/images/generations',
      call: { body: '{"prompt":"x"}' },
      target: '/fixed',
    },
    {
      name: 'V35 no model, for azure-openai',
      conf: { provider: 'azure-openai', options: { model: 'gpt-4' } },
      endpoint: '/openai/deployments/d/chat/completions?api-version=1',
      call: { body: '{"model":"B","messages":[]}' },
      target: '/openai/deployments/d/chat/completions?api-version=1',
      body: '{"messages":[]}',
      logged: { llm_model: 'gpt-4', request_llm_model: 'B' },
    },
    { name: 'a lone slash as path', endpoint: '/', call: { body: hi }, target: '/' },
    { name: 'embeddings under their path', call: { body: '{"input":"x"}' }, target: '/v1/embeddings' },
    { name: 'POST, whatever the method of a chat', call: { method: 'PUT', body: hi }, method: 'POST' },
    {
      name: 'the own method of any other API',
      call: { method: 'PATCH', body: '{"prompt":"x"}' },
      method: 'PATCH',
    },
    {
      name: 'a GET with its body',
      call: { method: 'GET', body: '{"prompt":"x"}' },
      method: 'GET',
      body: '{"prompt":"x"}',
    },
    {
      name: 'a chunked body with its length',
      call: { body: hi, headers: { 'Transfer-Encoding': 'chunked' } },
      body: JSON.stringify(hi),
      fields: { 'content-length': String(JSON.stringify(hi).length), 'transfer-encoding': undefined },
    },
    {
      name: 'numbers that a double cannot hold, as they came',
      conf: { options: { model: 'A' } },
      call: { body: '{"messages":[],"seed":12345678901234567890}' },
      body: '{"messages":[],"model":"A","seed":12345678901234567890}',
    },
  ];

  for (const row of rows) {
    test(row.name, async () => {
      const conf = { override: { endpoint: `${stage.provider.url}${row.endpoint ?? ''}` }, ...row.conf };
      const url = await stage.route(conf);
      const id = url.slice(url.lastIndexOf('/') + 1);
      await stage.gateway.putRoute(id, { uris: [`/${id}`, `/${id}/*`], plugins: await pluginsOf(id) });
      const answer = await call(url + (row.path ?? ''), row.call);
      assert.equal(answer.status, 200, answer.text);
      const request = lastRequest();
      if (row.target !== undefined) assert.equal(request.target, row.target.replace('{route}', id));
      assert.equal(request.method, row.method ?? 'POST');
      if (row.body !== undefined) assert.equal(request.body.toString(), row.body);
      for (const [name, value] of Object.entries(row.fields ?? {})) assert.equal(fieldOf(request, name), value, name);
      assert.equal(fieldOf(request, 'host'), `127.0.0.1:${stage.provider.port}`);
      assert.equal(fieldOf(request, 'accept-encoding'), undefined);
      const [logged] = await stage.logged(url + (row.path ?? ''));
      assertHas(logged, row.logged ?? {});
    });
  }

  async function pluginsOf(id: string): Promise<object> {
    const { body } = await stage.gateway.admin('GET', `/routes/${id}`);
    return (body as { value: { plugins: object } }).value.plugins;
  }

  const publicAddresses: [string, string, string][] = [
    ['openai', 'api.openai.com', '/v1/chat/completions'],
    ['deepseek', 'api.deepseek.com', '/chat/completions'],
    ['aimlapi', 'api.aimlapi.com', '/v1/chat/completions'],
  ];
  for (const [provider, host, path] of publicAddresses) {
    test(`without an endpoint ${provider} is https://${host}${path}`, async () => {
      const url = await stage.route({ provider, auth: { header: { Authorization: 'Bearer x' } }, override: {} });
      const answer = await call(url, { body: hi });
      assert.equal(answer.status, 200, answer.text);
      const request = lastRequest(secure);
      assert.deepEqual([request.servername, fieldOf(request, 'host'), request.target], [host, host, path]);
    });
  }

  test('a request of 5 MB', async () => {
    const url = await stage.route({ options: { model: 'A' } });
    const content = randomBytes(2.5 * mebibyte).toString('hex');
    const answer = await call(url, { body: { messages: [{ role: 'user', content }] } });
    assert.equal(answer.status, 200, answer.text);
    const { messages } = JSON.parse(lastRequest().body.toString()) as { messages: { content: string }[] };
    assert.ok(messages[0]?.content === content, 'the content arrived changed');
  });
});

describe('a request that is refused', { timeout: 120_000 }, () => {
  interface Row {
    name: string;
    conf?: object;
    call: CallOptions;
    status: number;
    body: string | RegExp;
    error: string;
  }

  const noProtocol = 'no matching AI protocol for the request';
  const rows: Row[] = [
    {
      name: 'V5 of another content type',
      call: { body: hi, headers: { 'Content-Type': 'text/plain' } },
      status: 400,
      body: 'unsupported content-type: text/plain, only application/json is supported',
      error: 'LLM_CONTENT_TYPE',
    },
    { name: 'V6 that is {}', call: { body: '{}' }, status: 400, body: noProtocol, error: 'LLM_NO_PROTOCOL' },
    { name: 'V6 that is []', call: { body: '[]' }, status: 400, body: noProtocol, error: 'LLM_NO_PROTOCOL' },
    { name: 'that is a number', call: { body: '5' }, status: 400, body: noProtocol, error: 'LLM_NO_PROTOCOL' },
    { name: 'that is null', call: { body: 'null' }, status: 400, body: noProtocol, error: 'LLM_NO_PROTOCOL' },
    {
      name: 'V7 larger than max_req_body_size',
      conf: { max_req_body_size: 100 },
      call: { body: JSON.stringify({ messages: [], x: 'y'.repeat(200 - 22) }) },
      status: 413,
      body: '{"message":"could not get body: request size 200 is greater than the maximum size 100 allowed"}\n',
      error: 'LLM_BODY_TOO_LARGE',
    },
    {
      name: 'V7 larger than max_req_body_size, in chunks',
      conf: { max_req_body_size: 100 },
      call: { body: 'x'.repeat(200), headers: { 'Transfer-Encoding': 'chunked' } },
      status: 413,
      body: /^\{"message":"could not get body: request size \d+ is greater than the maximum size 100 allowed"\}\n$/,
      error: 'LLM_BODY_TOO_LARGE',
    },
    {
      name: 'larger than client_max_body_size',
      call: { body: Buffer.alloc(7 * mebibyte, 'x') },
      status: 413,
      body: /"error_msg":"request size 7340032 is greater than the maximum size 6291456 allowed"/,
      error: 'BODY_TOO_LARGE',
    },
    {
      name: 'that is empty',
      call: {},
      status: 400,
      body: '{"message":"could not get body: request body is empty"}\n',
      error: 'LLM_BODY_EMPTY',
    },
    {
      name: 'that is no JSON',
      call: { body: 'hello' },
      status: 400,
      body: /^\{"message":"could not parse JSON request body: .+"\}\n$/,
      error: 'LLM_BODY_SYNTAX',
    },
    {
      name: 'in a protocol that the provider does not speak',
      conf: { provider: 'deepseek' },
      call: { body: '{"input":"x"}' },
      status: 400,
      body: /^provider deepseek does not support openai-embeddings protocol \(supported: .*openai-chat.*\)$/,
      error: 'LLM_PROTOCOL_UNSUPPORTED',
    },
  ];

  for (const row of rows) {
    test(row.name, async () => {
      const url = await stage.route(row.conf);
      const answer = await call(url, row.call);
      assert.equal(answer.status, row.status, answer.text);
      if (typeof row.body === 'string') assert.equal(answer.text, row.body);
      else assert.match(answer.text, row.body);
      assert.match(
        answer.headers['content-type'] ?? '',
        answer.text.startsWith('{') ? /^application\/json/ : /^text\/plain/,
      );
      assert.equal(stage.provider.requests.length, 0);
      const [logged] = await stage.logged(url);
      assertHas(logged, {
        status: String(row.status),
        weir_error: row.error,
        upstream_addr: '',
        request_type: 'traditional_http',
      });
    });
  }

  test('V5 a content type with parameters is none of them', async () => {
    const url = await stage.route();
    const answer = await call(url, { body: hi, headers: { 'Content-Type': 'application/json; charset=utf-8' } });
    assert.equal(answer.status, 200);
  });
});

describe('what the client gets', { timeout: 120_000 }, () => {
  const errors: [number, string, string][] = [
    [429, 'text/json', '{"error":"slow"}'],
    [400, 'application/json', '{"error":{"message":"no","type":"invalid_request_error"}}'],
    [401, 'application/json', '{"error":{"message":"Incorrect API key provided"}}'],
    [500, 'text/html', '<h1>sorry</h1>'],
    [503, 'text/plain', ''],
  ];
  for (const [status, contentType, body] of errors) {
    test(`V9 V10 a ${status} of the provider comes back as it is`, async () => {
      const url = await stage.route();
      stage.provider.answer = (_request, response) => {
        setTimeout(() => {
          response.writeHead(status, {
            'Content-Type': contentType,
            'Retry-After': '7',
            'X-Request-Id': 'req-1',
            'X-RateLimit-Remaining-Tokens': '0',
            'Set-Cookie': 'session=of-the-provider',
          });
          response.end(body);
        }, 15);
      };
      const answer = await call(url, { body: hi });
      assert.deepEqual([answer.status, answer.headers['content-type'], answer.text], [status, contentType, body]);
      assert.equal(answer.headers['retry-after'], '7');
      assert.equal(answer.headers['x-request-id'], 'req-1');
      assert.equal(answer.headers['x-ratelimit-remaining-tokens'], '0');
      assert.equal(answer.headers['set-cookie'], undefined);
      assert.equal(stage.provider.requests.length, 1, 'it was tried again');
      const [logged] = await stage.logged(url);
      assertHas(logged, {
        status: String(status),
        upstream_status: String(status),
        weir_error: '',
        llm_prompt_tokens: '0',
        llm_completion_tokens: '0',
      });
      for (const time of [logged?.apisix_upstream_response_time, logged?.llm_time_to_first_token]) {
        assert.match(time ?? '', /^\d+$/);
        assert.ok(Number(time) >= 10 && Number(time) < 2000, `${time} ms`);
      }
    });
  }

  test('a redirect is not followed', async () => {
    const url = await stage.route();
    stage.provider.answer = (_request, response) => {
      response.writeHead(307, { Location: `${stage.provider.url}/elsewhere` }).end();
    };
    const answer = await call(url, { body: hi });
    assert.equal(answer.status, 307);
    assert.equal(answer.headers.location, `${stage.provider.url}/elsewhere`);
    assert.equal(stage.provider.requests.length, 1);
  });

  test('a redirect that repeats a credential of the query comes without its address', async () => {
    const url = await stage.route({
      auth: { query: { api_key: 's3cret' } },
      override: { endpoint: stage.provider.url },
    });
    stage.provider.answer = (request, response) => {
      response.writeHead(301, { Location: `https://up${request.target}`, 'X-Kept': 'yes' }).end();
    };
    const answer = await call(url, { body: hi });
    assert.deepEqual([answer.status, answer.headers.location, answer.headers['x-kept']], [301, undefined, 'yes']);
  });

  const json = JSON.stringify(chatAnswer);
  const head = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n';
  const framings: [string, string | Buffer][] = [
    ['by its length', rawAnswer(200, 'application/json', json)],
    [
      'in chunks, with extensions and trailers',
      Buffer.concat([
        Buffer.from(`${head}Transfer-Encoding: chunked\r\n\r\n5;name=value\r\n${json.slice(0, 5)}\r\n`),
        chunk(json.slice(5)),
        Buffer.from('0\r\nX-Trailer: ignored\r\n\r\n'),
      ]),
    ],
    ['until the connection closes', `${head}Connection: close\r\n\r\n${json}`],
    ['until the connection closes, of HTTP/1.0', `HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n${json}`],
    [
      'after interim answers',
      `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n${head}Content-Length: ${json.length}\r\n\r\n${json}`,
    ],
    ['without a reason phrase', `HTTP/1.1 200\r\nContent-Length: ${json.length}\r\n\r\n${json}`],
  ];
  for (const [name, bytes] of framings) {
    for (const manner of ['in one piece', 'byte by byte'] as const) {
      test(`an answer framed ${name}, sent ${manner}`, async () => {
        const url = await stage.route({ override: { endpoint: stage.raw.url } });
        stage.raw.answer = ({ socket }) => void sendBytes(socket, Buffer.from(bytes), manner === 'byte by byte');
        const answer = await call(url, { body: hi });
        assert.deepEqual([answer.status, answer.text, answer.complete], [200, json, true]);
        assert.equal(answer.headers['content-length'], String(json.length));
        assert.equal(answer.headers['x-trailer'], undefined);
        const [logged] = await stage.logged(url);
        assertHas(logged, { llm_prompt_tokens: '8', llm_completion_tokens: '5', llm_total_tokens: '13' });
      });
    }
  }

  test('an answer that is no JSON comes back unchanged, without usage', async () => {
    const url = await stage.route();
    stage.provider.answer = (_request, response) => {
      response.writeHead(200, { 'Content-Type': 'text/plain' }).end('not JSON: "usage"');
    };
    const answer = await call(url, { body: hi });
    assert.deepEqual([answer.status, answer.text], [200, 'not JSON: "usage"']);
    assertHas((await stage.logged(url))[0], { llm_prompt_tokens: '0', request_type: 'ai_chat' });
  });

  test('an answer without a body', async () => {
    const url = await stage.route();
    stage.provider.answer = (_request, response) => response.writeHead(204, { 'X-Kept': 'yes' }).end();
    const answer = await call(url, { body: hi });
    assert.deepEqual([answer.status, answer.text, answer.headers['x-kept']], [204, '', 'yes']);
    assert.equal(answer.headers['content-length'], undefined);
  });

  test('the head alone of a HEAD that is passed through', async () => {
    const url = await stage.route();
    stage.provider.answer = (_request, response) => response.writeHead(200, { 'Content-Length': 1234 }).end();
    const answer = await call(url, { method: 'HEAD', body: '{"prompt":"x"}' });
    assert.equal(lastRequest().method, 'HEAD');
    assert.deepEqual([answer.status, answer.text, answer.headers['content-length']], [200, '', '1234']);
  });

  test('the head alone, when a chat is asked for with HEAD', async () => {
    const url = await stage.route();
    const answer = await call(url, { method: 'HEAD', body: hi });
    assert.equal(lastRequest().method, 'POST');
    assert.deepEqual([answer.status, answer.text, answer.headers['content-length']], [200, '', String(json.length)]);
  });

  test('an answer that is too large to be gathered passes as it comes', async () => {
    const url = await stage.route();
    const piece = randomBytes(mebibyte);
    const pieces = 66;
    stage.provider.answer = (_request, response) => {
      response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': pieces * mebibyte });
      Readable.from(Array.from({ length: pieces }, () => piece)).pipe(response);
    };
    const answer = await call(url, { body: hi });
    assert.deepEqual([answer.body.length, answer.complete], [pieces * mebibyte, true]);
    assert.ok(answer.body.subarray(-mebibyte).equals(piece), 'the answer arrived changed');
  });

  for (const [name, body] of [
    ['a chat', hi],
    ['any other API', { prompt: 'x' }],
  ] as const) {
    test(`an answer of 10 MB to ${name}`, async () => {
      const url = await stage.route();
      const bytes = randomBytes(10 * mebibyte);
      stage.provider.answer = (_request, response) => {
        response.writeHead(200, { 'Content-Type': 'application/octet-stream' }).end(bytes);
      };
      const answer = await call(url, { body });
      assert.equal(answer.status, 200);
      assert.ok(answer.body.equals(bytes), 'the answer arrived changed');
      assertHas((await stage.logged(url))[0], { body_bytes_sent: String(bytes.length) });
    });
  }
});

describe('what is logged of an answer', { timeout: 120_000 }, () => {
  interface Row {
    name: string;
    request?: object;
    answer?: object;
    /** Sent as an event stream. */
    stream?: string;
    logged: Partial<LoggedCall>;
  }
  const toolCalls = [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }];
  const rows: Row[] = [
    {
      name: 'V28 the usage of DeepSeek, whose early events have none',
      stream:
        textEvent('a') +
        chatEvent({ choices: [], usage: null }) +
        chatEvent({
          choices: [],
          usage: { prompt_tokens: 10, completion_tokens: 4, total_tokens: 14, prompt_cache_hit_tokens: 6 },
        }) +
        'data: [DONE]\n\n',
      logged: {
        request_type: 'ai_stream',
        llm_prompt_tokens: '10',
        llm_completion_tokens: '4',
        llm_total_tokens: '14',
        llm_cache_read_input_tokens: '6',
      },
    },
    {
      name: 'V27 comments and empty events are not counted',
      stream: `: ping\n\n\n\nevent: x\n\n${chatStream}`,
      logged: { llm_prompt_tokens: '8', llm_completion_tokens: '5' },
    },
    {
      name: 'a stream that ends without its last blank line',
      stream: chatEvent({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 2 } }).trimEnd(),
      logged: { llm_prompt_tokens: '3', llm_completion_tokens: '2', llm_total_tokens: '5' },
    },
    {
      name: 'V42 tools of the request and tool calls of the answer',
      request: { ...hi, tools: [{ type: 'function' }, { type: 'function' }] },
      answer: { ...chatAnswer, choices: [{ message: { role: 'assistant', content: null, tool_calls: toolCalls } }] },
      logged: { llm_tool_count: '2', llm_has_tool_calls: 'true' },
    },
    {
      name: 'V42 tool calls of a stream',
      stream: chatEvent({ choices: [{ delta: { tool_calls: toolCalls } }] }) + chatStream,
      logged: { llm_has_tool_calls: 'true', llm_prompt_tokens: '8' },
    },
    {
      name: 'V42 no tool calls',
      answer: { ...chatAnswer, choices: [{ message: { role: 'assistant', content: 'x', tool_calls: [] } }] },
      logged: { llm_tool_count: '0', llm_has_tool_calls: 'false' },
    },
    {
      name: 'V43 safety_identifier before user',
      request: { ...hi, user: 'u', safety_identifier: 's' },
      logged: { llm_end_user_id: 's' },
    },
    { name: 'V43 user', request: { ...hi, user: 'u' }, logged: { llm_end_user_id: 'u' } },
    {
      name: 'reasoning and cached tokens',
      answer: {
        ...chatAnswer,
        usage: {
          prompt_tokens: 8,
          completion_tokens: 5,
          prompt_tokens_details: { cached_tokens: 4 },
          completion_tokens_details: { reasoning_tokens: 3 },
        },
      },
      logged: { llm_total_tokens: '13', llm_cache_read_input_tokens: '4', llm_reasoning_tokens: '3' },
    },
    {
      name: 'the tokens of embeddings',
      request: { input: 'x', model: 'e' },
      answer: { data: [], usage: { prompt_tokens: 2, total_tokens: 2 } },
      logged: { llm_prompt_tokens: '2', llm_completion_tokens: '0', request_llm_model: 'e', request_type: 'ai_chat' },
    },
  ];

  for (const row of rows) {
    test(row.name, async () => {
      const url = await stage.route();
      stage.provider.answer =
        row.stream === undefined
          ? answerJson(row.answer ?? chatAnswer)
          : (_request, response) => response.writeHead(200, { 'Content-Type': 'text/event-stream' }).end(row.stream);
      const answer = await call(url, {
        body: row.request ?? { ...hi, ...(row.stream !== undefined && { stream: true }) },
      });
      assert.equal(answer.status, 200);
      if (row.stream !== undefined) assert.equal(answer.text, row.stream);
      assertHas((await stage.logged(url))[0], row.logged);
    });
  }

  const switches: [string, object, string[]][] = [
    ['V44 summaries alone', { summaries: true }, ['llm_summary']],
    ['V44 payloads alone', { payloads: true }, ['llm_request', 'llm_response_text']],
    ['V44 both', { summaries: true, payloads: true }, ['llm_request', 'llm_response_text', 'llm_summary']],
  ];
  for (const [name, logging, members] of switches) {
    for (const stream of [false, true]) {
      test(`${name} of a ${stream ? 'streamed' : 'plain'} chat`, async () => {
        const url = await stage.route({ logging, options: { model: 'gpt-4' } });
        if (stream) {
          stage.provider.answer = (_request, response) =>
            response.writeHead(200, { 'Content-Type': 'text/event-stream' }).end(chatStream);
        }
        await call(url, { body: { ...hi, model: 'auto', stream } });
        const [route] = await stage.logged(url);
        const [record] = await stage.gateway.llmLog(`"route_id":"${route?.route_id}"`);
        assert.deepEqual(
          Object.keys(record ?? {})
            .filter((member) => member.startsWith('llm_'))
            .sort(),
          members,
        );
        if (members.includes('llm_summary')) {
          const { duration, upstream_response_time, ...summary } = (record?.['llm_summary'] ?? {}) as Record<
            string,
            unknown
          >;
          assert.match(String(duration), /^\d+$/);
          assert.equal(typeof upstream_response_time, 'number');
          assert.deepEqual(summary, {
            request_model: 'auto',
            model: 'gpt-4',
            prompt_tokens: 8,
            completion_tokens: 5,
            total_tokens: 13,
            stream: String(stream),
            tool_count: 0,
            has_tool_calls: 'false',
            end_user_id: '',
            cache_read_input_tokens: 0,
            cache_creation_input_tokens: 0,
            reasoning_tokens: 0,
            content_risk_level: '',
          });
        }
        if (members.includes('llm_request')) {
          assert.deepEqual(record?.['llm_request'], { messages: hi.messages, stream });
          assert.deepEqual(record?.['llm_response_text'], { content: stream ? 'one zwei ä€' : '2' });
        }
      });
    }
  }

  test('V44 without logging there is no record', async () => {
    const url = await stage.route();
    await call(url, { body: hi });
    const marker = await stage.route({ logging: { summaries: true } });
    await call(marker, { body: hi });
    const [{ route_id: unlogged } = assert.fail(), { route_id: last } = assert.fail()] = [
      ...(await stage.logged(url)),
      ...(await stage.logged(marker)),
    ];
    await stage.gateway.llmLog(`"route_id":"${last}"`);
    assert.doesNotMatch(stage.gateway.readLog('llm.log'), new RegExp(`"route_id":"${unlogged}"`));
  });
});

describe('_meta', { timeout: 120_000 }, () => {
  test('disable takes the plugin out of the route', async () => {
    const url = await stage.route({ _meta: { disable: true } });
    const answer = await call(url, { body: hi });
    assert.deepEqual([answer.status, stage.provider.requests.length], [502, 0]);
    assert.match(answer.text, /"error_msg":"no plugin of the matched route chose an upstream"/);
  });

  test('a filter decides for each request, by header, argument or member of the body', async () => {
    const url = await stage.route({
      _meta: { filter: ['OR', ['arg_on', '==', '1'], ['http_x_on', '==', '1'], ['post_arg.model', '==', 'on']] },
    });
    const statuses = [];
    for (const [path, options] of [
      ['', { body: hi }],
      ['?on=1', { body: hi }],
      ['', { body: hi, headers: { 'X-On': '1' } }],
      ['', { body: { ...hi, model: 'on' } }],
      ['', { body: { ...hi, model: 'off' } }],
    ] as const) {
      const headers = { 'Content-Type': 'application/json', ...('headers' in options && options.headers) };
      statuses.push((await call(url + path, { body: options.body, headers })).status);
    }
    assert.deepEqual(statuses, [502, 200, 200, 200, 502]);
  });

  test('error_response replaces the body of a refusal, text or object, and keeps the status', async () => {
    const asText = await stage.route({ _meta: { error_response: 'no' } });
    const text = await call(asText, { body: '{}' });
    assert.deepEqual([text.status, text.text], [400, 'no']);

    const asObject = await stage.route({ max_req_body_size: 2, _meta: { error_response: { message: 'no' } } });
    const object = await call(asObject, { body: hi });
    assert.deepEqual([object.status, object.json], [413, { message: 'no' }]);

    const good = await call(asText, { body: hi });
    assert.deepEqual([good.status, good.json], [200, chatAnswer]);
  });

  test('priority is accepted', async () => {
    const url = await stage.route({ _meta: { priority: 1 } });
    assert.equal((await call(url, { body: hi })).status, 200);
  });
});

describe('routes', { timeout: 120_000 }, () => {
  /** The model that a route adds tells which one it was. */
  async function answering(url: string, options: CallOptions = {}): Promise<string | number> {
    const headers = { 'Content-Type': 'application/json', ...options.headers };
    const answer = await call(url, { body: hi, ...options, headers });
    if (answer.status !== 200) return answer.status;
    return String((JSON.parse(lastRequest().body.toString()) as { model: unknown }).model);
  }

  function put(id: string, route: object): Promise<void> {
    const aiProxy = {
      provider: 'openai-compatible',
      auth: {},
      override: { endpoint: stage.provider.url },
      options: { model: id },
    };
    return stage.gateway.putRoute(id, { ...route, plugins: { 'ai-proxy': aiProxy } });
  }

  test('are found by method, host, path, priority and vars', async () => {
    await put('any', { uri: '/routed/*' });
    await put('exact', { uri: '/routed/exact' });
    await put('get', { uri: '/routed/method', methods: ['GET'] });
    await put('host', { uri: '/routed/*', host: 'api.example.com' });
    await put('wildcard', { uri: '/routed/*', hosts: ['*.example.com'] });
    await put('argument', { uri: '/routed/*', vars: [['arg_tier', '==', 'gold']], priority: 5 });
    await put('model', { uri: '/routed/*', vars: [['post_arg.model', 'in', ['gpt-4', 'gpt-4o']]], priority: 6 });
    await put('role', { uri: '/routed/*', vars: [['post_arg.messages[*].role', 'has', 'tool']], priority: 7 });
    await put('invisible', { uri: '/routed/*', status: 0, priority: 100 });

    const base = `${stage.gateway.url}/routed`;
    const found = {
      any: await answering(`${base}/x`),
      exact: await answering(`${base}/exact`),
      get: await answering(`${base}/method`, { method: 'GET' }),
      notGet: await answering(`${base}/method`),
      host: await answering(`${base}/x`, { headers: { Host: 'API.example.com:9080' } }),
      wildcard: await answering(`${base}/x`, { headers: { Host: 'b.example.com' } }),
      argument: await answering(`${base}/x?tier=gold`),
      model: await answering(`${base}/x`, { body: { ...hi, model: 'gpt-4o' } }),
      role: await answering(`${base}/x`, { body: { messages: [{ role: 'user' }, { role: 'tool' }] } }),
      nowhere: await answering(`${stage.gateway.url}/elsewhere`),
    };
    assert.deepEqual(found, {
      any: 'any',
      exact: 'exact',
      get: 'get',
      notGet: 'any',
      host: 'host',
      wildcard: 'wildcard',
      argument: 'argument',
      model: 'model',
      role: 'role',
      nowhere: 404,
    });
  });

  test('a request that none takes gets 404 with the words of APISIX', async () => {
    const answer = await call(`${stage.gateway.url}/nowhere`, { body: hi });
    assert.deepEqual([answer.status, answer.text], [404, '{"error_msg":"404 Route Not Found"}\n']);
    assertHas((await stage.logged(`${stage.gateway.url}/nowhere`))[0], {
      status: '404',
      weir_error: 'ROUTE_NOT_FOUND',
      request_type: 'traditional_http',
    });
  });
});

describe('the Admin API of the same gateway', { timeout: 120_000 }, () => {
  const good = { provider: 'openai', auth: { header: { Authorization: 'Bearer x' } } };

  const wrong: [string, object, RegExp][] = [
    [
      'V37 an unknown provider',
      { ...good, provider: 'x' },
      /property "provider" validation failed: matches none of the enum values/,
    ],
    [
      'V37 a timeout of 0',
      { ...good, timeout: 0 },
      /property "timeout" validation failed: expected 0 to be at least 1/,
    ],
    ['V37 a timeout of 700000', { ...good, timeout: 700000 }, /expected 700000 to be at most 600000/],
    ['V37 no auth', { provider: 'openai' }, /property "auth" is required/],
    [
      'openai-compatible without an endpoint',
      { ...good, provider: 'openai-compatible' },
      /override\.endpoint is required for openai-compatible/,
    ],
    [
      'azure-openai without an endpoint',
      { ...good, provider: 'azure-openai' },
      /override\.endpoint is required for azure-openai/,
    ],
    [
      'an endpoint that is no URL',
      { ...good, override: { endpoint: 'api.openai.com' } },
      /override\.endpoint: invalid endpoint: expected http\(s\):\/\//,
    ],
    [
      'a credential with a line break',
      { ...good, auth: { header: { Authorization: 'Bearer sk\r\nx: y' } } },
      /auth\.header "Authorization" must not hold line breaks/,
    ],
  ];
  for (const [name, conf, message] of wrong) {
    test(`refuses ${name}, and says why`, async () => {
      const answer = await stage.gateway.admin('PUT', '/routes/wrong', {
        uri: '/wrong',
        plugins: { 'ai-proxy': conf },
      });
      assert.equal(answer.status, 400);
      const { error_msg: text } = answer.body as { error_msg: string };
      assert.match(text, /^failed to check the configuration of plugin ai-proxy err: /);
      assert.match(text, message);
      assert.doesNotMatch(text, /Bearer/);
      assert.equal((await call(`${stage.gateway.url}/wrong`, { body: hi })).status, 404);
    });
  }

  test('V38 a key is needed, and a route comes and goes with the documented envelopes', async () => {
    const { gateway } = stage;
    const path = '/routes/v38';
    const without = await fetch(`${gateway.adminUrl}/apisix/admin${path}`);
    assert.equal(without.status, 401);
    assert.deepEqual(await without.json(), { error_msg: 'failed to check token', description: 'missing apikey' });

    const route = { uri: '/v38', plugins: { 'ai-proxy': good } };
    assert.equal((await gateway.admin('PUT', path, route)).status, 201);
    assert.equal((await gateway.admin('PUT', path, route)).status, 200);
    const { body } = await gateway.admin('GET', path);
    const { createdIndex, modifiedIndex } = body as { createdIndex: number; modifiedIndex: number };
    assert.ok(createdIndex > 0 && modifiedIndex > createdIndex);
    assert.deepEqual(await gateway.admin('DELETE', path), {
      status: 200,
      body: { key: '/apisix/routes/v38', deleted: '1' },
    });
    assert.deepEqual(await gateway.admin('DELETE', path), { status: 404, body: { message: 'Key not found' } });
  });
});

async function sendBytes(socket: NodeJS.WritableStream, bytes: Buffer, oneByOne: boolean): Promise<void> {
  const step = oneByOne ? 1 : bytes.length;
  for (let at = 0; at < bytes.length; at += step) {
    socket.write(bytes.subarray(at, at + step));
    if (oneByOne) await new Promise((resolve) => setImmediate(resolve));
  }
  if (!/content-length|chunked/i.test(bytes.toString('latin1'))) socket.end();
}

function assertHas(actual: LoggedCall | undefined, expected: Partial<LoggedCall>): void {
  assert.ok(actual !== undefined);
  const seen = Object.fromEntries(Object.keys(expected).map((key) => [key, actual[key as keyof LoggedCall]]));
  assert.deepEqual(seen, expected);
}
