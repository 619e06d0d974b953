import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { AwsEventSplitter, encodeAwsEvent } from '../src/llm/framing/aws-event-stream.ts';
import { parseSseBlock } from '../src/llm/framing/sse.ts';
import { startStage, type AiStage } from './support/ai-stage.ts';
import { call, openCall, type CallResult } from './support/http-call.ts';
import { chatAnswer, chunk, rawAnswer, textEvent, type RawAnswer } from './support/mock-provider.ts';

const chunkedHead = (type: string): string =>
  `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nTransfer-Encoding: chunked\r\n\r\n`;
const lastChunk = '0\r\n\r\n';
const hi = { messages: [{ role: 'user', content: 'hi' }] };
const aws = { access_key_id: 'AKID', secret_access_key: 'secret' };

let stage: AiStage;
before(async () => {
  stage = await startStage();
});
after(() => stage[Symbol.asyncDispose]());
beforeEach(() => {
  stage.raw.requests.length = 0;
});

interface Dialect {
  readonly name: string;
  readonly conf: object;
  /** Behind the address of the route. */
  readonly path: string;
  readonly body: object;
  readonly contentType: string;
  /** An event of the provider, about 100 bytes. */
  readonly event: Buffer;
  /** The code that the last event of the client's stream carries, or what tells its message. */
  readError(answer: CallResult): string;
}

const sse = 'text/event-stream';

/** The JSON of the last event. */
function lastEvent(answer: CallResult): { name: string; json: Record<string, unknown> } {
  const block = answer.text.split('\n\n').at(-2) ?? '';
  const event = parseSseBlock(block) ?? assert.fail(`no event: ${answer.text.slice(-300)}`);
  return { name: event.event, json: JSON.parse(event.data) as Record<string, unknown> };
}

function named(name: string, members: object): Buffer {
  return Buffer.from(`event: ${name}\ndata: ${JSON.stringify({ type: name, ...members })}\n\n`);
}

function anthropicCode(answer: CallResult): string {
  const { name, json } = lastEvent(answer);
  assert.deepEqual([name, json['type']], ['error', 'error']);
  assert.ok(!answer.text.includes('message_stop'), 'a false stop');
  return (json['error'] as { details: { error_code: string } }).details.error_code;
}

const dialects: Dialect[] = [
  {
    name: 'OpenAI chat',
    conf: { provider: 'openai-compatible' },
    path: '/v1/chat/completions',
    body: { ...hi, stream: true },
    contentType: sse,
    event: Buffer.from(textEvent('one')),
    readError(answer) {
      assert.ok(!answer.text.includes('[DONE]'), 'a false stop');
      return (lastEvent(answer).json['error'] as { code: string }).code;
    },
  },
  {
    name: 'OpenAI responses',
    conf: { provider: 'openai-compatible' },
    path: '/v1/responses',
    body: { input: 'hi', stream: true },
    contentType: sse,
    event: named('response.output_text.delta', { delta: 'one', item_id: 'i', content_index: 0 }),
    readError(answer) {
      const { name, json } = lastEvent(answer);
      assert.deepEqual([name, json['type']], ['error', 'error']);
      return String(json['code']);
    },
  },
  {
    name: 'Anthropic messages',
    conf: { provider: 'anthropic' },
    path: '/v1/messages',
    body: { ...hi, max_tokens: 9, stream: true },
    contentType: sse,
    event: named('content_block_delta', { index: 0, delta: { type: 'text_delta', text: 'one' } }),
    readError: anthropicCode,
  },
  {
    name: 'Anthropic messages, converted from OpenAI chat',
    conf: { provider: 'openai-compatible' },
    path: '/v1/messages',
    body: { ...hi, max_tokens: 9, stream: true },
    contentType: sse,
    event: Buffer.from(textEvent('one')),
    readError: anthropicCode,
  },
  {
    name: 'Bedrock converse',
    conf: { provider: 'bedrock', provider_conf: { region: 'eu-west-1' }, auth: { aws } },
    path: '/model/m/converse',
    body: { messages: [], stream: true },
    contentType: 'application/vnd.amazon.eventstream',
    event: encodeAwsEvent({
      headers: { ':event-type': 'contentBlockDelta', ':message-type': 'event' },
      payload: JSON.stringify({ contentBlockIndex: 0, delta: { text: 'one' } }),
    }),
    readError(answer) {
      const events: [string, string][] = [];
      new AwsEventSplitter(({ event, data }) => events.push([event, data])).push(answer.body);
      const [name, data] = events.at(-1) ?? assert.fail('no frame');
      assert.equal(name, 'exception:modelStreamErrorException');
      // Amazon's exceptions have a message and no code.
      const { message } = JSON.parse(data) as { message: string };
      if (message.startsWith('max_response')) return 'UPSTREAM_RESPONSE_TOO_LARGE';
      if (message.startsWith('max_stream')) return 'UPSTREAM_STREAM_TOO_LONG';
      return message.includes('closed') ? 'UPSTREAM_RESET' : message;
    },
  },
];

async function routeTo(dialect: Pick<Dialect, 'conf' | 'path'>, more: object): Promise<string> {
  const conf = { override: { endpoint: stage.raw.url }, ...dialect.conf, ...more };
  const url = await stage.route(conf);
  const id = url.slice(url.lastIndexOf('/') + 1);
  const { status } = await stage.gateway.admin('PATCH', `/routes/${id}`, { uri: `/${id}/*` });
  assert.equal(status, 200);
  return url + dialect.path;
}

/** Sends an event every few milliseconds until it is cut off. */
function endless(event: Buffer, contentType: string): RawAnswer {
  return ({ socket }) => {
    socket.write(chunkedHead(contentType));
    const timer = setInterval(() => socket.write(chunk(event)), 10);
    socket.on('close', () => clearInterval(timer));
  };
}

/** The log knows why, and the provider is not listened to any longer. */
async function expectCut(url: string, status: number, code: string): Promise<void> {
  const [logged] = await stage.logged(url);
  assert.deepEqual([logged?.status, logged?.weir_error], [String(status), code]);
  await stage.raw.closed(stage.raw.connections.length - 1);
}

describe('a stream that is cut ends with an error of the protocol', { timeout: 120_000 }, () => {
  for (const dialect of dialects) {
    test(`V31 ${dialect.name}, after max_stream_duration_ms`, async () => {
      for (const flushMs of [0, 20]) {
        const more = { max_stream_duration_ms: 150, streaming_flush_interval_ms: flushMs };
        const url = await routeTo(dialect, more);
        stage.raw.answer = endless(dialect.event, dialect.contentType);
        const startedAt = performance.now();
        const answer = await call(url, { body: dialect.body });
        const tookMs = performance.now() - startedAt;
        assert.ok(tookMs >= 145 && tookMs < 5000, `${tookMs} ms`);
        assert.deepEqual([answer.status, answer.complete], [200, true]);
        assert.equal(dialect.readError(answer), 'UPSTREAM_STREAM_TOO_LONG');
        await expectCut(url, 200, 'UPSTREAM_STREAM_TOO_LONG');
      }
    });

    test(`${dialect.name}, after max_response_bytes`, async () => {
      const url = await routeTo(dialect, { max_response_bytes: 5 * dialect.event.length });
      stage.raw.answer = endless(dialect.event, dialect.contentType);
      const answer = await call(url, { body: dialect.body });
      assert.deepEqual([answer.status, answer.complete], [200, true]);
      assert.equal(dialect.readError(answer), 'UPSTREAM_RESPONSE_TOO_LARGE');
      // Five pieces of text, and not a sixth.
      assert.equal(answer.body.toString('latin1').split('one').length - 1, 5);
      await expectCut(url, 200, 'UPSTREAM_RESPONSE_TOO_LARGE');
    });

    test(`${dialect.name}, when the provider is gone`, async () => {
      const url = await routeTo(dialect, {});
      stage.raw.answer = ({ socket }) => {
        socket.write(chunkedHead(dialect.contentType));
        socket.write(chunk(dialect.event));
        setTimeout(() => socket.destroy(), 30);
      };
      const answer = await call(url, { body: dialect.body });
      assert.deepEqual([answer.status, answer.complete], [200, true]);
      assert.equal(dialect.readError(answer), 'UPSTREAM_RESET');
      await expectCut(url, 200, 'UPSTREAM_RESET');
    });
  }

  test('within a frame of AWS, which nothing can follow: the connection is cut', async () => {
    const dialect = dialects.at(-1) ?? assert.fail();
    const url = await routeTo(dialect, {});
    stage.raw.answer = ({ socket }) => {
      socket.write(chunkedHead(dialect.contentType));
      socket.write(chunk(Buffer.concat([dialect.event, dialect.event.subarray(0, 20)])));
      setTimeout(() => socket.destroy(), 30);
    };
    const answer = await call(url, { body: dialect.body });
    assert.equal(answer.complete, false);
    await expectCut(url, 200, 'UPSTREAM_RESET');
  });
});

describe('before anything was sent, a limit is an error', { timeout: 120_000 }, () => {
  const stream = { ...hi, stream: true };
  const large = JSON.stringify({ ...chatAnswer, padding: 'x'.repeat(5000) });
  const tooLarge = { status: 502, code: 'UPSTREAM_RESPONSE_TOO_LARGE', message: 'max_response_bytes exceeded' };
  const tooLong = { status: 504, code: 'UPSTREAM_STREAM_TOO_LONG', message: 'max_stream_duration_ms exceeded' };
  const rows: {
    name: string;
    conf: object;
    body: object;
    answer: RawAnswer;
    status: number;
    code: string;
    message: string;
  }[] = [
    {
      name: 'V30 an announced length above max_response_bytes is not read',
      conf: { max_response_bytes: 1000 },
      body: hi,
      answer: ({ socket }) =>
        void socket.write('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{'),
      ...tooLarge,
    },
    {
      name: 'a body that turns out to be larger',
      conf: { max_response_bytes: 1000 },
      body: hi,
      answer: ({ socket }) => {
        socket.write(chunkedHead('application/json'));
        for (let at = 0; at < large.length; at += 100) socket.write(chunk(large.slice(at, at + 100)));
        socket.write(lastChunk);
      },
      ...tooLarge,
    },
    {
      name: 'a body that comes in one piece with its end',
      conf: { max_response_bytes: 1000 },
      body: hi,
      answer: ({ socket }) => void socket.end(`HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n${large}`),
      ...tooLarge,
    },
    {
      name: 'an error of the provider, too',
      conf: { max_response_bytes: 1000 },
      body: hi,
      answer: ({ socket }) => void socket.write(rawAnswer(429, 'application/json', large)),
      ...tooLarge,
    },
    {
      name: 'a stream whose first event is larger',
      conf: { max_response_bytes: 20 },
      body: stream,
      answer: ({ socket }) => void socket.write(chunkedHead(sse) + chunk(textEvent('one')).toString()),
      ...tooLarge,
    },
    {
      name: 'a stream that announces a larger length',
      conf: { max_response_bytes: 1000 },
      body: stream,
      answer: ({ socket }) =>
        void socket.write(`HTTP/1.1 200 OK\r\nContent-Type: ${sse}\r\nContent-Length: 5000\r\n\r\n${textEvent('one')}`),
      ...tooLarge,
    },
    {
      name: 'a stream that begins too late',
      conf: { max_stream_duration_ms: 100 },
      body: stream,
      answer: ({ socket }) => void socket.write(chunkedHead(sse)),
      ...tooLong,
    },
    {
      name: 'a stream whose events are still held back',
      conf: { max_stream_duration_ms: 100, streaming_flush_interval_ms: 1000 },
      body: stream,
      answer: ({ socket }) => void socket.write(chunkedHead(sse) + chunk(textEvent('one')).toString()),
      ...tooLong,
    },
  ];
  for (const { name, conf, body, answer, status, code, message } of rows) {
    test(`${name}: ${status}`, async () => {
      const url = await stage.route({ override: { endpoint: stage.raw.url }, ...conf });
      stage.raw.answer = answer;
      const got = await call(url, { body });
      const { error } = got.json as { error: { code: string; message: string } };
      assert.deepEqual([got.status, error.code, error.message], [status, code, message]);
      await expectCut(url, status, code);
    });
  }

  test('in the words of the client, where its protocol is not that of the provider', async () => {
    const dialect = { conf: { provider: 'openai-compatible' }, path: '/v1/messages' };
    const url = await routeTo(dialect, { max_response_bytes: 100 });
    stage.raw.answer = ({ socket }) => void socket.write(rawAnswer(200, 'application/json', large));
    const got = await call(url, { body: { ...hi, max_tokens: 9 } });
    assert.deepEqual(got.json, {
      type: 'error',
      error: {
        type: 'api_error',
        message: 'max_response_bytes exceeded',
        details: { error_code: 'UPSTREAM_RESPONSE_TOO_LARGE' },
      },
    });
    assert.equal(got.status, 502);
  });
});

describe('limits that are not reached', { timeout: 120_000 }, () => {
  test('change nothing: an answer as large as max_response_bytes', async () => {
    const text = JSON.stringify(chatAnswer);
    const url = await stage.route({ override: { endpoint: stage.raw.url }, max_response_bytes: text.length });
    stage.raw.answer = ({ socket }) => void socket.write(rawAnswer(200, 'application/json', text));
    assert.deepEqual((await call(url, { body: hi })).json, chatAnswer);
  });

  test('change nothing: max_stream_duration_ms is for streams, not for answers that take long', async () => {
    const url = await stage.route({ override: { endpoint: stage.raw.url }, max_stream_duration_ms: 50 });
    stage.raw.answer = ({ socket }) => {
      socket.write(chunkedHead('application/json'));
      setTimeout(() => socket.write(chunk(JSON.stringify(chatAnswer)).toString() + lastChunk), 120);
    };
    assert.deepEqual((await call(url, { body: hi })).json, chatAnswer);
  });

  test('an answer of another API that is too large is cut', async () => {
    const url = await stage.route({ override: { endpoint: stage.raw.url }, max_response_bytes: 10 });
    stage.raw.answer = ({ socket }) => {
      socket.write(`${chunkedHead('image/png')}${chunk('12345').toString()}`);
      setTimeout(() => socket.write(chunk('6789012345')), 20);
    };
    const open = await openCall(url, { body: { prompt: 'x' } });
    const got = await open.finish();
    assert.deepEqual([got.text, got.complete], ['12345', false]);
    await expectCut(url, 200, 'UPSTREAM_RESPONSE_TOO_LARGE');
  });
});
