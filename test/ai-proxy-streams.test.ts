import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startStage, type AiStage } from './support/ai-stage.ts';
import { openBlackHole } from './support/black-hole.ts';
import { eventually } from './support/gateway.ts';
import { call, openCall, startCall } from './support/http-call.ts';
import {
  answerJson,
  chatAnswer,
  chatEvent,
  chatStream,
  chunk,
  startIdleServer,
  streamHead,
  textEvent,
  type RawConnection,
} from './support/mock-provider.ts';
import { connectRaw, exchangeRaw } from './support/raw-client.ts';

const streamed = { stream: true, messages: [{ role: 'user', content: 'hi' }] };
const chunkedHead = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n';
const lastChunk = '0\r\n\r\n';

let stage: AiStage;

before(async () => {
  stage = await startStage();
});

after(() => stage[Symbol.asyncDispose]());

beforeEach(() => {
  stage.raw.answer = () => {};
  stage.raw.requests.length = 0;
});

function toRaw(conf: object = {}): Promise<string> {
  return stage.route({ override: { endpoint: stage.raw.url }, ...conf });
}

/** Waits until the provider has as many requests. @returns The connection of the last of them. */
async function requestArrived(count = 1): Promise<RawConnection> {
  const arrived: RawConnection[] = [];
  const before = stage.raw.answer;
  stage.raw.answer = (connection, request) => {
    arrived.push(connection);
    before(connection, request);
  };
  await eventually(() => arrived.length >= count, undefined, 'the request at the provider');
  return arrived.at(-1) ?? assert.fail();
}

describe('a stream', { timeout: 120_000 }, () => {
  const variants: [string, string][] = [
    ['with LF', chatStream],
    [
      'with CRLF, a comment and an unknown event',
      `: ping\r\n\r\nevent: x\r\ndata: y\r\n\r\n${chatStream.replaceAll('\n', '\r\n')}`,
    ],
  ];
  for (const [name, text] of variants) {
    test(`V26 V27 ${name} arrives as it was sent, at whatever byte it is split, and its usage is counted`, async () => {
      const url = await toRaw();
      const bytes = Buffer.from(text);
      const offsets = Array.from({ length: bytes.length - 1 }, (_, index) => index + 1);
      stage.raw.answer = ({ socket }, request) => {
        const at = Number(request.fields.find(([field]) => field === 'x-split')?.[1]);
        socket.write(chunkedHead);
        socket.write(chunk(bytes.subarray(0, at)));
        // The second part leaves when the client has the first: two reads for the gateway, for certain.
        socket.once('second-part', () => {
          socket.write(chunk(bytes.subarray(at)));
          socket.write(lastChunk);
        });
        parts.set(at, () => socket.emit('second-part'));
      };
      const parts = new Map<number, () => void>();

      async function splitAt(at: number): Promise<void> {
        const open = await openCall(`${url}?${at}`, { body: streamed, headers: { 'X-Split': String(at) } });
        let received = 0;
        open.response.on('data', (piece: Buffer) => {
          received += piece.length;
          if (received === at) parts.get(at)?.();
        });
        const answer = await open.finish();
        assert.ok(answer.complete);
        assert.ok(answer.body.equals(bytes), `split at ${at}: ${answer.text}`);
      }
      await inParallel(offsets, 8, splitAt);

      const { pathname } = new URL(url);
      await stage.logged(`${url}?${bytes.length - 1}`);
      await eventually(() => countLines(`"request_uri":"${pathname}?`) === offsets.length);
      const lines = (await stage.gateway.accessLog(`"request_uri":"${pathname}?`)).map(
        (line) => JSON.parse(line) as Record<string, string>,
      );
      for (const line of lines) {
        assert.deepEqual(
          [line['llm_prompt_tokens'], line['llm_completion_tokens'], line['llm_total_tokens'], line['weir_error']],
          ['8', '5', '13', ''],
          `${line['request_uri']}`,
        );
      }
    });

    test(`V26 ${name}, byte by byte`, async () => {
      const url = await toRaw();
      stage.raw.answer = async ({ socket }) => {
        for (const byte of Buffer.from(streamHead + text)) {
          socket.write(Buffer.of(byte));
          await new Promise((resolve) => setImmediate(resolve));
        }
        socket.end();
      };
      const answer = await call(url, { body: streamed });
      assert.equal(answer.text, text);
      const [logged] = await stage.logged(url);
      assert.deepEqual([logged?.llm_total_tokens, logged?.llm_model], ['13', '']);
    });
  }

  function countLines(part: string): number {
    return stage.gateway.readLog('access.log').split(part).length - 1;
  }

  test('is passed on as it comes: the first event is here before the last is sent', async () => {
    const url = await toRaw();
    const [first, rest] = [textEvent('first'), chatStream];
    const arrived = requestArrived();
    const opening = openCall(url, { body: streamed });
    const { socket } = await arrived;
    socket.write(chunkedHead);
    socket.write(chunk(first));
    const open = await opening;
    await eventually(() => open.received() === first);
    socket.write(chunk(rest));
    await eventually(() => open.received() === first + rest);
    socket.write(lastChunk);
    const answer = await open.finish();
    assert.equal(answer.text, first + rest);
    assert.equal(answer.headers['content-type'], 'text/event-stream');
  });

  test('with streaming_flush_interval_ms is gathered for so long', async () => {
    const url = await toRaw({ streaming_flush_interval_ms: 100 });
    const events = ['a', 'b', 'c', 'd'].map(textEvent);
    let firstSentAt = 0;
    stage.raw.answer = async ({ socket }) => {
      socket.write(chunkedHead);
      firstSentAt = performance.now();
      for (const event of events) {
        socket.write(chunk(event));
        await sleep(3);
      }
      await sleep(200);
      socket.write(chunk(chatStream));
      socket.write(lastChunk);
    };
    const open = await openCall(url, { body: streamed });
    const [piece] = (await once(open.response, 'data')) as [Buffer];
    assert.ok(performance.now() - firstSentAt >= 90, 'the first event was not held back');
    assert.equal(piece.toString(), events.join(''));
    assert.equal((await open.finish()).text, events.join('') + chatStream);
    assert.equal((await stage.logged(url))[0]?.llm_total_tokens, '13');
  });

  test('that nobody asked for is one all the same; the answer decides', async () => {
    const url = await stage.route();
    stage.provider.answer = (_request, response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8' }).end(chatStream);
    };
    const answer = await call(url, { body: { messages: [] } });
    assert.deepEqual([answer.text, answer.headers['transfer-encoding']], [chatStream, 'chunked']);
    const [logged] = await stage.logged(url);
    assert.deepEqual([logged?.request_type, logged?.llm_total_tokens], ['ai_chat', '13']);
  });

  test('that the provider answers with plain JSON is answered with plain JSON', async () => {
    const url = await stage.route();
    stage.provider.answer = answerJson(chatAnswer);
    const answer = await call(url, { body: streamed });
    assert.deepEqual([answer.json, answer.headers['content-type']], [chatAnswer, 'application/json']);
    const [logged] = await stage.logged(url);
    assert.deepEqual([logged?.request_type, logged?.llm_total_tokens], ['ai_stream', '13']);
  });

  test('of another API passes through, byte for byte and without being read', async () => {
    const url = await stage.route();
    stage.provider.answer = (_request, response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' }).end(chatStream);
    };
    const answer = await call(url, { body: { prompt: 'x', stream: true } });
    assert.equal(answer.text, chatStream);
    const [logged] = await stage.logged(url);
    assert.deepEqual([logged?.request_type, logged?.llm_total_tokens], ['ai_stream', '0']);
  });

  test('asked for with HEAD has no body, and that is no failure', async () => {
    const url = await stage.route();
    stage.provider.answer = (_request, response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' }).end();
    };
    const answer = await call(url, { method: 'HEAD', body: { prompt: 'x' } });
    assert.deepEqual([answer.status, answer.headers['content-type']], [200, 'text/event-stream']);
  });

  test('for a client of HTTP/1.0 ends with its connection', async () => {
    const url = await stage.route();
    stage.provider.answer = (_request, response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' }).end(chatStream);
    };
    const body = JSON.stringify(streamed);
    const head = `POST ${new URL(url).pathname} HTTP/1.0\r\nContent-Length: ${body.length}\r\n\r\n`;
    const [answer] = await exchangeRaw(stage.gateway.port, head + body);
    assert.deepEqual([answer?.status, answer?.framing, answer?.body.toString()], [200, 'until-close', chatStream]);
  });

  test('for a client that reads slowly holds little memory, and the provider has to wait', async () => {
    const url = await toRaw();
    const event = Buffer.from(textEvent('x'.repeat(64 * 1024)));
    const count = 800;
    let sent = 0;
    let stalled = false;
    stage.raw.answer = async ({ socket }) => {
      socket.write(chunkedHead);
      for (; sent < count; sent++) {
        stalled = !socket.write(chunk(event));
        if (stalled) await once(socket, 'drain');
        stalled = false;
      }
      socket.write(lastChunk);
    };
    const before = residentBytes();
    const client = connect(stage.gateway.port, '127.0.0.1');
    const body = JSON.stringify(streamed);
    client.pause();
    client.write(
      `POST ${new URL(url).pathname} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    // Nothing tells that no more is sent than that nothing more is sent.
    let last = -1;
    await eventually(() => sent > 0);
    while (last !== sent) {
      last = sent;
      await sleep(100);
    }
    assert.ok(stalled, 'the provider never had to wait');
    // What is under way lies in the buffers of the kernel, some MiB for each of the two connections.
    assert.ok(sent < count / 2, `${sent} of ${count} events were taken`);
    assert.ok(residentBytes() - before < 30e6, `${residentBytes() - before} bytes more`);

    let received = 0;
    client.on('data', (piece: Buffer) => (received += piece.length));
    client.resume();
    await once(client, 'close');
    assert.equal(sent, count);
    assert.ok(received > count * event.length, `${received} bytes`);
    assert.equal((await stage.logged(url))[0]?.body_bytes_sent, String(count * event.length));
  });

  function residentBytes(): number {
    const pid = readFileSync(`${stage.gateway.prefix}/logs/weir.pid`, 'utf8').trim().split(/\s/)[0] ?? '';
    const kibibytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return Number(kibibytes) * 1024;
  }
});

describe('a client that leaves', { timeout: 120_000 }, () => {
  /** A few milliseconds on a machine that does nothing else; whatever else closes the provider's socket takes 30 s. */
  const promptMs = 2000;

  async function expectAbort(options: { url: string; connection: RawConnection; leftAt: number }): Promise<void> {
    const { url, connection, leftAt } = options;
    const closedAt = await stage.raw.closed(connection.index);
    assert.ok(closedAt - leftAt < promptMs, `the upstream was closed after ${closedAt - leftAt} ms`);
    const [logged] = await stage.logged(url);
    assert.deepEqual([logged?.status, logged?.weir_error], ['499', 'CLIENT_CLOSED_REQUEST']);
  }

  test('while the provider thinks', async () => {
    const url = await toRaw();
    const arrived = requestArrived();
    const request = startCall(url, { body: { messages: [] } });
    const connection = await arrived;
    const leftAt = performance.now();
    request.destroy();
    await expectAbort({ url, connection, leftAt });
    assert.equal((await stage.logged(url))[0]?.upstream_status, '-');
  });

  test('V29 in the middle of a stream; what was known is logged', async () => {
    const url = await toRaw();
    stage.raw.answer = ({ socket }) => {
      const usage = chatEvent({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 2 } });
      socket.write(chunkedHead + chunk(textEvent('a')).toString() + chunk(usage).toString());
    };
    const arrived = requestArrived();
    const open = await openCall(url, { body: streamed });
    const connection = await arrived;
    await eventually(() => open.received().includes('usage":{'));
    const leftAt = performance.now();
    open.leave();
    await expectAbort({ url, connection, leftAt });
    const [logged] = await stage.logged(url);
    assert.deepEqual(
      [logged?.request_type, logged?.upstream_status, logged?.llm_total_tokens],
      ['ai_stream', '200', '5'],
    );
  });

  test('in the middle of a plain answer that is being gathered', async () => {
    const url = await toRaw();
    stage.raw.answer = ({ socket }) => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"a":');
    const arrived = requestArrived();
    const request = startCall(url, { body: { messages: [] } });
    const connection = await arrived;
    await sleep(20);
    const leftAt = performance.now();
    request.destroy();
    await expectAbort({ url, connection, leftAt });
  });

  test('without having read what it was sent', async () => {
    const url = await toRaw();
    stage.raw.answer = async ({ socket }) => {
      socket.write(chunkedHead);
      const event = chunk(textEvent('x'.repeat(64 * 1024)));
      while (!socket.destroyed) if (!socket.write(event)) await once(socket, 'drain').catch(() => {});
    };
    const arrived = requestArrived();
    const client = connect(stage.gateway.port, '127.0.0.1');
    client.pause();
    client.write(rawRequest(url, streamed));
    const connection = await arrived;
    await sleep(150);
    const leftAt = performance.now();
    client.destroy();
    await expectAbort({ url, connection, leftAt });
  });

  test('by closing its sending side', async () => {
    const url = await toRaw();
    const arrived = requestArrived();
    await using client = await connectRaw(stage.gateway.port, { allowHalfOpen: true });
    client.write(rawRequest(url, { messages: [] }));
    const connection = await arrived;
    const leftAt = performance.now();
    client.socket.end();
    await expectAbort({ url, connection, leftAt });
  });

  test('while its request is sent to a provider that does not take it', async () => {
    await using server = await startIdleServer();
    const url = await stage.route({ override: { endpoint: server.url } });
    const connected = server.connected();
    const request = startCall(url, { body: { messages: [], x: 'x'.repeat(8 * 1024 * 1024) } });
    const socket = await connected;
    await sleep(50);
    const leftAt = performance.now();
    request.destroy();
    socket.resume();
    await once(socket, 'close');
    assert.ok(performance.now() - leftAt < promptMs, `closed after ${performance.now() - leftAt} ms`);
    assert.equal((await stage.logged(url))[0]?.status, '499');
  });

  test('while the connection to the provider is being made', async () => {
    await using hole = await openBlackHole('127.0.0.1');
    const url = await stage.route({ override: { endpoint: `http://127.0.0.1:${hole.port}` } });
    const request = startCall(url, { body: { messages: [] } });
    await sleep(50);
    request.destroy();
    const [logged] = await stage.logged(url);
    assert.deepEqual([logged?.status, logged?.weir_error], ['499', 'CLIENT_CLOSED_REQUEST']);
    assert.ok(Number(logged?.upstream_response_time) < 1);
  });

  test('before its request is complete: the provider hears nothing', async () => {
    const url = await toRaw();
    await using client = await connectRaw(stage.gateway.port);
    client.write(rawRequest(url, streamed).slice(0, -5));
    await sleep(20);
    client.socket.destroy();
    const [logged] = await stage.logged(url);
    assert.deepEqual([logged?.status, logged?.upstream_addr], ['499', '']);
    assert.equal(stage.raw.requests.length, 0);
  });

  function rawRequest(url: string, value: object): string {
    const body = JSON.stringify(value);
    return `POST ${new URL(url).pathname} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  }
});

/** Runs `work` for each item, so many at a time. */
async function inParallel<T>(items: readonly T[], lanes: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      for (const item of queue) await work(item);
    }),
  );
}
