import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectPlain, createServer, type AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { EchoHandler, type SeenRequest } from './support/echo-server.ts';
import { eventually } from './support/gateway.ts';
import { gatewayCertificates, serverCertificate, type CertificateFixture } from './support/tls-fixtures.ts';
import { TlsServer } from './support/tls-server.ts';

const { a, aRenewed, aRsa, b, wildcard, old } = gatewayCertificates;

function ssl(names: string | string[], { cert, key }: CertificateFixture, more: object = {}): object {
  return {
    ...(Array.isArray(names) ? { snis: names } : { sni: names }),
    cert,
    key,
    status: 1,
    type: 'server',
    ...more,
  };
}

const manyNames = {
  a: ssl('a.example', a),
  b: ssl(['B.example', 'exact.wild.example'], b),
  wild: ssl('*.wild.example', wildcard),
  off: ssl('off.example', b, { status: 0 }),
  client: { cert: b.cert, key: b.key, type: 'client', sni: 'client.example', status: 1 },
};

interface NameRow {
  readonly what: string;
  /** '' for none. */
  readonly name: string;
  readonly fallback?: string;
  /** The common name of the certificate that is shown; null: the handshake is refused. */
  readonly shown: string | null;
}

const nameRows: readonly NameRow[] = [
  { what: 'an exact name', name: 'a.example', shown: 'a' },
  { what: 'a name in other case', name: 'A.eXample', shown: 'a' },
  { what: 'a name that is configured in other case', name: 'b.example', shown: 'b' },
  { what: 'a name under a wildcard', name: 'x.wild.example', shown: 'wildcard' },
  { what: 'an exact name before a wildcard', name: 'exact.wild.example', shown: 'b' },
  { what: 'a wildcard for one label only', name: 'x.y.wild.example', shown: null },
  { what: 'the bare domain of a wildcard', name: 'wild.example', shown: null },
  { what: 'an unknown name', name: 'unknown.example', shown: null },
  { what: 'the name of a certificate that is switched off', name: 'off.example', shown: null },
  { what: 'the name of a certificate for upstreams', name: 'client.example', shown: null },
  { what: 'no name', name: '', shown: null },
  { what: 'no name, with a fallback', name: '', fallback: 'a.example', shown: 'a' },
  { what: 'no name, with a fallback that no certificate has', name: '', fallback: 'x.example', shown: null },
  {
    what: 'an unknown name, for which the fallback is not meant',
    name: 'no.example',
    fallback: 'a.example',
    shown: null,
  },
];

for (const { what, name, fallback, shown } of nameRows) {
  test(`${what} ${shown === null ? 'is refused with the alert unrecognized_name' : `gets ${shown}`}`, async () => {
    await using server = await TlsServer.start(new EchoHandler(), {
      ssls: manyNames,
      ...(fallback !== undefined && { fallbackName: fallback }),
    });
    // By the address Node sends no name; whether the certificate fits is not the question here.
    const asked = server.connect(name, { checkServerIdentity: () => undefined });
    if (shown === null) {
      await assert.rejects(asked, { code: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME' });
      assert.match(server.logged.join('\n'), /warn: a TLS client .*refused/);
    } else {
      assert.equal((await asked).getPeerCertificate().subject.CN, shown);
    }
  });
}

test('a request over TLS is served like any other, several on one connection', async () => {
  const handler = new EchoHandler();
  await using server = await TlsServer.start(handler, { ssls: manyNames });
  const socket = await server.connect('a.example');
  const big = Buffer.alloc(300_000, 'x');
  for (const body of [Buffer.from('small'), big]) {
    const seen = await request(socket, body);
    assert.deepEqual([seen.method, seen.host, seen.body.length], ['POST', 'a.example', body.length]);
  }
  socket.destroy();
});

test('the ClientHello may come byte by byte', async () => {
  await using server = await TlsServer.start(new EchoHandler(), { ssls: manyNames });
  await using relay = await startRelay(server.port, { answers: true });
  const socket = await server.connect('a.example', { port: relay.port });
  assert.equal((await request(socket, Buffer.from('hello'))).body, 'hello');
  socket.destroy();
});

test('a client gets the certificate of the type of key that it understands', async () => {
  const both = ssl('a.example', a, { certs: [aRsa.cert], keys: [aRsa.key] });
  await using server = await TlsServer.start(new EchoHandler(), { ssls: { both } });
  const rows: [ConnectionOptions, string][] = [
    [{ sigalgs: 'ECDSA+SHA256' }, 'a'],
    [{ sigalgs: 'RSA-PSS+SHA256' }, 'a-rsa'],
    [{ maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' }, 'a-rsa'],
  ];
  for (const [options, shown] of rows) {
    assert.equal((await server.connect('a.example', options)).getPeerCertificate().subject.CN, shown);
  }
});

test('the versions of TLS are those of the gateway, or of the certificate', async () => {
  const ssls = { a: ssl('a.example', a), b: ssl('b.example', b, { ssl_protocols: ['TLSv1.2'] }) };
  await using server = await TlsServer.start(new EchoHandler(), { ssls, tls: { versions: ['TLSv1.3'] } });
  assert.equal((await server.connect('a.example')).getProtocol(), 'TLSv1.3');
  assert.equal((await server.connect('b.example')).getProtocol(), 'TLSv1.2');
  await assert.rejects(server.connect('a.example', { maxVersion: 'TLSv1.2' }), /alert protocol version/);
  await assert.rejects(server.connect('b.example', { minVersion: 'TLSv1.3' }), /alert protocol version/);
  const failure = 'info: a TLS handshake failed {"ssl_id":"a","reason":"unsupported protocol"}';
  await eventually(() => server.logged.includes(failure));
});

test('a configured cipher is the only one of TLS 1.2, while TLS 1.3 keeps its own', async () => {
  const ciphers = 'ECDHE-ECDSA-CHACHA20-POLY1305';
  await using server = await TlsServer.start(new EchoHandler(), { ssls: manyNames, tls: { ciphers } });
  assert.equal((await server.connect('a.example', { maxVersion: 'TLSv1.2' })).getCipher().name, ciphers);
  assert.equal((await server.connect('a.example')).getProtocol(), 'TLSv1.3');
  const other = { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' } as const;
  await assert.rejects(server.connect('a.example', other), /handshake failure/);
});

test('plain HTTP on the port of HTTPS is told so', async () => {
  await using server = await TlsServer.start(new EchoHandler(), { ssls: manyNames });
  const answer = await exchangePlain(server.port, Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n'));
  assert.match(answer.toString(), /^HTTP\/1\.1 400 .*The plain HTTP request was sent to HTTPS port\n$/s);
});

test('bytes that are neither are answered with an alert', async () => {
  await using server = await TlsServer.start(new EchoHandler(), { ssls: manyNames });
  for (const bytes of [
    Buffer.from([0, 1, 2]),
    Buffer.from([22, 9, 9, 0, 1, 1]),
    Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0]),
  ]) {
    assert.deepEqual([...(await exchangePlain(server.port, bytes))], [21, 3, 3, 0, 2, 2, 50]);
  }
});

test('a handshake that takes too long is cut, wherever it stands', async () => {
  await using server = await TlsServer.start(new EchoHandler(), { ssls: manyNames, timeouts: { headMs: 100 } });
  const silent = connectPlain(server.port, '127.0.0.1');
  await once(silent, 'close');
  // The hello arrives, but the client never hears what the server says to it.
  await using relay = await startRelay(server.port, { answers: false });
  await assert.rejects(server.connect('a.example', { port: relay.port }), /disconnected before secure TLS connection/);
});

test('a changed certificate is shown from the next handshake on; open connections go on', async () => {
  await using server = await TlsServer.start(new EchoHandler(), { ssls: { 1: ssl('a.example', a) } });
  const before = await server.connect('a.example');
  server.change({ 1: ssl('a.example', aRenewed), 2: ssl('b.example', b) });
  assert.equal((await server.connect('a.example')).getPeerCertificate().subject.CN, 'a-renewed');
  assert.equal((await server.connect('b.example')).getPeerCertificate().subject.CN, 'b');
  server.change({ 2: ssl('b.example', b) });
  await assert.rejects(server.connect('a.example'), { code: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME' });
  assert.equal((await request(before, Buffer.from('still here'))).body, 'still here');
  before.destroy();
});

test('no handshake fails while certificates are rotated', async () => {
  await using server = await TlsServer.start(new EchoHandler(), { ssls: { 1: ssl('a.example', a) } });
  const shown = new Set<string>();
  let rotations = 0;
  const client = async (): Promise<void> => {
    for (let i = 0; i < 15; i++) {
      const socket = await server.connect('a.example');
      shown.add(String(socket.getPeerCertificate().subject.CN));
      assert.equal((await request(socket, Buffer.from('x'))).body, 'x');
      socket.destroy();
      server.change({ 1: ssl('a.example', ++rotations % 2 === 0 ? a : aRenewed) });
    }
  };
  await Promise.all(Array.from({ length: 8 }, client));
  assert.deepEqual([...shown].toSorted(), ['a', 'a-renewed']);
});

test('a certificate that cannot be used is named in the log and takes no other down', async () => {
  const ssls = {
    broken: ssl('x.example', { ...a, cert: '-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----' }),
    mismatched: ssl('y.example', { ...a, key: serverCertificate.key }),
    a: ssl('a.example', a),
  };
  await using server = await TlsServer.start(new EchoHandler(), { ssls });
  assert.match(server.logged.join('\n'), /error: a certificate cannot be used and is left out \{"ssl_id":"broken"/);
  for (const name of ['x.example', 'y.example', 'y.example']) {
    await assert.rejects(server.connect(name), { code: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME' });
  }
  assert.equal(server.logged.filter((line) => line.includes('"ssl_id":"mismatched"')).length, 1);
  assert.ok(!server.logged.join('').includes(serverCertificate.key.slice(40, 80)));
  assert.equal((await server.connect('a.example')).getPeerCertificate().subject.CN, 'a');
});

test('an expired certificate is served with a warning that names it', async () => {
  await using server = await TlsServer.start(new EchoHandler(), { ssls: { past: ssl('old.example', old) } });
  assert.match(server.logged.join('\n'), /warn: a certificate has expired.*"ssl_id":"past","names":"old.example"/);
  await assert.rejects(server.connect('old.example'), { code: 'CERT_HAS_EXPIRED' });
  const socket = await server.connect('old.example', { rejectUnauthorized: false });
  assert.equal(socket.getPeerCertificate().subject.CN, 'old');
});

test('a certificate that is a reference is warned of as well, once it has been read', async () => {
  const ssls = { past: ssl('old.example', { ...old, cert: '$env://CERT' }) };
  await using server = await TlsServer.start(new EchoHandler(), { ssls, environment: { CERT: old.cert } });
  const warnings = (): number =>
    server.logged.filter((line) => line.startsWith('warn: a certificate has expired')).length;
  assert.equal(warnings(), 0);
  await server.connect('old.example', { rejectUnauthorized: false });
  assert.equal(warnings(), 1);
  server.checkDates();
  assert.equal(warnings(), 2);
});

test('certificates without a listener are warned of, once', async () => {
  await using server = await TlsServer.start(new EchoHandler(), { ssls: {}, isServed: false });
  assert.deepEqual(server.logged, []);
  for (const name of ['a.example', 'x.example'])
    server.change({ 1: ssl(name, a), 2: ssl('off.example', a, { status: 0 }) });
  assert.match(server.logged.join('\n'), /^warn: there are ssls, but no listener for HTTPS: [^\n]+$/);
});

test('refused clients cannot fill the log', async () => {
  await using server = await TlsServer.start(new EchoHandler(), { ssls: manyNames });
  for (let i = 0; i < 5; i++) await assert.rejects(server.connect(`unknown-${i}.example`));
  assert.equal(server.logged.filter((line) => line.includes('is refused')).length, 1);
});

test('certificate and key may be references to secrets', async () => {
  const ssls = {
    1: ssl('a.example', { ...a, cert: '$env://CERT', key: '$env://KEYS/a' }),
    2: ssl('b.example', { ...b, key: '$env://ABSENT' }),
  };
  const environment = { CERT: a.cert, KEYS: JSON.stringify({ a: a.key }) };
  await using server = await TlsServer.start(new EchoHandler(), { ssls, environment });
  assert.equal((await server.connect('a.example')).getPeerCertificate().subject.CN, 'a');
  await assert.rejects(server.connect('b.example'), { code: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME' });
  assert.match(server.logged.join('\n'), /"ssl_id":"2","reason":"key: the environment variable is not set"/);
});

test('sessions are resumed by every worker when tickets are on, and never otherwise or for names that ask clients', async () => {
  const ticketKeys = new Uint8Array(48).fill(7);
  const client = { ca: gatewayCertificates.a.cert, depth: 1 };
  const ssls = { a: ssl('a.example', a), b: ssl('b.example', b, { client }) };
  await using on = await TlsServer.start(new EchoHandler(), { ssls, tls: { ticketKeys } });
  await using onToo = await TlsServer.start(new EchoHandler(), { ssls, tls: { ticketKeys } });
  await using off = await TlsServer.start(new EchoHandler(), { ssls });
  assert.equal(await resumes(on, onToo, 'a.example'), true);
  assert.equal(await resumes(off, off, 'a.example'), false);
  assert.equal(await resumes(on, on, 'b.example'), false);
});

test('a session of one name does not open another', async () => {
  const ssls = { a: ssl('a.example', a), a2: ssl('localhost', a) };
  await using server = await TlsServer.start(new EchoHandler(), { ssls, tls: { ticketKeys: new Uint8Array(48) } });
  assert.equal(await resumes(server, server, 'a.example', 'localhost'), false);
});

test('a drain waits for requests, not for handshakes', async () => {
  await using server = await TlsServer.start(new EchoHandler(), { ssls: manyNames });
  const half = connectPlain(server.port, '127.0.0.1');
  await once(half, 'connect');
  half.write(Buffer.from([22, 3]));
  const idle = await server.connect('a.example');
  await Promise.all([server.listener.drain(), once(half, 'close'), once(idle, 'close')]);
});

/** Sends a request and reads its echo; the connection stays open. */
async function request(socket: TLSSocket, body: Buffer): Promise<SeenRequest> {
  socket.write(`POST /x HTTP/1.1\r\nHost: a.example\r\nContent-Length: ${body.length}\r\n\r\n`);
  socket.write(body);
  const pieces: Buffer[] = [];
  for (;;) {
    const [piece] = (await once(socket, 'data')) as [Buffer];
    pieces.push(piece);
    const text = Buffer.concat(pieces).toString('latin1');
    const headEnd = text.indexOf('\r\n\r\n') + 4;
    const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? Infinity);
    if (text.length >= headEnd + length) return JSON.parse(text.slice(headEnd)) as SeenRequest;
  }
}

async function exchangePlain(port: number, bytes: Buffer): Promise<Buffer> {
  const socket = connectPlain(port, '127.0.0.1');
  socket.write(bytes);
  const pieces: Buffer[] = [];
  socket.on('data', (piece: Buffer) => pieces.push(piece));
  await once(socket, 'end');
  socket.destroy();
  return Buffer.concat(pieces);
}

/** Whether a session that one server gave is resumed by the other. */
async function resumes(first: TlsServer, second: TlsServer, name: string, secondName = name): Promise<boolean> {
  const socket = await first.connect(name, { checkServerIdentity: () => undefined });
  let session: Buffer | undefined;
  socket.on('session', (given) => (session = given));
  // What comes before the answer has been read by then.
  await request(socket, Buffer.from('x'));
  socket.destroy();
  const again = await second.connect(secondName, { ...(session !== undefined && { session }) });
  const reused = again.isSessionReused();
  again.destroy();
  return reused;
}

/** Forwards to a port: what a client sends leaves byte by byte, and answers come back or not. */
async function startRelay(
  port: number,
  { answers }: { answers: boolean },
): Promise<AsyncDisposable & { port: number }> {
  const server = createServer((client) => {
    const upstream = connectPlain(port, '127.0.0.1').setNoDelay(true);
    client.on('data', (bytes: Buffer) => {
      for (const byte of bytes) upstream.write(Buffer.from([byte]));
    });
    upstream.on('data', (bytes: Buffer) => answers && client.write(bytes));
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      one.on('error', () => {});
      one.on('close', () => other.destroy());
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, 'close');
    },
  };
}
