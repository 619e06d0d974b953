import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { ErrorCode } from '../src/base/errors.ts';
import { startStage, type AiStage } from './support/ai-stage.ts';
import { openBlackHole } from './support/black-hole.ts';
import { freePort } from './support/free-port.ts';
import { eventually } from './support/gateway.ts';
import { call } from './support/http-call.ts';
import {
  answerJson,
  chatAnswer,
  chunk,
  rawAnswer,
  startProvider,
  streamHead,
  textEvent,
  type Provider,
  type RawAnswer,
} from './support/mock-provider.ts';
import { expiredCertificate, selfSignedCertificate, serverCertificate } from './support/tls-fixtures.ts';

const hi = { messages: [{ role: 'user', content: 'hi' }] };
const goodAnswer: RawAnswer = ({ socket }) =>
  void socket.write(rawAnswer(200, 'application/json', JSON.stringify(chatAnswer)));

let stage: AiStage;
let trusted: Provider;
let expired: Provider;
let selfSigned: Provider;

before(async () => {
  [trusted, expired, selfSigned] = await Promise.all(
    [serverCertificate, expiredCertificate, selfSignedCertificate].map((tls) =>
      startProvider(answerJson(chatAnswer), { tls }),
    ) as [Promise<Provider>, Promise<Provider>, Promise<Provider>],
  );
  stage = await startStage({ connectTo: { 'other.example:443': `127.0.0.1:${trusted.port}` } });
});

after(() => Promise.all([stage, trusted, expired, selfSigned].map((part) => part[Symbol.asyncDispose]())));

beforeEach(() => {
  stage.raw.answer = goodAnswer;
  stage.raw.requests.length = 0;
});

/** The error as a client of OpenAI's API reads it. */
function errorOf(text: string): { message: string; type: string; code: string } {
  const { error, ...rest } = JSON.parse(text) as { error: { message: string; type: string; code: string } };
  assert.deepEqual(rest, {});
  return error;
}

async function expectFailure(url: string, status: number, code: ErrorCode, message: RegExp): Promise<void> {
  const answer = await call(url, { body: hi });
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.headers['content-type'], 'application/json');
  const error = errorOf(answer.text);
  assert.deepEqual([error.code, error.type], [code, 'server_error']);
  assert.match(error.message, message);
  const [logged] = await stage.logged(url);
  assert.deepEqual([logged?.status, logged?.weir_error, logged?.llm_prompt_tokens], [String(status), code, '0']);
  // The operator reads the reason, too.
  const line = await errorLine(logged?.route_id);
  assert.match(line, /\[warn\]/);
  assert.match(line, message);
  assert.ok(line.includes(`code=${code}`), line);
}

/** The first line about a route in the gateway's own log, which may be written after the access log. */
async function errorLine(routeId: string | undefined): Promise<string> {
  const about = new RegExp(`^.* route_id=${routeId}\\b.*$`, 'm');
  await eventually(() => about.test(stage.gateway.errorLog()));
  return about.exec(stage.gateway.errorLog())?.[0] ?? '';
}

describe('a provider that cannot be reached', { timeout: 120_000 }, () => {
  test('V8 because nobody listens: 502', async () => {
    const port = await freePort();
    const url = await stage.route({ override: { endpoint: `http://127.0.0.1:${port}` } });
    await expectFailure(url, 502, 'UPSTREAM_CONNECT', /cannot connect to the upstream: .*refused/i);
    const [logged] = await stage.logged(url);
    assert.deepEqual([logged?.upstream_addr, logged?.upstream_status], [`127.0.0.1:${port}`, '-']);
    assert.equal(logged?.llm_time_to_first_token, '0');
  });

  test('is one warning, however many requests find out', async () => {
    const dead = `http://127.0.0.1:${await freePort()}`;
    const url = await stage.route({ override: { endpoint: dead } });
    for (let i = 0; i < 20; i++) assert.equal((await call(url, { body: hi })).status, 502);
    const [logged] = await stage.logged(url, 20);
    // What is logged behind them is there, so all of them are.
    await expectFailure(await stage.route({ override: { endpoint: dead } }), 502, 'UPSTREAM_CONNECT', /refused/i);
    const about = new RegExp(`\\[warn\\].* route_id=${logged?.route_id}\\b`, 'g');
    assert.equal(stage.gateway.errorLog().match(about)?.length, 1);
  });

  test('because its name does not exist: 502', async () => {
    const url = await stage.route({ override: { endpoint: 'http://nowhere.invalid' } });
    await expectFailure(url, 502, 'UPSTREAM_DNS', /cannot resolve the upstream host: nowhere\.invalid/);
  });

  test('because connecting never ends: 504 after the timeout', async () => {
    await using hole = await openBlackHole('127.0.0.1');
    const url = await stage.route({ timeout: 100, override: { endpoint: `http://127.0.0.1:${hole.port}` } });
    const startedAt = performance.now();
    await expectFailure(url, 504, 'UPSTREAM_CONNECT_TIMEOUT', /timed out/);
    assert.ok(performance.now() - startedAt < 5000);
  });

  test('because its certificate has expired: 502, named as such', async () => {
    const url = await stage.route({ override: { endpoint: expired.url } });
    await expectFailure(url, 502, 'UPSTREAM_TLS', /certificate has expired \(valid until 2021-01-01T00:00:00Z\)/);
    assert.equal(expired.requests.length, 0, 'the request and its key went out all the same');
  });

  test('because its certificate is signed by itself: 502; ssl_verify false accepts it', async () => {
    const url = await stage.route({ override: { endpoint: selfSigned.url } });
    await expectFailure(url, 502, 'UPSTREAM_TLS', /self-signed certificate/);
    assert.equal(selfSigned.requests.length, 0);

    const unverified = await stage.route({ ssl_verify: false, override: { endpoint: selfSigned.url } });
    assert.equal((await call(unverified, { body: hi })).status, 200);
    // The connection that was accepted unseen must not serve the route that verifies.
    assert.equal((await call(`${url}?again`, { body: hi })).status, 502);
  });

  test('because its certificate is for another name: 502', async () => {
    const url = await stage.route({ override: { endpoint: 'https://other.example' } });
    await expectFailure(url, 502, 'UPSTREAM_TLS', /hostname mismatch: certificate is for .*api\.openai\.com/);
  });

  test('because it does not speak TLS: 502', async () => {
    const url = await stage.route({ override: { endpoint: stage.provider.url.replace('http:', 'https:') } });
    await expectFailure(url, 502, 'UPSTREAM_TLS', /does not speak TLS/);
  });
});

describe('a provider that answers badly', { timeout: 120_000 }, () => {
  interface Row {
    name: string;
    answer: RawAnswer;
    status?: number;
    code: ErrorCode;
    message: RegExp;
    timeout?: number;
  }

  const write =
    (text: string, then: 'stay' | 'end' | 'reset' = 'stay'): RawAnswer =>
    ({ socket }) => {
      socket.write(text, 'latin1');
      if (then === 'end') socket.end();
      // The bytes leave first.
      if (then === 'reset') setTimeout(() => socket.resetAndDestroy(), 20);
    };
  const head = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n';
  const invalid = { code: 'UPSTREAM_INVALID_RESPONSE', message: /invalid HTTP response/ } as const;
  const early = { code: 'UPSTREAM_RESET', message: /closed .*before its answer/ } as const;
  const cut = { code: 'UPSTREAM_RESET', message: /closed .*in the middle of its answer|ECONNRESET/ } as const;
  const empty = { code: 'UPSTREAM_EMPTY_STREAM', message: /without sending anything/ } as const;

  const rows: Row[] = [
    { name: 'with something else than HTTP', answer: write('SSH-2.0-OpenSSH\r\n\r\n'), ...invalid },
    { name: 'with binary garbage', answer: write('\x00\xff\x16\x03\r\n\r\n'), ...invalid },
    { name: 'with HTTP/2', answer: write('HTTP/2 200\r\n\r\n'), ...invalid },
    { name: 'with a status of 999', answer: write('HTTP/1.1 999 X\r\n\r\n'), ...invalid },
    { name: 'with a change of protocol', answer: write('HTTP/1.1 101 Switching\r\n\r\n'), ...invalid },
    {
      name: 'with two framings',
      answer: write(`${head}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}`),
      ...invalid,
    },
    { name: 'with two lengths', answer: write(`${head}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`), ...invalid },
    { name: 'with a length that is no number', answer: write(`${head}Content-Length: -2\r\n\r\n{}`), ...invalid },
    { name: 'with a coding of its own', answer: write(`${head}Transfer-Encoding: gzip\r\n\r\n{}`), ...invalid },
    {
      name: 'with a chunk that is none',
      answer: write(`${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n`),
      ...invalid,
    },
    { name: 'with a head that never ends', answer: write(`${head}X: ${'x'.repeat(300_000)}`), ...invalid },
    { name: 'by closing at once', answer: write('', 'end'), ...early },
    {
      name: 'by a reset',
      answer: write('', 'reset'),
      code: 'UPSTREAM_RESET',
      message: /closed the connection too early/,
    },
    { name: 'by closing in the middle of its head', answer: write('HTTP/1.1 200 OK\r\nContent-', 'end'), ...early },
    { name: 'by closing after an interim answer', answer: write('HTTP/1.1 100 Continue\r\n\r\n', 'end'), ...early },
    {
      name: 'by closing in the middle of its body',
      answer: write(`${head}Content-Length: 100\r\n\r\n{"a":`, 'end'),
      ...cut,
    },
    {
      name: 'by a reset in the middle of its body',
      answer: write(`${head}Content-Length: 100\r\n\r\n{"a":`, 'reset'),
      ...cut,
    },
    {
      name: 'by closing between two chunks',
      answer: write(`${head}Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n`, 'end'),
      ...cut,
    },
    {
      name: 'with nothing in a body',
      answer: write(`${head}Content-Length: 0\r\n\r\n`),
      code: 'UPSTREAM_ANSWER',
      message: /no usable answer: it is empty/,
    },
    { name: 'with an empty stream until the close', answer: write(streamHead, 'end'), ...empty },
    {
      name: 'with an empty stream in chunks',
      answer: write(
        'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      ),
      ...empty,
    },
    {
      name: 'with an empty stream of known length',
      answer: write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 0\r\n\r\n'),
      ...empty,
    },
    {
      name: 'never',
      answer: () => {},
      timeout: 200,
      status: 504,
      code: 'UPSTREAM_READ_TIMEOUT',
      message: /did not answer in time: .* sent nothing for 200 ms/,
    },
    {
      name: 'with the half of a head and no more',
      answer: write('HTTP/1.1 200 OK\r\n'),
      timeout: 200,
      status: 504,
      code: 'UPSTREAM_READ_TIMEOUT',
      message: /did not answer in time/,
    },
    {
      name: 'with the half of a body and no more',
      answer: write(`${head}Content-Length: 100\r\n\r\n{"a":`),
      timeout: 200,
      status: 504,
      code: 'UPSTREAM_READ_TIMEOUT',
      message: /did not answer in time/,
    },
    {
      name: 'with the head of a stream and no more',
      answer: write(streamHead),
      timeout: 200,
      status: 504,
      code: 'UPSTREAM_READ_TIMEOUT',
      message: /did not answer in time/,
    },
  ];

  for (const row of rows) {
    test(`${row.name}: ${row.status ?? 502}, once, and the next call is well`, async () => {
      const { timeout = 5000, status = 502 } = row;
      const url = await stage.route({ timeout, override: { endpoint: stage.raw.url } });
      // A fresh connection, so that nothing looks like a kept one that had died.
      await closeIdle();
      stage.raw.answer = row.answer;
      await expectFailure(url, status, row.code, row.message);
      assert.equal(stage.raw.requests.length, 1, 'the request was sent again');

      stage.raw.answer = goodAnswer;
      const next = await call(`${url}?next`, { body: hi });
      assert.deepEqual([next.status, next.json], [200, chatAnswer]);
    });
  }

  test('with nothing in a body, where that may be: it is passed on', async () => {
    const url = await stage.route({ override: { endpoint: stage.raw.url } });
    stage.raw.answer = write(`${head}Content-Length: 0\r\n\r\n`);
    const other = await call(url, { body: { prompt: 'an API without a name' } });
    assert.deepEqual([other.status, other.text], [200, '']);
    stage.raw.answer = write(`${head.replace('200', '404')}Content-Length: 0\r\n\r\n`);
    const refused = await call(url, { body: hi });
    assert.deepEqual([refused.status, refused.text], [404, '']);
  });

  async function closeIdle(): Promise<void> {
    for (const { socket } of stage.raw.connections) socket.destroy();
    // Until the gateway has seen it.
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
});

describe('a stream that breaks after its beginning', { timeout: 120_000 }, () => {
  const [one, two] = [textEvent('one'), textEvent('two')];
  const chunkedHead = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n';
  const lengthHead = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 5000\r\n\r\n';

  interface Row {
    name: string;
    bytes: string;
    end: 'end' | 'nothing';
    flushMs?: number;
    /** Of the provider's own bytes, what the client gets. */
    relayed: string;
    code: ErrorCode;
  }
  const half = two.slice(0, 20);
  const rows: Row[] = [
    {
      name: 'by a close between two events',
      bytes: chunkedHead + chunk(one).toString(),
      end: 'end',
      relayed: one,
      code: 'UPSTREAM_RESET',
    },
    {
      name: 'by a close in the middle of an event',
      bytes: chunkedHead + chunk(one + half).toString(),
      end: 'end',
      relayed: one + half,
      code: 'UPSTREAM_RESET',
    },
    {
      name: 'by a close before its announced length',
      bytes: lengthHead + one,
      end: 'end',
      relayed: one,
      code: 'UPSTREAM_RESET',
    },
    {
      name: 'by silence',
      bytes: chunkedHead + chunk(one).toString(),
      end: 'nothing',
      relayed: one,
      code: 'UPSTREAM_READ_TIMEOUT',
    },
    {
      name: 'by silence, with a flush interval',
      bytes: chunkedHead + chunk(one).toString(),
      end: 'nothing',
      flushMs: 20,
      relayed: one,
      code: 'UPSTREAM_READ_TIMEOUT',
    },
    {
      name: 'by garbage between its chunks',
      bytes: `${chunkedHead}${chunk(one).toString()}garbage\r\n`,
      end: 'nothing',
      relayed: one,
      code: 'UPSTREAM_INVALID_RESPONSE',
    },
  ];
  for (const row of rows) {
    test(`${row.name} ends with an error event, and the log has its code`, async () => {
      const url = await stage.route({
        timeout: row.code === 'UPSTREAM_READ_TIMEOUT' ? 200 : 5000,
        streaming_flush_interval_ms: row.flushMs ?? 0,
        override: { endpoint: stage.raw.url },
      });
      stage.raw.answer = ({ socket }) => {
        socket.write(row.bytes);
        if (row.end === 'end') setTimeout(() => socket.end(), 10);
      };
      const answer = await call(url, { body: { ...hi, stream: true } });
      assert.equal(answer.status, 200);
      assert.ok(answer.complete, 'the stream was cut without a word');
      assert.equal(answer.headers['content-length'], undefined);
      assert.ok(answer.text.startsWith(row.relayed), answer.text);
      const tail = answer.text.slice(row.relayed.length);
      // Behind half an event comes a blank line, or clients would read the error as a part of it.
      const event = /^(\n\n)?data: (\{.*\})\n\n$/.exec(tail) ?? assert.fail(`no error event: ${JSON.stringify(tail)}`);
      assert.equal(event[1] !== undefined, row.relayed.endsWith(half));
      const error = errorOf(event[2] ?? '');
      assert.deepEqual([error.code, error.type], [row.code, 'server_error']);
      const [logged] = await stage.logged(url);
      assert.deepEqual([logged?.status, logged?.weir_error, logged?.request_type], ['200', row.code, 'ai_stream']);
      assert.ok((await errorLine(logged?.route_id)).includes(`code=${row.code}`));
    });
  }

  test('while its first bytes are still held back is an error like before them', async () => {
    const url = await stage.route({ streaming_flush_interval_ms: 200, override: { endpoint: stage.raw.url } });
    stage.raw.answer = ({ socket }) => {
      socket.write(chunkedHead + chunk(one).toString());
      setTimeout(() => socket.end(), 10);
    };
    await expectFailure(url, 502, 'UPSTREAM_RESET', /in the middle of its answer/);
  });

  test('an answer of another API that breaks is cut, so that nobody takes it for complete', async () => {
    const url = await stage.route({ override: { endpoint: stage.raw.url } });
    for (const head of ['Content-Length: 100', 'Transfer-Encoding: chunked']) {
      stage.raw.answer = ({ socket }) => {
        socket.write(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n`);
        socket.write(head.startsWith('T') ? chunk('half') : 'half');
        setTimeout(() => socket.end(), 10);
      };
      const answer = await call(`${url}?${head.slice(0, 1)}`, { body: { prompt: 'x' } });
      assert.deepEqual([answer.status, answer.text, answer.complete], [200, 'half', false]);
      const [logged] = await stage.logged(`${url}?${head.slice(0, 1)}`);
      assert.deepEqual([logged?.status, logged?.weir_error], ['200', 'UPSTREAM_RESET']);
    }
  });
});
