import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createServer as createTlsServer, TLSSocket } from 'node:tls';
import { openBlackHole } from '../../test/support/black-hole.ts';
import { freePort } from '../../test/support/free-port.ts';
import {
  expiredCertificate,
  selfSignedCertificate,
  serverCertificate,
  testCa,
} from '../../test/support/tls-fixtures.ts';
import type { WeirError } from '../base/errors.ts';
import { silentLog } from '../base/log.ts';
import { createConnector, type ConnectDetails, type ConnectOptions, type Connector } from './connector.ts';
import type { Origin } from './origin.ts';
import { createResolver, type Lookup } from './resolver.ts';

interface Listening extends AsyncDisposable {
  readonly port: number;
  /** Connections that are open at this moment. */
  readonly open: ReadonlySet<Socket>;
}

async function listen(server: Server, host = '127.0.0.1', port = 0): Promise<Listening> {
  const open = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    socket.on('error', () => {}).on('close', () => open.delete(socket));
  });
  server.on('tlsClientError', () => {});
  server.listen(port, host);
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    open,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Names of the test and their addresses; other names do not exist. */
const hosts: Record<string, string[]> = {
  'two.example': ['127.0.0.2', '127.0.0.1'],
  'api.openai.com': ['127.0.0.1'],
  'other.example': ['127.0.0.1'],
};

const lookup: Lookup = async (host) => {
  const addresses = hosts[host];
  if (addresses === undefined) throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND' });
  return addresses.map((address) => ({ address, family: 4 }));
};

interface Settings {
  readonly connectTo?: Record<string, string>;
  readonly trustedCa?: string;
  readonly lookup?: Lookup;
  readonly random?: () => number;
}

function connectorWith(settings: Settings = {}): Connector {
  const { trustedCa = testCa } = settings;
  return createConnector({
    resolver: createResolver({ log: silentLog, lookup: settings.lookup ?? lookup }),
    connectTo: new Map(Object.entries(settings.connectTo ?? {})),
    ...(trustedCa !== '' && { trustedCa }),
    log: silentLog,
    random: settings.random ?? (() => 0),
  });
}

function to(scheme: Origin['scheme'], host: string, port: number): ConnectOptions {
  return { origin: { scheme, host, port }, timeoutMs: 5000, verifyTls: true };
}

interface Outcome {
  readonly error: WeirError | null;
  readonly socket: Socket | null;
  readonly details: ConnectDetails;
}

function attempt(connector: Connector, options: ConnectOptions): Promise<Outcome> {
  return new Promise((resolve) => {
    connector.connect(options, (error, socket, details) => resolve({ error, socket, details }));
  });
}

async function succeed(
  connector: Connector,
  options: ConnectOptions,
): Promise<{ socket: Socket; details: ConnectDetails }> {
  const { error, socket, details } = await attempt(connector, options);
  assert.equal(error, null);
  assert.ok(socket);
  return { socket, details };
}

async function fail(
  connector: Connector,
  options: ConnectOptions,
): Promise<{ error: WeirError; details: ConnectDetails }> {
  const { error, socket, details } = await attempt(connector, options);
  assert.equal(socket, null);
  assert.ok(error);
  return { error, details };
}

async function becomesTrue(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 2000;
  while (!condition() && performance.now() < deadline) await sleep(5);
  assert.ok(condition());
}

function greeting(socket: Socket): void {
  socket.write('hello');
}

describe('a plain connection', () => {
  let server: Listening;
  before(async () => {
    server = await listen(createServer(greeting));
  });
  after(() => server[Symbol.asyncDispose]());

  test('is handed over untouched: no listener, not flowing, nothing lost that came early', async () => {
    const { socket, details } = await succeed(connectorWith(), to('http', '127.0.0.1', server.port));
    assert.equal(details.address, `127.0.0.1:${server.port}`);
    assert.ok(details.connectMs > 0 && details.connectMs < 5000);
    assertUntouched(socket);
    await sleep(20);
    const [data] = await once(socket, 'data');
    assert.equal(String(data), 'hello');
    socket.destroy();
  });

  test('goes to the next address of the name when the first one is dead', async () => {
    const { socket, details } = await succeed(connectorWith(), to('http', 'two.example', server.port));
    assert.equal(details.address, `127.0.0.1:${server.port}`);
    socket.destroy();
  });

  test('begins with any address of the name', async () => {
    await using other = await listen(createServer(greeting), '127.0.0.2', server.port);
    const turns = [0.9, 0, 0.5];
    const connector = connectorWith({ random: () => turns.shift() ?? 0 });
    const reached: string[] = [];
    while (turns.length > 0) {
      const { socket, details } = await succeed(connector, to('http', 'two.example', other.port));
      reached.push(details.address.replace(`:${other.port}`, ''));
      socket.destroy();
    }
    assert.deepEqual(reached, ['127.0.0.1', '127.0.0.2', '127.0.0.1']);
  });

  for (const [name, sick, healthy, tried] of [
    ['an unhealthy address is not tried', ['127.0.0.2'], true, ['127.0.0.1']],
    ['addresses that are all unhealthy are tried', ['127.0.0.1', '127.0.0.2'], true, ['127.0.0.2', '127.0.0.1']],
    ['health does not count when no address is usable', ['127.0.0.2'], false, ['127.0.0.2', '127.0.0.1']],
  ] as const) {
    test(name, async () => {
      const port = await freePort();
      const health = { healthy, isAddressHealthy: (ip: string) => !sick.some((each) => each === ip) };
      const { details } = await fail(connectorWith(), { ...to('http', 'two.example', port), health });
      assert.equal(details.address, tried.map((ip) => `${ip}:${port}`).join(', '));
    });
  }

  test('the case of the name does not matter', async () => {
    const { socket } = await succeed(connectorWith(), to('http', 'Two.Example', server.port));
    socket.destroy();
  });

  test('connect_to changes where it goes', async () => {
    const connector = connectorWith({ connectTo: { 'nowhere.example:80': `127.0.0.1:${server.port}` } });
    const { socket, details } = await succeed(connector, to('http', 'nowhere.example', 80));
    assert.equal(details.address, `127.0.0.1:${server.port}`);
    socket.destroy();
    const { error } = await fail(connector, to('http', 'nowhere.example', 81));
    assert.equal(error.code, 'UPSTREAM_DNS');
  });

  test('connect_to may name a host that is looked up', async () => {
    const connector = connectorWith({ connectTo: { 'nowhere.example:80': `two.example:${server.port}` } });
    const { socket } = await succeed(connector, to('http', 'nowhere.example', 80));
    socket.destroy();
  });
});

describe('a TLS connection', () => {
  let server: Listening;
  const names: (string | false | undefined)[] = [];
  before(async () => {
    server = await listen(
      createTlsServer({ ...serverCertificate, ALPNProtocols: ['h2', 'http/1.1'] }, (socket) => {
        names.push((socket as TLSSocket & { servername?: string | false }).servername);
        greeting(socket);
      }),
    );
  });
  after(() => server[Symbol.asyncDispose]());

  /** Waits for the greeting, with which the session ticket of TLS 1.3 has arrived. */
  async function sessionReused(connector: Connector, options: ConnectOptions): Promise<boolean> {
    const { socket } = await succeed(connector, options);
    await once(socket, 'data');
    assert.ok(socket instanceof TLSSocket);
    const reused = socket.isSessionReused();
    socket.destroy();
    return reused;
  }

  test('is authorised, speaks HTTP/1.1 and is handed over untouched', async () => {
    const { socket, details } = await succeed(connectorWith(), to('https', '127.0.0.1', server.port));
    assert.ok(socket instanceof TLSSocket);
    assert.equal(socket.authorized, true);
    assert.equal(socket.alpnProtocol, 'http/1.1');
    assert.equal(details.address, `127.0.0.1:${server.port}`);
    assertUntouched(socket);
    await sleep(20);
    const [data] = await once(socket, 'data');
    assert.equal(String(data), 'hello');
    socket.destroy();
  });

  test('connect_to leaves SNI and the check of the certificate with the name of the origin', async () => {
    const destination = `127.0.0.1:${server.port}`;
    const connector = connectorWith({
      connectTo: { 'api.openai.com:443': destination, 'other.example:443': destination },
    });
    names.length = 0;
    const { socket } = await succeed(connector, to('https', 'api.openai.com', 443));
    await once(socket, 'data');
    socket.destroy();
    assert.deepEqual(names, ['api.openai.com']);
    const { error } = await fail(connector, to('https', 'other.example', 443));
    assert.match(error.message, /hostname mismatch/);
  });

  test('servername replaces the host for SNI and the check of the certificate', async () => {
    names.length = 0;
    const options = { ...to('https', '127.0.0.1', server.port), servername: 'x.openai.azure.com' };
    const { socket } = await succeed(connectorWith(), options);
    await once(socket, 'data');
    socket.destroy();
    assert.deepEqual(names, ['x.openai.azure.com']);
    const { error } = await fail(connectorWith(), { ...options, servername: 'other.example' });
    assert.match(error.message, /hostname mismatch/);
  });

  test('an IP address is never sent as SNI', async () => {
    names.length = 0;
    const { socket } = await succeed(connectorWith(), to('https', '127.0.0.1', server.port));
    await once(socket, 'data');
    socket.destroy();
    assert.deepEqual(names, [false]);
  });

  test('the dot at the end of an absolute name is not part of what the certificate must say', async () => {
    const connector = connectorWith({ connectTo: { 'api.openai.com.:443': `127.0.0.1:${server.port}` } });
    const { socket } = await succeed(connector, to('https', 'api.openai.com.', 443));
    socket.destroy();
  });

  test('a second connection resumes the session of the first', async () => {
    const connector = connectorWith();
    const options = to('https', 'localhost', server.port);
    assert.equal(await sessionReused(connector, options), false);
    assert.equal(await sessionReused(connector, options), true);
    const { socket } = await succeed(connector, options);
    assert.ok(socket instanceof TLSSocket && socket.authorized);
    socket.destroy();
  });

  test('a session that was made without verification or for another name is not resumed', async () => {
    const connector = connectorWith();
    const options = to('https', 'localhost', server.port);
    await sessionReused(connector, { ...options, verifyTls: false });
    assert.equal(await sessionReused(connector, options), false);
    assert.equal(await sessionReused(connector, { ...options, servername: 'api.openai.com' }), false);
    const { error } = await fail(connector, { ...options, servername: 'other.example' });
    assert.match(error.message, /hostname mismatch/);
  });

  test('a session is not resumed for another address either, though neither is sent as SNI', async () => {
    const destination = `127.0.0.1:${server.port}`;
    const connector = connectorWith({ connectTo: { '127.0.0.1:443': destination, '127.0.0.2:443': destination } });
    await sessionReused(connector, to('https', '127.0.0.1', 443));
    assert.equal(await sessionReused(connector, to('https', '127.0.0.1', 443)), true);
    const { error } = await fail(connector, to('https', '127.0.0.2', 443));
    assert.match(error.message, /127\.0\.0\.2:443: hostname mismatch/);
  });

  test('verifyTls false accepts what it is given', async () => {
    const connector = connectorWith({ trustedCa: '' });
    const { socket } = await succeed(connector, { ...to('https', 'other.example', server.port), verifyTls: false });
    socket.destroy();
  });

  test('an error after the hand-over is the caller’s, and only one', async () => {
    // A socket that carries TLS cannot send a reset, a relay in front of it can.
    await using relay = await listen(
      createServer((socket) => socket.pipe(connect(server.port, '127.0.0.1')).pipe(socket)),
    );
    const { socket } = await succeed(connectorWith(), to('https', 'localhost', relay.port));
    await once(socket, 'data');
    const errors: string[] = [];
    socket.on('error', (error: NodeJS.ErrnoException) => errors.push(error.code ?? ''));
    const closed = Promise.withResolvers<void>();
    socket.resume().on('close', closed.resolve);
    for (const accepted of relay.open) accepted.resetAndDestroy();
    await closed.promise;
    assert.deepEqual(errors, ['ECONNRESET']);
  });
});

const tlsFailures = [
  {
    name: 'an expired certificate',
    server: () => createTlsServer(expiredCertificate),
    host: 'localhost',
    message:
      /^TLS with the upstream failed: localhost:\d+: certificate has expired \(valid until 2021-01-01T00:00:00Z\)$/,
  },
  {
    name: 'a self-signed certificate',
    server: () => createTlsServer(selfSignedCertificate),
    host: 'localhost',
    message: /: self-signed certificate; set apisix\.ssl\.ssl_trusted_certificate or ssl_verify: false$/,
  },
  {
    name: 'a certificate for other names',
    server: () => createTlsServer(serverCertificate),
    host: 'other.example',
    message: /other\.example:\d+: hostname mismatch: certificate is for api\.openai\.com, .*, 127\.0\.0\.1$/,
  },
  {
    name: 'an authority that nobody trusts',
    server: () => createTlsServer(serverCertificate),
    host: 'localhost',
    trustedCa: '',
    message: /: unknown certificate authority; set apisix\.ssl\.ssl_trusted_certificate or ssl_verify: false$/,
  },
  {
    name: 'a server that answers in clear text',
    server: () => createServer((socket) => socket.resume().end('HTTP/1.1 400 Bad Request\r\n\r\n')),
    host: 'localhost',
    message: /: the server does not speak TLS on this port$/,
  },
  {
    name: 'a server that closes during the handshake',
    server: () => createServer((socket) => socket.once('data', () => socket.destroy())),
    host: 'localhost',
    message: /: the server closed the connection during the handshake$/,
  },
  {
    name: 'a server that resets during the handshake',
    server: () => createServer((socket) => socket.once('data', () => socket.resetAndDestroy())),
    host: 'localhost',
    message: /: the server closed the connection during the handshake$/,
  },
  {
    name: 'a server that offers HTTP/2 only',
    server: () => createTlsServer({ ...serverCertificate, ALPNProtocols: ['h2'] }),
    host: 'localhost',
    message: /: the server does not offer HTTP\/1\.1 \(ALPN\)$/,
  },
  {
    name: 'a server with TLS 1.1 at most',
    server: () => createTlsServer({ ...serverCertificate, minVersion: 'TLSv1', maxVersion: 'TLSv1.1' }),
    host: 'localhost',
    message: /: the server supports no TLS version that is considered safe \(1\.2 or later\)$/,
  },
  {
    name: 'a server without a cipher in common',
    server: () =>
      createTlsServer({ ...serverCertificate, maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' }),
    host: 'localhost',
    message: /: the server refused the handshake \(no cipher in common, or it asks for a client certificate\)$/,
  },
];

for (const { name, server, host, trustedCa = testCa, message } of tlsFailures) {
  test(`${name} is UPSTREAM_TLS and says so`, async () => {
    await using listening = await listen(server());
    const { error, details } = await fail(connectorWith({ trustedCa }), to('https', host, listening.port));
    assert.equal(error.code, 'UPSTREAM_TLS');
    assert.equal(error.status, 502);
    assert.match(error.message, message);
    assert.ok(error.cause instanceof Error);
    assert.equal(details.address, `127.0.0.1:${listening.port}`);
    await becomesTrue(() => listening.open.size === 0);
  });
}

test('a client certificate that OpenSSL does not take is UPSTREAM_TLS, and costs nothing but the request', async () => {
  await using listening = await listen(createTlsServer(serverCertificate));
  const clientCertificate = { cert: 'no certificate', key: 'no key', id: 'broken' };
  const { error } = await fail(connectorWith(), { ...to('https', 'localhost', listening.port), clientCertificate });
  assert.equal(error.code, 'UPSTREAM_TLS');
  assert.match(error.message, /: the client certificate cannot be used$/);
  await becomesTrue(() => listening.open.size === 0);
});

test('a name that does not exist is UPSTREAM_DNS', async () => {
  const { error, details } = await fail(connectorWith(), to('https', 'api.foo.example', 443));
  assert.equal(error.code, 'UPSTREAM_DNS');
  assert.equal(error.message, 'cannot resolve the upstream host: api.foo.example: no such host');
  assert.ok(error.cause instanceof Error);
  assert.equal(details.address, '');
});

test('a name server that does not answer is told apart from a name that does not exist', async () => {
  const failing = async () => {
    throw Object.assign(new Error('getaddrinfo EAI_AGAIN'), { code: 'EAI_AGAIN' });
  };
  const { error } = await fail(connectorWith({ lookup: failing }), to('https', 'api.foo.example', 443));
  assert.equal(error.code, 'UPSTREAM_DNS');
  assert.match(error.message, /api\.foo\.example: the name server does not answer \(EAI_AGAIN\)$/);
});

test('a refused connection is UPSTREAM_CONNECT and names the address', async () => {
  const port = await freePort();
  const { error, details } = await fail(connectorWith(), to('http', '127.0.0.1', port));
  assert.equal(error.code, 'UPSTREAM_CONNECT');
  assert.equal(error.message, `cannot connect to the upstream: 127.0.0.1:${port}: connection refused`);
  assert.equal((error.cause as NodeJS.ErrnoException).code, 'ECONNREFUSED');
  assert.equal(details.address, `127.0.0.1:${port}`);
});

test('when all addresses of a name refuse all are named', async () => {
  const port = await freePort();
  const { error, details } = await fail(connectorWith(), to('http', 'two.example', port));
  assert.equal(error.code, 'UPSTREAM_CONNECT');
  assert.match(error.message, /127\.0\.0\.2:\d+: connection refused, 127\.0\.0\.1:\d+: connection refused$/);
  assert.ok(error.cause instanceof AggregateError);
  assert.equal(details.address, `127.0.0.2:${port}, 127.0.0.1:${port}`);
});

const never: Lookup = () => new Promise(() => {});

describe('the connect timeout is 504 and says where the time went', () => {
  test('while resolving', async () => {
    const options = { ...to('https', 'api.x', 443), timeoutMs: 30 };
    const { error, details } = await fail(connectorWith({ lookup: never }), options);
    assert.equal(error.code, 'UPSTREAM_CONNECT_TIMEOUT');
    assert.equal(error.status, 504);
    assert.equal(error.message, 'connecting to the upstream timed out: api.x:443 after 30 ms (while resolving)');
    assert.ok(details.connectMs >= 29);
  });

  test('while connecting', async () => {
    await using hole = await openBlackHole('127.0.0.1');
    const options = { ...to('https', '127.0.0.1', hole.port), timeoutMs: 30 };
    const { error, details } = await fail(connectorWith(), options);
    assert.equal(error.code, 'UPSTREAM_CONNECT_TIMEOUT');
    assert.match(error.message, /127\.0\.0\.1:\d+ after 30 ms \(while connecting to 127\.0\.0\.1:\d+\)$/);
    assert.equal(details.address, `127.0.0.1:${hole.port}`);
  });

  test('in the TLS handshake', async () => {
    await using silent = await listen(createServer((socket) => socket.resume()));
    const options = { ...to('https', 'localhost', silent.port), timeoutMs: 60 };
    const { error } = await fail(connectorWith(), options);
    assert.equal(error.code, 'UPSTREAM_CONNECT_TIMEOUT');
    assert.match(error.message, /localhost:\d+ after 60 ms \(in the TLS handshake with 127\.0\.0\.1:\d+\)$/);
    await becomesTrue(() => silent.open.size === 0);
  });
});

describe('a cancelled attempt never reports and leaves nothing open', () => {
  async function cancelAfter(connector: Connector, options: ConnectOptions, condition: () => boolean): Promise<void> {
    const cancel = connector.connect(options, () => assert.fail('reported after cancel'));
    await becomesTrue(condition);
    cancel();
    cancel();
  }

  test('while resolving', async () => {
    const { promise, resolve } = Promise.withResolvers<{ address: string; family: number }[]>();
    await using server = await listen(createServer());
    const connector = connectorWith({ lookup: () => promise });
    await cancelAfter(connector, to('http', 'slow.example', server.port), () => true);
    resolve([{ address: '127.0.0.1', family: 4 }]);
    await sleep(20);
    assert.equal(server.open.size, 0);
  });

  test('while connecting', async () => {
    await using hole = await openBlackHole('127.0.0.1');
    const sockets = openSockets();
    await cancelAfter(connectorWith(), to('http', '127.0.0.1', hole.port), () => openSockets() > sockets);
    await becomesTrue(() => openSockets() === sockets);
  });

  test('in the TLS handshake', async () => {
    await using silent = await listen(createServer((socket) => socket.resume()));
    await cancelAfter(connectorWith(), to('https', 'localhost', silent.port), () => silent.open.size === 1);
    await becomesTrue(() => silent.open.size === 0);
  });

  test('and after the hand-over it leaves the socket to its owner', async () => {
    await using server = await listen(createServer());
    const { promise, resolve } = Promise.withResolvers<Socket | null>();
    const cancel = connectorWith().connect(to('http', '127.0.0.1', server.port), (_, socket) => resolve(socket));
    const socket = await promise;
    cancel();
    assert.equal(socket?.destroyed, false);
    socket?.destroy();
  });
});

test('settings that cannot be read are refused with their name', () => {
  assert.throws(() => connectorWith({ connectTo: { 'api.openai.com:443': '8443' } }), /weir\.connect_to/);
  assert.throws(() => connectorWith({ trustedCa: 'no certificate' }), /apisix\.ssl\.ssl_trusted_certificate/);
});

function assertUntouched(socket: Socket): void {
  const events = ['connect', 'secureConnect', 'data', 'readable', 'error', 'timeout'];
  assert.deepEqual(
    events.filter((event) => socket.listenerCount(event) > 0),
    [],
  );
  assert.equal(socket.readableFlowing, null);
}

function openSockets(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
}
