import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startStage, type AiStage } from './support/ai-stage.ts';
import { eventually } from './support/gateway.ts';
import { chatAnswer, chatStream, chunk, rawAnswer, streamHead } from './support/mock-provider.ts';

interface Entry {
  readonly response: { readonly body?: string; readonly status: number };
  readonly answer?: string;
}

const streaming = {
  chunked: 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n',
};

describe('the body of an answer in an entry', () => {
  let stage: AiStage;
  let files = 0;
  before(async () => {
    stage = await startStage();
  });
  after(() => stage[Symbol.asyncDispose]());

  /** Calls a route with a logger once. @returns What the client got, and the entry. */
  async function log(
    conf: object,
    request: RequestInit = {},
  ): Promise<{ readonly got: string; readonly entry: Entry }> {
    const name = `bodies-${++files}.log`;
    const aiProxy = { provider: 'openai-compatible', auth: {}, override: { endpoint: stage.raw.url } };
    const logger = { path: `logs/${name}`, include_resp_body: true, ...conf };
    const url = await stage.route({}, { plugins: { 'ai-proxy': aiProxy, 'file-logger': logger } });
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ messages: [{ role: 'user', content: 'hi' }] }),
      ...request,
    });
    const got = await response.text();
    await eventually(() => stage.gateway.readLog(name).endsWith('\n'), undefined, name);
    return { got, entry: JSON.parse(stage.gateway.readLog(name)) as Entry };
  }

  it('is what the client got of a whole answer', async () => {
    stage.raw.answer = ({ socket }) => socket.write(rawAnswer(200, 'application/json', JSON.stringify(chatAnswer)));
    const { got, entry } = await log({});
    assert.equal(entry.response.body, got);
    assert.deepEqual(JSON.parse(got), chatAnswer);
  });

  it('is what the client got of a stream, however it came', async () => {
    for (const size of [1, 7, 100, chatStream.length]) {
      stage.raw.answer = ({ socket }) => {
        socket.write(streaming.chunked);
        const bytes = Buffer.from(chatStream);
        for (let at = 0; at < bytes.length; at += size) socket.write(chunk(bytes.subarray(at, at + size)));
        socket.write(chunk(''));
      };
      const { got, entry } = await log({});
      assert.equal(got, chatStream);
      assert.equal(entry.response.body, chatStream);
    }
  });

  it('has the event with which the gateway ends a stream that broke', async () => {
    stage.raw.answer = ({ socket }) => {
      socket.write(streamHead);
      socket.write(chatStream.slice(0, 100));
      setTimeout(() => socket.resetAndDestroy(), 50);
    };
    const { got, entry } = await log({});
    assert.match(got, /UPSTREAM_RESET/);
    assert.equal(entry.response.body, got);
  });

  it('is an answer of the gateway itself, too', async () => {
    const { got, entry } = await log({}, { headers: { 'Content-Type': 'text/plain' } });
    assert.equal(entry.response.status, 400);
    assert.notEqual(got, '');
    assert.equal(entry.response.body, got);
  });

  it('ends at its limit, with a whole character', async () => {
    stage.raw.answer = ({ socket }) => socket.write(rawAnswer(200, 'application/json', '{"a":"\u20ac\u20ac\u20ac"}'));
    const { got, entry } = await log({ max_resp_body_bytes: 10 });
    assert.equal(got, '{"a":"\u20ac\u20ac\u20ac"}');
    assert.equal(entry.response.body, '{"a":"\u20ac');
  });

  it('is there only where the expression holds, which may ask for the status', async () => {
    stage.raw.answer = ({ socket }) => socket.write(rawAnswer(200, 'application/json', '{}'));
    const expression = { include_resp_body_expr: [['status', '>=', 400]] };
    assert.ok(!('body' in (await log(expression)).entry.response));
    stage.raw.answer = ({ socket }) => socket.write(rawAnswer(418, 'application/json', '{"error":{}}'));
    assert.equal((await log(expression)).entry.response.body, '{"error":{}}');
  });

  it('is $resp_body in a log_format', async () => {
    stage.raw.answer = ({ socket }) => socket.write(rawAnswer(200, 'application/json', '{"x":1}'));
    const { entry } = await log({ log_format: { answer: '$resp_body' } });
    assert.equal(entry.answer, '{"x":1}');
  });
});
