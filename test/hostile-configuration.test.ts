import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startStage, type AiStage } from './support/ai-stage.ts';
import { eventually } from './support/gateway.ts';
import { call } from './support/http-call.ts';
import { answerJson, chatStream, chunk, startProvider, textEvent } from './support/mock-provider.ts';

/** Valid configurations that nobody means to write. */

const chat = { messages: [{ role: 'user', content: 'hi' }] };
// As a timer of Node it would be one of 1 ms.
const tooLongForTimers = 2 ** 31;

let stage: AiStage;
before(async () => {
  stage = await startStage();
});
after(() => stage[Symbol.asyncDispose]());

function routeWithLogger(logger: object): Promise<string> {
  const aiProxy = { provider: 'openai-compatible', auth: {}, override: { endpoint: stage.provider.url } };
  return stage.route({}, { plugins: { 'ai-proxy': aiProxy, ...logger } });
}

describe('a time that is longer than timers last', { timeout: 120_000 }, () => {
  for (const field of ['max_stream_duration_ms', 'streaming_flush_interval_ms']) {
    test(`as ${field} does not pass at once`, async () => {
      const url = await stage.route({ override: { endpoint: stage.raw.url }, [field]: tooLongForTimers });
      stage.raw.answer = async ({ socket }) => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n');
        socket.write(chunk(textEvent('early')));
        await sleep(50);
        socket.write(chunk(chatStream));
        socket.write('0\r\n\r\n');
      };
      const answer = await call(url, { body: { ...chat, stream: true } });
      assert.equal(answer.text, textEvent('early') + chatStream);
      assert.equal((await stage.logged(url))[0]?.weir_error, '');
    });
  }

  test('in http-logger neither fails an attempt nor sends early', async () => {
    await using logs = await startProvider((request, response) => {
      setTimeout(() => answerJson({})(request, response), 50);
    });
    const seconds = tooLongForTimers;
    const url = await routeWithLogger({
      'http-logger': {
        uri: logs.url,
        batch_max_size: 2,
        timeout: seconds,
        buffer_duration: seconds,
        inactive_timeout: seconds,
      },
    });
    await call(url, { body: chat });
    await sleep(100);
    assert.equal(logs.requests.length, 0);
    await call(url, { body: chat });
    await eventually(() => logs.requests.length > 0);
    assert.equal((JSON.parse(logs.requests[0]?.body.toString() ?? '') as object[]).length, 2);
    await sleep(100);
    assert.doesNotMatch(stage.gateway.errorLog(), /log entries are lost/);
    assert.doesNotMatch(stage.gateway.output(), /TimeoutOverflowWarning/);
  });
});

describe('loggers that cannot log', { timeout: 120_000 }, () => {
  for (const path of ['/proc/weir/x.log', 'logs', 'logs/access.log/x.log', 'a\0b']) {
    test(`do not keep requests from being answered: ${JSON.stringify(path)} beside a log server that is gone`, async () => {
      const url = await routeWithLogger({
        'file-logger': { path },
        'http-logger': { uri: 'http://127.0.0.1:1/', batch_max_size: 1 },
      });
      for (let i = 0; i < 3; i++) assert.equal((await call(url, { body: chat })).status, 200);
      assert.equal((await stage.logged(url, 3)).length, 3);
      await eventually(() => stage.gateway.errorLog().includes('file-logger: entries are lost'));
      await eventually(() => stage.gateway.errorLog().includes('ECONNREFUSED'));
    });
  }
});
