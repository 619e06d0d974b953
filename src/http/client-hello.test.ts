import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { before, test } from 'node:test';
import { connect } from 'node:tls';
import { readFirstBytes } from './client-hello.ts';

let hello: Buffer;

before(async () => {
  hello = await captureHello('api.Example.com');
});

test('the server name of a real client is found, in lower case', () => {
  assert.deepEqual(readFirstBytes(hello), { kind: 'hello', serverName: 'api.example.com' });
});

test('a client that names no server is known as one', async () => {
  assert.deepEqual(readFirstBytes(await captureHello('')), { kind: 'hello', serverName: null });
});

test('every beginning of a hello is incomplete', () => {
  for (let length = 0; length < hello.length; length++) {
    assert.equal(readFirstBytes(hello.subarray(0, length)).kind, 'incomplete', `${length} bytes`);
  }
});

test('a hello may be split over records anywhere, and bytes may follow it', () => {
  const message = hello.subarray(5);
  for (const at of [1, 3, 4, 5, 40, message.length - 1]) {
    const split = Buffer.concat([toRecord(message.subarray(0, at)), toRecord(message.subarray(at))]);
    assert.deepEqual(readFirstBytes(split), { kind: 'hello', serverName: 'api.example.com' }, `split at ${at}`);
  }
  const followed = Buffer.concat([hello, toRecord(Buffer.from('early data'))]);
  assert.deepEqual(readFirstBytes(followed), { kind: 'hello', serverName: 'api.example.com' });
});

test('any byte may be wrong without an exception', () => {
  for (let at = 0; at < hello.length; at++) {
    for (const value of [0, 1, 0x7f, 0xff]) {
      const changed = Buffer.from(hello);
      changed[at] = value;
      assert.match(readFirstBytes(changed).kind, /^(incomplete|hello|plain-http|malformed)$/);
    }
  }
});

const refusedRows: readonly (readonly [what: string, bytes: Buffer])[] = [
  ['another handshake message', toRecord(Buffer.from([2, 0, 0, 1, 0]))],
  ['a message larger than any hello', toRecord(Buffer.from([1, 0xff, 0xff, 0xff]))],
  ['an empty record', Buffer.from([22, 3, 1, 0, 0])],
  [
    'another record behind the first part',
    Buffer.concat([toRecord(Buffer.from([1, 0, 1])), Buffer.from([23, 3, 3, 0, 1])]),
  ],
  ['a hello that is too short for its fields', toRecord(Buffer.from([1, 0, 0, 3, 3, 3, 0]))],
  [
    'a hello in more records than any client makes',
    Buffer.concat(Array.from(Buffer.from([1, 0, 1, 0, ...Buffer.alloc(100)]), (byte) => toRecord(Buffer.from([byte])))),
  ],
  ['SSL 2', Buffer.from([0x80, 0x2e, 1, 3, 1])],
];

for (const [what, bytes] of refusedRows) {
  test(`${what} is malformed`, () => assert.deepEqual(readFirstBytes(bytes), { kind: 'malformed' }));
}

test('a name with characters that no name has is malformed', () => {
  const changed = Buffer.from(hello);
  changed.write('\r', hello.indexOf('Example'), 'latin1');
  assert.deepEqual(readFirstBytes(changed), { kind: 'malformed' });
});

test('HTTP without TLS is told apart', () => {
  for (const text of ['GET / HTTP/1.1\r\n', 'P', 'PRI * HTTP/2.0\r\n']) {
    assert.deepEqual(readFirstBytes(Buffer.from(text)), { kind: 'plain-http' });
  }
});

function toRecord(message: Buffer): Buffer {
  return Buffer.concat([Buffer.from([22, 3, 1, message.length >> 8, message.length & 0xff]), message]);
}

/** What Node's own client sends first. */
async function captureHello(servername: string): Promise<Buffer> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port, servername });
  client.on('error', () => {});
  const [socket] = (await once(server, 'connection')) as [Socket];
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return bytes;
}
