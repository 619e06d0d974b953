import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startStage, type AiStage } from './support/ai-stage.ts';
import { eventually } from './support/gateway.ts';
import { call } from './support/http-call.ts';
import {
  chatAnswer,
  fieldOf,
  rawAnswer,
  startIdleServer,
  startRawProvider,
  type RawAnswer,
  type RawProvider,
} from './support/mock-provider.ts';
import { connectRaw } from './support/raw-client.ts';
import { serverCertificate } from './support/tls-fixtures.ts';

const hi = { messages: [{ role: 'user', content: 'hi' }] };
const good = rawAnswer(200, 'application/json', JSON.stringify(chatAnswer));
const answerGood: RawAnswer = ({ socket }) => void socket.write(good);

let stage: AiStage;

before(async () => {
  stage = await startStage();
});

after(() => stage[Symbol.asyncDispose]());

describe('connections to a provider', { timeout: 120_000 }, () => {
  let provider: RawProvider;

  // Its own origin for each test, and so a pool without earlier connections.
  beforeEach(async () => {
    provider = await startRawProvider(answerGood);
  });
  afterEach(() => provider[Symbol.asyncDispose]());

  function route(conf: object = {}): Promise<string> {
    return stage.route({ override: { endpoint: provider.url }, ...conf });
  }

  async function callTimes(url: string, count: number): Promise<number[]> {
    const statuses = [];
    for (let n = 0; n < count; n++) statuses.push((await call(url, { body: hi })).status);
    return statuses;
  }

  test('are kept and used again, by every route to the same origin', async () => {
    const url = await route();
    const other = await route({ options: { model: 'A' } });
    assert.deepEqual([...(await callTimes(url, 3)), ...(await callTimes(other, 2))], [200, 200, 200, 200, 200]);
    assert.equal(provider.connections.length, 1);
  });

  test('survive a change of their route', async () => {
    const url = await route();
    await callTimes(url, 1);
    const id = url.slice(url.lastIndexOf('/') + 1);
    await stage.gateway.admin('PATCH', `/routes/${id}`, { plugins: { 'ai-proxy': { options: { model: 'B' } } } });
    await callTimes(url, 1);
    assert.equal(provider.connections.length, 1);
    assert.match(provider.requests[1]?.body.toString() ?? '', /"model":"B"/);
  });

  test('over TLS are kept, too', async () => {
    await using secure = await startRawProvider(answerGood, { tls: serverCertificate });
    const url = await route({ override: { endpoint: secure.url } });
    assert.deepEqual(await callTimes(url, 3), [200, 200, 200]);
    assert.equal(secure.connections.length, 1);
  });

  test('with keepalive false are closed after each answer', async () => {
    const url = await route({ keepalive: false });
    await callTimes(url, 3);
    assert.equal(provider.connections.length, 3);
    for (const index of [0, 1, 2]) await provider.closed(index);
  });

  test('beyond keepalive_pool are closed after their answer', async () => {
    const url = await route({ keepalive_pool: 1 });
    const waiting: Socket[] = [];
    provider.answer = ({ socket }) => void waiting.push(socket);
    const calls = [1, 2, 3].map(() => call(url, { body: hi }));
    await eventually(() => waiting.length === 3);
    for (const socket of waiting) socket.write(good);
    for (const { status } of await Promise.all(calls)) assert.equal(status, 200);
    await eventually(() => provider.connections.filter(({ closedAt }) => closedAt !== null).length === 2);
    provider.answer = answerGood;
    await callTimes(url, 1);
    assert.equal(provider.connections.length, 3, 'the one that was kept was not used');
  });

  test('are closed after keepalive_timeout', async () => {
    const url = await route({ keepalive_timeout: 1000 });
    await callTimes(url, 1);
    const idleSince = performance.now();
    const idleMs = (await provider.closed(0)) - idleSince;
    assert.ok(idleMs > 900 && idleMs < 2000, `${idleMs} ms`);
  });

  test('that the provider closed while they were idle are not used', async () => {
    const url = await route();
    await callTimes(url, 1);
    provider.connections[0]?.socket.end();
    await provider.closed(0);
    await callTimes(url, 1);
    assert.deepEqual([provider.connections.length, provider.requests.length], [2, 2]);
  });

  test('that die under a request when they are used again: it is sent once more, on a fresh one', async () => {
    for (const end of ['end', 'resetAndDestroy'] as const) {
      await using own = await startRawProvider(answerGood);
      const url = await route({ override: { endpoint: own.url } });
      await callTimes(url, 1);
      own.answer = (connection) => {
        if (connection.index === 0) connection.socket[end]();
        else connection.socket.write(good);
      };
      assert.deepEqual(await callTimes(url, 1), [200]);
      assert.deepEqual([own.connections.length, own.requests.length], [2, 3]);
      assert.deepEqual(own.requests[2], own.requests[1]);
    }
  });

  test('that die each time: it is sent once more and not again', async () => {
    const url = await route();
    await callTimes(url, 1);
    provider.answer = ({ socket }) => socket.destroy();
    assert.deepEqual(await callTimes(url, 1), [502]);
    assert.equal(provider.requests.length, 3);
  });

  test('that die after the first bytes of an answer: it is not sent again', async () => {
    const url = await route();
    await callTimes(url, 1);
    provider.answer = ({ socket }) => socket.end('HTTP/1.1 200 OK\r\nContent-');
    assert.deepEqual(await callTimes(url, 1), [502]);
    assert.equal(provider.requests.length, 2);
  });

  test('that are silent when they are used again: it is not sent again', async () => {
    const url = await route({ timeout: 100 });
    await callTimes(url, 1);
    provider.answer = () => {};
    assert.deepEqual(await callTimes(url, 1), [504]);
    assert.equal(provider.requests.length, 2);
  });

  test('that die when the provider has worked for a while: it is not sent again, and not billed again', async () => {
    const url = await route();
    await callTimes(url, 1);
    provider.answer = ({ socket }) => void setTimeout(() => socket.resetAndDestroy(), 1100);
    assert.deepEqual(await callTimes(url, 1), [502]);
    assert.equal(provider.requests.length, 2);
  });

  test('that were nearly idle for too long take the time for a large request that they need', async () => {
    const url = await route({ keepalive_timeout: 2000 });
    await callTimes(url, 1);
    // Far enough from the end of the idle time that a busy machine does not close the connection before it is used.
    await sleep(1200);
    const socket = provider.connections[0]?.socket.pause();
    setTimeout(() => socket?.resume(), 1200);
    const answer = await call(url, { body: { messages: [], x: 'x'.repeat(16 * 1024 * 1024) } });
    assert.deepEqual([answer.status, provider.connections.length], [200, 1]);
  });

  const json = JSON.stringify(chatAnswer);
  const notReusable: [string, string][] = [
    [
      'the answer says Connection: close',
      `HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${json.length}\r\n\r\n${json}`,
    ],
    ['the answer is HTTP/1.0', `HTTP/1.0 200 OK\r\nContent-Length: ${json.length}\r\n\r\n${json}`],
    ['there are bytes behind the answer', `${good.toString()}HTTP/1.1 200 OK\r\n`],
  ];
  for (const [reason, bytes] of notReusable) {
    test(`are not used again when ${reason}`, async () => {
      const url = await route();
      provider.answer = ({ socket }) => void socket.write(bytes);
      assert.deepEqual(await callTimes(url, 2), [200, 200]);
      assert.equal(provider.connections.length, 2);
      await provider.closed(0);
    });
  }

  test('on which something comes while they are idle are closed', async () => {
    const url = await route();
    await callTimes(url, 1);
    provider.connections[0]?.socket.write('HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n');
    await provider.closed(0);
    assert.deepEqual(await callTimes(url, 1), [200]);
    assert.equal(provider.connections.length, 2);
  });

  test('an answer that comes before the request was taken whole reaches the client', async () => {
    await using server = await startIdleServer();
    const url = await route({ override: { endpoint: server.url } });
    const connected = server.connected();
    const answering = call(url, { body: { messages: [], x: 'x'.repeat(8 * 1024 * 1024) } });
    const socket = await connected;
    socket.write(rawAnswer(413, 'application/json', '{"error":"too large"}'));
    const answer = await answering;
    assert.deepEqual([answer.status, answer.text], [413, '{"error":"too large"}']);
  });

  test('a provider that takes no bytes: 504 after the timeout', async () => {
    await using server = await startIdleServer();
    const url = await route({ timeout: 150, override: { endpoint: server.url } });
    const answer = await call(url, { body: { messages: [], x: 'x'.repeat(16 * 1024 * 1024) } });
    assert.equal(answer.status, 504, answer.text);
    assert.match(answer.text, /UPSTREAM_SEND_TIMEOUT/);
  });

  test('many calls at once, and none gets the answer of another', async () => {
    const url = await route();
    provider.answer = async ({ socket }, request) => {
      await sleep(Math.random() * 5);
      socket.write(rawAnswer(200, 'application/json', request.body));
    };
    const numbers = Array.from({ length: 200 }, (_, number) => number);
    const answers = await Promise.all(
      numbers.map((number) => call(url, { body: { messages: [], number } }).then(({ json }) => json)),
    );
    assert.deepEqual(
      answers,
      numbers.map((number) => ({ messages: [], number })),
    );
  });
});

describe('connections of a client', { timeout: 120_000 }, () => {
  let provider: RawProvider;

  before(async () => {
    provider = await startRawProvider(() => {});
  });
  after(() => provider[Symbol.asyncDispose]());

  function request(url: string, value: object, fields = ''): string {
    const body = JSON.stringify(value);
    return `POST ${new URL(url).pathname} HTTP/1.1\r\nHost: x\r\n${fields}Content-Length: ${body.length}\r\n\r\n${body}`;
  }

  test('carry several calls, sent at once: each is answered in its turn', async () => {
    const url = await stage.route({ override: { endpoint: provider.url } });
    provider.answer = async ({ socket }, { body }) => {
      const { waitMs } = JSON.parse(body.toString()) as { waitMs: number };
      await sleep(waitMs);
      socket.write(rawAnswer(200, 'application/json', body));
    };
    await using client = await connectRaw(stage.gateway.port);
    const calls = [30, 0, 10].map((waitMs) => ({ messages: [], waitMs }));
    client.write(calls.map((value) => request(url, value)).join(''));
    const answers = await client.readResponses(calls.length);
    assert.deepEqual(
      answers.map(({ body }) => JSON.parse(body.toString()) as unknown),
      calls,
    );
  });

  test('live on after refusals and failures', async () => {
    const url = await stage.route({ override: { endpoint: provider.url } });
    await using client = await connectRaw(stage.gateway.port);
    const statuses: (number | undefined)[] = [];
    for (const [value, answer] of [
      [{ messages: [] }, (({ socket }) => socket.destroy()) satisfies RawAnswer],
      [{}, answerGood],
      [{ messages: [] }, answerGood],
    ] as const) {
      provider.answer = answer;
      client.write(request(url, value));
      statuses.push((await client.readResponses(statuses.length + 1)).at(-1)?.status);
    }
    assert.deepEqual(statuses, [502, 400, 200]);
  });

  test('that wait for 100 Continue get it, and the provider does not have to', async () => {
    const url = await stage.route({ override: { endpoint: provider.url } });
    provider.answer = answerGood;
    await using client = await connectRaw(stage.gateway.port);
    const whole = request(url, hi, 'Expect: 100-continue\r\n');
    const bodyAt = whole.indexOf('\r\n\r\n') + 4;
    client.write(whole.slice(0, bodyAt));
    const [interim] = await client.readResponses(1);
    assert.equal(interim?.status, 100);
    client.write(whole.slice(bodyAt));
    const [, final] = await client.readResponses(2);
    assert.equal(final?.status, 200);
    assert.equal(fieldOf(provider.requests.at(-1), 'expect'), undefined);
  });
});
