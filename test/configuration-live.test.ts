import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { eventually, startGateway, type TestGateway } from './support/gateway.ts';
import { call, openCall } from './support/http-call.ts';
import {
  answerJson,
  chatAnswer,
  chatStream,
  chunk,
  startProvider,
  startRawProvider,
  textEvent,
  type Provider,
  type RawConnection,
  type RawProvider,
} from './support/mock-provider.ts';
import { connectRaw } from './support/raw-client.ts';

const run = promisify(execFile);
const commandLine = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const chunkedHead = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n';
/** Each on a connection of its own, which the kernel gives to one of the workers. */
const probes = 24;

let provider: Provider;
let raw: RawProvider;
let gateway: TestGateway;

before(async () => {
  provider = await startProvider(answerJson(chatAnswer));
  raw = await startRawProvider(() => {});
  gateway = await startGateway({
    workers: 2,
    config: {
      nginx_config: { http: { access_log_format: '$connection $remote_port $request_uri $status $weir_error' } },
    },
  });
});

after(() => Promise.all([gateway, provider, raw].map((part) => part[Symbol.asyncDispose]())));

function routeTo(endpoint: string, model: string): object {
  return {
    uri: '/live',
    plugins: { 'ai-proxy': { provider: 'openai-compatible', auth: {}, override: { endpoint }, options: { model } } },
  };
}

/** What all workers do with a call: the models that they asked for, and statuses other than 200. */
async function seenByAll(target: TestGateway, path: string): Promise<unknown[]> {
  return (await connectToAll(target))(path);
}

/** Opens connections to all workers. @returns Sends a call on each of them, at once, and tells as {@link seenByAll}. */
async function connectToAll(target: TestGateway): Promise<(path: string) => Promise<unknown[]>> {
  const clients = await Promise.all(Array.from({ length: probes }, () => connectRaw(target.port)));
  return async (path) => {
    provider.requests.length = 0;
    const body = '{"messages":[]}';
    const head = `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`;
    for (const client of clients) client.write(head + body);
    const answers = await Promise.all(clients.map((client) => client.readToClose()));
    const failed = answers.flat().flatMap(({ status }) => (status === 200 ? [] : [status]));
    const models = provider.requests.map(
      (request) => (JSON.parse(request.body.toString()) as { model: unknown }).model,
    );
    return [...new Set([...failed, ...models])];
  };
}

describe('a change through the Admin API', { timeout: 120_000 }, () => {
  test('is live on all workers when its call returns: PUT, PATCH, status, DELETE', async () => {
    const steps: [string, string, object | undefined, unknown][] = [
      ['PUT', '/routes/live', routeTo(provider.url, 'first'), 'first'],
      ['PUT', '/routes/live', routeTo(provider.url, 'second'), 'second'],
      ['PATCH', '/routes/live', { plugins: { 'ai-proxy': { options: { model: 'third' } } } }, 'third'],
      ['PATCH', '/routes/live/plugins/ai-proxy/options', { model: 'fourth' }, 'fourth'],
      ['PATCH', '/routes/live', { status: 0 }, 404],
      ['PATCH', '/routes/live', { status: 1 }, 'fourth'],
      ['DELETE', '/routes/live', undefined, 404],
      ['PUT', '/routes/live', routeTo(provider.url, 'again'), 'again'],
    ];
    for (const [method, path, body, expected] of steps) {
      // The connections are there already, so that the calls leave right after the answer of the Admin API.
      const askAll = await connectToAll(gateway);
      const answer = await gateway.admin(method, path, body);
      const seen = await askAll('/live');
      assert.ok(answer.status < 300, JSON.stringify(answer));
      assert.deepEqual(seen, [expected], `after ${method} ${path}`);
    }
  });

  test('both workers really took part', async () => {
    await gateway.putRoute('live', routeTo(provider.url, 'x'));
    // Each worker counts its connections from 1, so only two workers give one number to two connections.
    const numbers = new Map<string, string>();
    const isOfTwo = (line: string): boolean => {
      const [serial = '', port = ''] = line.split(' ');
      const other = numbers.get(serial) ?? port;
      numbers.set(serial, port);
      return other !== port;
    };
    let taken = false;
    for (let round = 0; round < 20 && !taken; round++) {
      await seenByAll(gateway, '/live?workers');
      taken = (await gateway.accessLog('/live')).some(isOfTwo);
    }
    assert.ok(taken, 'no number of a connection came twice');
  });

  test('that is refused changes nothing', async () => {
    await gateway.putRoute('live', routeTo(provider.url, 'kept'));
    const answer = await gateway.admin('PUT', '/routes/live', { uri: '/live', plugins: { 'ai-proxy': {} } });
    assert.equal(answer.status, 400);
    assert.deepEqual(await seenByAll(gateway, '/live'), ['kept']);
  });

  test('takes no effect on requests that run, and drops none: one burst of changes under load', async () => {
    const url = `${gateway.url}/live`;
    const load = new AbortController();
    const statuses = new Set<number>();
    const callers = Array.from({ length: 4 }, async () => {
      while (!load.signal.aborted) statuses.add((await call(url, { body: { messages: [] } })).status);
    });
    for (let n = 0; n < 20; n++) await gateway.putRoute('live', routeTo(provider.url, `m${n}`));
    load.abort();
    await Promise.all(callers);
    assert.deepEqual([...statuses], [200]);
    assert.deepEqual(await seenByAll(gateway, '/live'), ['m19']);
  });
});

describe('a running stream', { timeout: 120_000 }, () => {
  interface RunningStream {
    /** The provider's side goes on and ends. @returns All that the client has got. */
    complete(): Promise<{ text: string; complete: boolean }>;
  }

  async function startStream(path: string): Promise<RunningStream> {
    const first = textEvent('first');
    let provided: RawConnection | undefined;
    raw.answer = (connection) => {
      provided = connection;
      connection.socket.write(chunkedHead + chunk(first).toString());
    };
    const open = await openCall(gateway.url + path, { body: { stream: true, messages: [] } });
    await eventually(() => open.received() === first);
    return {
      async complete() {
        provided?.socket.write(Buffer.concat([chunk(chatStream), Buffer.from('0\r\n\r\n')]));
        return open.finish();
      },
    };
  }

  const wholeStream = textEvent('first') + chatStream;

  test('survives the change and the end of its route', async () => {
    await gateway.putRoute('live', routeTo(raw.url, 'x'));
    const stream = await startStream('/live');
    await gateway.putRoute('live', routeTo(provider.url, 'other'));
    await gateway.admin('DELETE', '/routes/live');
    assert.deepEqual(await seenByAll(gateway, '/live'), [404]);
    const { text, complete } = await stream.complete();
    assert.deepEqual([text, complete], [wholeStream, true]);
  });

  test('survives `weir reload`, after which the new settings are in effect', async () => {
    await gateway.putRoute('live', routeTo(raw.url, 'x'));
    await gateway.putRoute('other', { ...routeTo(provider.url, 'other'), uri: '/other' });
    const stream = await startStream('/live');
    const config = readFileSync(gateway.configFile, 'utf8');
    assert.match(config, /\n {2}http:\n/);
    writeFileSync(gateway.configFile, config.replace('\n  http:\n', '\n  http:\n    client_max_body_size: 10\n'));
    await run(process.execPath, [commandLine, 'reload', '-p', gateway.prefix]);
    const deadline = performance.now() + 5000;
    let seen: unknown[] = [];
    // The command only asks; when it has happened, only new answers come, from both workers.
    while (seen.length !== 1 || seen[0] !== 413) {
      assert.ok(performance.now() < deadline, `still ${seen.join()}; ${gateway.errorLog()}`);
      seen = await seenByAll(gateway, '/other');
      assert.ok(
        seen.every((value) => value === 'other' || value === 413),
        `a request was dropped: ${seen.join()}`,
      );
    }
    const { text, complete } = await stream.complete();
    assert.deepEqual([text, complete], [wholeStream, true]);

    writeFileSync(gateway.configFile, config);
    await run(process.execPath, [commandLine, 'reload', '-p', gateway.prefix]);
    while ((await call(`${gateway.url}/other`, { body: { messages: [] } })).status !== 200);
  });
});

describe('a connection that stays open over `weir reload`', { timeout: 120_000 }, () => {
  test('serves with the new settings and sees later changes of routes', async () => {
    await using own = await startGateway({ routes: { kept: { ...routeTo(provider.url, 'kept'), uri: '/kept' } } });
    await using client = await connectRaw(own.port);
    let asked = 0;
    const ask = async (path: string, body = '{"messages":[]}'): Promise<number | undefined> => {
      client.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
      return (await client.readResponses(++asked)).at(-1)?.status;
    };
    assert.equal(await ask('/kept'), 200);

    const config = readFileSync(own.configFile, 'utf8');
    writeFileSync(own.configFile, config.replace('\n  http:\n', '\n  http:\n    client_max_body_size: 20\n'));
    await run(process.execPath, [commandLine, 'reload', '-p', own.prefix]);
    const long = { messages: ['more than twenty bytes'] };
    while ((await call(`${own.url}/kept`, { body: long })).status !== 413);

    await own.putRoute('new', { ...routeTo(provider.url, 'new'), uri: '/new' });
    assert.equal(await ask('/new'), 200);
    assert.equal(await ask('/kept', JSON.stringify(long)), 413);
  });
});

describe('a stream that the end of the gateway cuts', { timeout: 120_000 }, () => {
  for (const [how, config] of [
    ['weir stop', {}],
    ['weir.shutdown_timeout', { weir: { shutdown_timeout: '100ms' } }],
  ] as const) {
    test(`by ${how} ends with an error event and is in the access log`, async () => {
      await using own = await startGateway({ config, routes: { hung: { ...routeTo(raw.url, 'x'), uri: '/hung' } } });
      raw.answer = ({ socket }) => socket.write(chunkedHead + chunk(textEvent('first')).toString());
      const open = await openCall(`${own.url}/hung`, { body: { stream: true, messages: [] } });
      await eventually(() => open.received() !== '');
      if (how === 'weir stop') await run(process.execPath, [commandLine, 'stop', '-p', own.prefix]);
      else assert.equal(await own.stop('SIGTERM'), 0);
      const [line = ''] = await own.accessLog('/hung');
      assert.match(line, /"POST \/hung HTTP\/1.1" 200 /);
      const { text, complete } = await open.finish();
      const [first, error = '', ...rest] = text.split('\n\n');
      assert.deepEqual([`${first}\n\n`, rest, complete], [textEvent('first'), [''], true]);
      const event = JSON.parse(error.replace(/^data: /, '')) as { error: { code: unknown } };
      assert.equal(event.error.code, 'SHUTTING_DOWN');
    });
  }
});

describe('routes', { timeout: 120_000 }, () => {
  test('are there again after a stop and after kill -9, with all that was acknowledged', async () => {
    await using first = await startGateway({ routes: { kept: { ...routeTo(provider.url, 'kept'), uri: '/kept' } } });
    await first.putRoute('gone', { ...routeTo(provider.url, 'gone'), uri: '/gone' });
    await first.admin('DELETE', '/routes/gone');
    assert.equal(await first.stop('SIGTERM'), 0);

    await using second = await startGateway({ prefix: first.prefix });
    assert.deepEqual(await seenByAll(second, '/kept'), ['kept']);
    assert.deepEqual(await seenByAll(second, '/gone'), [404]);
    await second.putRoute('late', { ...routeTo(provider.url, 'late'), uri: '/late' });
    assert.equal(await second.stop('SIGKILL'), 'SIGKILL');

    await using third = await startGateway({ prefix: first.prefix });
    assert.deepEqual(await seenByAll(third, '/kept'), ['kept']);
    assert.deepEqual(await seenByAll(third, '/late'), ['late']);
    assert.deepEqual(await seenByAll(third, '/gone'), [404]);
  });
});
