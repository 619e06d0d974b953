import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { describe, test } from 'node:test';
import { startForwarding } from './support/forward-stage.ts';
import { eventually } from './support/gateway.ts';
import { call, startCall } from './support/http-call.ts';
import {
  startProvider,
  startRawProvider,
  type Provider,
  type RawAnswer,
  type RecordedRequest,
} from './support/mock-provider.ts';
import { connectRaw } from './support/raw-client.ts';

/** Node objects in the order in which they are tried: one priority each. */
function inOrder(...ports: readonly number[]): object[] {
  return ports.map((port, at) => ({ host: '127.0.0.1', port, weight: 1, priority: -at }));
}

function startGood(): Promise<Provider> {
  return startProvider(({ body }, response) => void response.end(`good ${body.toString()}`));
}

const refusing = 1;
const reset: RawAnswer = ({ socket }) => socket.resetAndDestroy();
const silent: RawAnswer = () => {};
const timeout = { connect: 5, send: 5, read: 0.1 };

describe('after a failure without an answer another node is asked', () => {
  const rows: readonly (readonly [what: string, answer: RawAnswer | null, method: string, status: number])[] = [
    ['refused connection, GET', null, 'GET', 200],
    ['refused connection, POST: nothing was sent yet', null, 'POST', 200],
    ['reset, GET', reset, 'GET', 200],
    ['reset, PUT', reset, 'PUT', 200],
    ['reset, DELETE', reset, 'DELETE', 200],
    ['reset, POST: it may have been done', reset, 'POST', 502],
    ['reset, PATCH', reset, 'PATCH', 502],
    ['reset, LOCK', reset, 'LOCK', 502],
    ['timeout, GET', silent, 'GET', 200],
    ['timeout, POST', silent, 'POST', 504],
    [
      'an answer of 500 is an answer',
      ({ socket }) => socket.write('HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n'),
      'GET',
      500,
    ],
    ['garbage is not retried, as by nginx', ({ socket }) => socket.end('garbage\r\n\r\n'), 'GET', 502],
    [
      'an answer that breaks behind its head',
      ({ socket }) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'),
      'GET',
      200,
    ],
  ];
  for (const [what, answer, method, status] of rows) {
    test(`${what}: ${status}`, async () => {
      await using bad = await startRawProvider(answer ?? silent);
      await using good = await startGood();
      const first = answer === null ? refusing : bad.port;
      await using stage = await startForwarding({ nodes: inOrder(first, good.port), timeout });
      const body = method === 'PUT' ? 'hello' : undefined;
      const result = await call(stage.url, { method, body });
      assert.equal(result.status, status);
      const retried = status === 200 && result.complete;
      if (retried) assert.equal(result.text, `good ${body ?? ''}`);
      const { attempts } = await stage.over(1);
      assert.equal(attempts.length, retried ? 2 : 1);
      assert.equal(good.requests.length, retried ? 1 : 0);
    });
  }

  const onKept: readonly (readonly [method: string, sent: number])[] = [
    ['GET', 2],
    ['PUT', 2],
    ['POST', 1],
    ['PATCH', 1],
  ];
  for (const [method, sent] of onKept) {
    test(`a ${method} on a kept connection that closes without an answer is sent ${sent === 1 ? 'once' : 'again'}`, async () => {
      const answered = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n';
      await using upstream = await startRawProvider(({ socket, index }) =>
        index === 0 && upstream.requests.length > 1 ? socket.end() : socket.write(answered),
      );
      await using stage = await startForwarding({ nodes: inOrder(upstream.port) });
      await call(stage.url, { method: 'GET' });
      assert.equal((await call(stage.url, { method })).status, sent === 1 ? 502 : 200);
      assert.equal(upstream.requests.length, 1 + sent);
    });
  }

  test('a small body that comes later than its head is sent again', async () => {
    await using bad = await startRawProvider(reset);
    await using good = await startGood();
    await using stage = await startForwarding({ nodes: inOrder(bad.port, good.port) });
    await using client = await connectRaw(stage.port);
    client.write('PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n');
    await new Promise((resolve) => setTimeout(resolve, 10));
    client.write('hello');
    assert.equal((await client.readResponse()).body.toString(), 'good hello');
  });

  test('a body that streams is sent to another node only while nothing of it is gone', async () => {
    await using bad = await startRawProvider(silent);
    await using good = await startGood();
    const head = 'PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n';
    {
      await using stage = await startForwarding({ nodes: inOrder(refusing, good.port) });
      await using client = await connectRaw(stage.port);
      client.write(`${head}3\r\nhel\r\n`);
      await new Promise((resolve) => setTimeout(resolve, 50));
      client.write('2\r\nlo\r\n0\r\n\r\n');
      assert.equal((await client.readResponse()).body.toString(), 'good hello');
    }
    good.requests.length = 0;
    await using stage = await startForwarding({ nodes: inOrder(bad.port, good.port) });
    await using client = await connectRaw(stage.port);
    client.write(`${head}3\r\nhel\r\n`);
    await new Promise((resolve) => setTimeout(resolve, 50));
    for (const { socket } of bad.connections) socket.resetAndDestroy();
    assert.equal((await client.readResponse()).status, 502);
    assert.equal(good.requests.length, 0);
  });
});

describe('how often', () => {
  const rows: readonly (readonly [what: string, conf: object, nodes: number, attempts: number])[] = [
    ['default: each of the others once', {}, 3, 3],
    ['retries: 1', { retries: 1 }, 3, 2],
    ['retries: 0', { retries: 0 }, 3, 1],
    ['retries beyond the nodes end with the last of them', { retries: 9 }, 2, 2],
    ['a lone node is not asked again', {}, 1, 1],
    ['a lone node is asked again when retries say so', { retries: 2 }, 1, 3],
  ];
  for (const [what, conf, count, attempts] of rows) {
    test(`${what}: ${attempts} attempts`, async () => {
      const nodes = inOrder(...Array.from({ length: count }, (_, at) => refusing + at));
      await using stage = await startForwarding({ nodes, ...conf });
      const result = await call(stage.url, { method: 'GET' });
      assert.equal(result.status, 502);
      const ctx = await stage.over(1);
      assert.equal(ctx.attempts.length, attempts);
      assert.equal(ctx.errorCode, 'UPSTREAM_CONNECT');
    });
  }

  test('retry_timeout: none begins later than that', async () => {
    await using slow = await startRawProvider(silent);
    await using good = await startGood();
    await using stage = await startForwarding({ nodes: inOrder(slow.port, good.port), timeout, retry_timeout: 0.05 });
    assert.equal((await call(stage.url, { method: 'GET' })).status, 504);
    assert.equal(good.requests.length, 0);
  });
});

describe('health', () => {
  /** A view in which some nodes are unhealthy, and what was reported. */
  function viewOf(unhealthy: readonly number[]) {
    const reports: string[] = [];
    const of = (_owner: string, name: string) => ({
      healthy: !unhealthy.some((port) => name === `127.0.0.1:${port}`),
      isAddressHealthy: () => true,
      report: ({ result }: { readonly result: unknown }) => void reports.push(`${name} ${String(result)}`),
    });
    return { reports, of };
  }

  test('an unhealthy node gets nothing while another is left; all unhealthy ones are used', async () => {
    await using one = await startGood();
    await using other = await startGood();
    const nodes = inOrder(one.port, other.port);
    {
      await using stage = await startForwarding({ nodes }, { health: viewOf([one.port]) });
      await call(stage.url, { method: 'GET' });
      assert.deepEqual([one.requests.length, other.requests.length], [0, 1]);
    }
    await using stage = await startForwarding({ nodes }, { health: viewOf([one.port, other.port]) });
    await call(stage.url, { method: 'GET' });
    assert.deepEqual([one.requests.length, other.requests.length], [1, 1]);
  });

  test('when the healthy ones have failed, an unhealthy one is better than nothing', async () => {
    await using good = await startGood();
    const health = viewOf([good.port]);
    await using stage = await startForwarding({ nodes: inOrder(refusing, good.port) }, { health });
    assert.equal((await call(stage.url, { method: 'GET' })).status, 200);
  });

  test('how each attempt went is reported for its node', async () => {
    await using good = await startGood();
    await using bad = await startRawProvider(silent);
    const health = viewOf([]);
    const nodes = inOrder(refusing, bad.port, good.port);
    await using stage = await startForwarding({ nodes, timeout }, { health });
    await call(stage.url, { method: 'GET' });
    await stage.over(1);
    assert.deepEqual(health.reports, [
      `127.0.0.1:${refusing} tcp_failure`,
      `127.0.0.1:${bad.port} timeout`,
      `127.0.0.1:${good.port} 200`,
    ]);
  });
});

describe('balancing', () => {
  async function countsOf(type: object, requests: number): Promise<number[]> {
    await using one = await startGood();
    await using other = await startGood();
    const nodes = { [`127.0.0.1:${one.port}`]: 2, [`127.0.0.1:${other.port}`]: 1 };
    await using stage = await startForwarding({ nodes, ...type });
    for (let n = 0; n < requests; n++) await call(stage.url, { method: 'GET', headers: { 'X-User': 'u' } });
    return [one.requests.length, other.requests.length];
  }

  test('roundrobin: by weight, exactly', async () => {
    assert.deepEqual(await countsOf({}, 9), [6, 3]);
  });

  test('chash: equal keys go to one node', async () => {
    const counts = await countsOf({ type: 'chash', hash_on: 'header', key: 'X-User' }, 9);
    assert.equal(Math.max(...counts), 9);
  });

  test('least_conn: a node that is busy is passed over, and comes back when it is not', async () => {
    const held: (() => void)[] = [];
    const hold = (request: RecordedRequest, response: ServerResponse): void => {
      if (request.target === '/hold') held.push(() => response.end());
      else response.end();
    };
    await using one = await startProvider(hold);
    await using other = await startProvider(hold);
    const nodes = { [`127.0.0.1:${one.port}`]: 1, [`127.0.0.1:${other.port}`]: 1 };
    await using stage = await startForwarding({ nodes, type: 'least_conn' });
    const counts = (): number[] => [one.requests.length, other.requests.length].sort((a, b) => a - b);
    startCall(`${stage.url}/hold`, { method: 'GET' });
    await eventually(() => held.length === 1);
    for (let n = 0; n < 5; n++) await call(stage.url, { method: 'GET' });
    assert.deepEqual(counts(), [1, 5]);
    held[0]?.();
    await stage.over(6);
    for (let n = 0; n < 4; n++) await call(stage.url, { method: 'GET' });
    assert.deepEqual(counts(), [3, 7]);
  });

  test('ewma: the slow one of two gets one request, the fast one all others', async () => {
    await using fast = await startGood();
    await using slow = await startProvider((_request, response) => void setTimeout(() => response.end(), 400));
    const nodes = { [`127.0.0.1:${fast.port}`]: 1, [`127.0.0.1:${slow.port}`]: 1 };
    await using stage = await startForwarding({ nodes, type: 'ewma' });
    for (let n = 0; n < 12; n++) await call(stage.url, { method: 'GET' });
    assert.equal(slow.requests.length, 1);
    assert.equal(fast.requests.length, 11);
  });
});
