import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { EchoHandler, startServer, type TestServer } from './support/echo-server.ts';
import { connectRaw, exchangeRaw } from './support/raw-client.ts';

// What an attacker wants to have taken for a request of its own. It stands behind every row.
const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n';

interface Attack {
  readonly name: string;
  /** One character a byte. */
  readonly bytes: string;
  readonly status: number;
}

/** A request with one field more. */
function field(line: string, rest = ''): string {
  return `POST / HTTP/1.1\r\nHost: h\r\n${line}\r\n\r\n${rest}`;
}

function chunked(body: string): string {
  return field('Transfer-Encoding: chunked', body);
}

function row(name: string, bytes: string, status = 400): Attack {
  return { name, bytes, status };
}

const framing: readonly Attack[] = [
  row('Content-Length before Transfer-Encoding', field('Content-Length: 5\r\nTransfer-Encoding: chunked', '0\r\n\r\n')),
  row('Transfer-Encoding before Content-Length', field('Transfer-Encoding: chunked\r\nContent-Length: 5', '0\r\n\r\n')),
  row('Transfer-Encoding and Content-Length: 0', field('Transfer-Encoding: chunked\r\nContent-Length: 0', '0\r\n\r\n')),
  row('Content-Length and an empty Transfer-Encoding', field('Content-Length: 5\r\nTransfer-Encoding: ', 'hello')),
  row('two different Content-Length fields', field('Content-Length: 5\r\nContent-Length: 6', 'hello!')),
  row('two equal Content-Length fields', field('Content-Length: 5\r\nContent-Length: 5', 'hello')),
  row('Content-Length in two spellings', field('Content-Length: 5\r\ncontent-length: 0', 'hello')),
  row('a list as Content-Length', field('Content-Length: 5, 5', 'hello')),
  row('a list of two lengths', field('Content-Length: 5,6', 'hello')),
  ...[
    ['a plus sign', '+5'],
    ['a minus sign', '-5'],
    ['minus zero', '-0'],
    ['hexadecimal', '0x5'],
    ['octal with a letter', '0o5'],
    ['an exponent', '5e0'],
    ['a fraction', '5.0'],
    ['a separator', '1_0'],
    ['a space inside', '1 0'],
    ['a word', 'five'],
    ['nothing', ''],
    ['only white space', ' \t'],
    ['a quoted number', '"5"'],
    ['a semicolon', '5;'],
    ['a trailing comma', '5,'],
    ['a non-breaking space', '5\xa0'],
    ['full-width digits in UTF-8', '\xef\xbc\x95'],
    ['2^63', '9223372036854775808'],
    ['2^64 + 5', '18446744073709551621'],
    ['2^53 + 1', '9007199254740993'],
    ['forty digits', '1'.repeat(40)],
  ].map(([name, value]) => row(`Content-Length with ${name}`, field(`Content-Length: ${value}`, 'hello'))),

  row('space before the colon of Transfer-Encoding', field('Transfer-Encoding : chunked', '0\r\n\r\n')),
  row('tab before the colon of Transfer-Encoding', field('Transfer-Encoding\t: chunked', '0\r\n\r\n')),
  row('vertical tab before chunked', field('Transfer-Encoding: \x0bchunked', '0\r\n\r\n')),
  row('vertical tab behind chunked', field('Transfer-Encoding: chunked\x0b', '0\r\n\r\n')),
  row('form feed before chunked', field('Transfer-Encoding: \x0cchunked', '0\r\n\r\n')),
  row('NUL behind chunked', field('Transfer-Encoding: chunked\0', '0\r\n\r\n')),
  row('DEL behind chunked', field('Transfer-Encoding: chunked\x7f', '0\r\n\r\n')),
  row('chunked twice, in two fields', field('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked', '0\r\n\r\n')),
  row(
    'chunked and identity, in two fields',
    field('Transfer-Encoding: chunked\r\nTransfer-Encoding: identity', '0\r\n\r\n'),
  ),
  row(
    'identity and chunked, in two fields',
    field('Transfer-Encoding: identity\r\nTransfer-Encoding: chunked', '0\r\n\r\n'),
  ),
  row('chunked and x, spelled differently', field('Transfer-Encoding: chunked\r\ntransfer-encoding: x', '0\r\n\r\n')),
  row('Transfer-Encoding on a folded line', field('Transfer-Encoding:\r\n chunked', '0\r\n\r\n')),
  row('Transfer-Encoding folded with a tab', field('X: a\r\n\tTransfer-Encoding: chunked', '0\r\n\r\n')),
  row('Transfer-Encoding behind a bare LF', field('X: a\nTransfer-Encoding: chunked', '0\r\n\r\n')),
  row('Transfer-Encoding behind a bare CR', field('X: a\rTransfer-Encoding: chunked', '0\r\n\r\n')),
  row('a space before Transfer-Encoding', field(' Transfer-Encoding: chunked', '0\r\n\r\n')),
  row('Transfer-Encoding without a colon', field('Transfer-Encoding chunked', '0\r\n\r\n')),
  row('a byte above ASCII in the name', field('Transfer\xadEncoding: chunked', '0\r\n\r\n')),
  row('NUL in the name', field('Transfer-\0Encoding: chunked', '0\r\n\r\n')),
  row('Transfer-Encoding with nothing', field('Transfer-Encoding: ', '0\r\n\r\n')),
  row('Transfer-Encoding in HTTP/1.0', 'POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
  ...[
    'xchunked',
    'chunkedx',
    'chunke',
    'chunked, identity',
    'identity, chunked',
    'gzip, chunked',
    'chunked, chunked',
    'identity',
    'gzip',
    'chunked,',
    ',chunked',
    '"chunked"',
    "'chunked'",
    'chunked;q=1',
    'x chunked',
    'chunked chunked',
    '\xffchunked',
  ].map((value) =>
    row(`Transfer-Encoding: ${JSON.stringify(value)}`, field(`Transfer-Encoding: ${value}`, '0\r\n\r\n'), 501),
  ),
];

const chunks: readonly Attack[] = [
  row('chunk size with 0x', chunked('0x3\r\nabc\r\n0\r\n\r\n')),
  row('chunk size with a space before', chunked(' 3\r\nabc\r\n0\r\n\r\n')),
  row('chunk size with a space behind', chunked('3 \r\nabc\r\n0\r\n\r\n')),
  row('chunk size with a tab behind', chunked('3\t\r\nabc\r\n0\r\n\r\n')),
  row('chunk size with a minus sign', chunked('-1\r\nabc\r\n0\r\n\r\n')),
  row('chunk size with a plus sign', chunked('+3\r\nabc\r\n0\r\n\r\n')),
  row('chunk size with an underscore', chunked('0_3\r\nabc\r\n0\r\n\r\n')),
  row('no chunk size', chunked('\r\nabc\r\n0\r\n\r\n')),
  row('no chunk size but an extension', chunked(';a\r\nabc\r\n0\r\n\r\n')),
  row('chunk size that is no number', chunked('g\r\nabc\r\n0\r\n\r\n')),
  row('chunk size of 2^64 + 3', chunked('10000000000000003\r\nabc\r\n0\r\n\r\n')),
  row('chunk size of 2^32 + 3 in 14 digits', chunked('00000100000003\r\nabc\r\n0\r\n\r\n')),
  row('chunk size of all f', chunked('ffffffffffffffff\r\nabc\r\n0\r\n\r\n')),
  row('chunk size of endless zeros', chunked(`${'0'.repeat(100)}3\r\nabc\r\n0\r\n\r\n`)),
  row('chunk size behind a bare LF', chunked('3\nabc\r\n0\r\n\r\n')),
  row('chunk size behind a bare CR', chunked('3\rabc\r\n0\r\n\r\n')),
  row('chunk size behind CR CR LF', chunked('3\r\r\nabc\r\n0\r\n\r\n')),
  row('chunk data without its CRLF', chunked('3\r\nabc0\r\n\r\n')),
  row('chunk data followed by a bare LF', chunked('3\r\nabc\n0\r\n\r\n')),
  row('chunk data followed by a bare CR', chunked('3\r\nabc\r0\r\n\r\n')),
  row('chunk data longer than its size', chunked('3\r\nabcd\r\n0\r\n\r\n')),
  row('chunk data shorter than its size', chunked('4\r\nabc\r\n0\r\n\r\n')),
  row('chunk extension with a bare LF', chunked('3;a\nabc\r\n0\r\n\r\n')),
  row('chunk extension with a bare CR', chunked('3;a\rb\r\nabc\r\n0\r\n\r\n')),
  row('chunk extension with NUL', chunked('3;a\0\r\nabc\r\n0\r\n\r\n')),
  row('chunk extension with a space', chunked('3; a\r\nabc\r\n0\r\n\r\n')),
  row('chunk extension without a name', chunked('3;\r\nabc\r\n0\r\n\r\n')),
  row('chunk extension without a value', chunked('3;a=\r\nabc\r\n0\r\n\r\n')),
  row('chunk extension with an open quote', chunked('3;a="b\r\nabc\r\n0\r\n\r\n')),
  row('chunk extension with CRLF in quotes', chunked('3;a="\r\nabc"\r\n0\r\n\r\n')),
  row('chunk extension with a byte above ASCII', chunked('3;\xe9\r\nabc\r\n0\r\n\r\n')),
  row('last chunk with a bare LF', chunked('0\n\r\n')),
  row('last chunk that ends with a bare LF', chunked('0\r\n\n')),
  row('last chunk that ends with CR CR', chunked('0\r\n\r\r\n\r\n')),
  row('trailer with a bare LF', chunked('0\r\nX: a\n\r\n')),
  row('trailer with a bare CR', chunked('0\r\nX: a\rY: b\r\n\r\n')),
  row('trailer that is folded', chunked('0\r\nX: a\r\n b\r\n\r\n')),
  row('trailer with a space before the colon', chunked('0\r\nX : a\r\n\r\n')),
  row('trailer without a colon', chunked(`0\r\nGET / HTTP/1.1\r\n\r\n`)),
  row('Content-Length as a trailer', chunked('0\r\nContent-Length: 5\r\n\r\n')),
  row('Transfer-Encoding as a trailer', chunked('0\r\nTransfer-Encoding: chunked\r\n\r\n')),
  row('Connection as a trailer', chunked('0\r\nConnection: close\r\n\r\n')),
  row('trailer with NUL', chunked('0\r\nX: \0\r\n\r\n')),
];

const heads: readonly Attack[] = [
  row('bare LF as every line end', 'GET / HTTP/1.1\nHost: h\n\n'),
  row('bare LF behind the request line', 'GET / HTTP/1.1\nHost: h\r\n\r\n'),
  row('bare LF behind a field', 'GET / HTTP/1.1\r\nHost: h\nX: a\r\n\r\n'),
  row('bare LF as the blank line', 'GET / HTTP/1.1\r\nHost: h\r\n\n'),
  row('bare CR as the blank line', 'GET / HTTP/1.1\r\nHost: h\r\n\rX: a\r\n\r\n'),
  row('CR CR LF behind a field', 'GET / HTTP/1.1\r\nHost: h\r\r\n\r\n'),
  row('bare CR before the request line', '\rGET / HTTP/1.1\r\nHost: h\r\n\r\n'),
  row('bare LF before the request line', '\nGET / HTTP/1.1\r\nHost: h\r\n\r\n'),
  row('space before the request line', ' GET / HTTP/1.1\r\nHost: h\r\n\r\n'),
  row('folded field', 'GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n'),
  row('folded first line', 'GET / HTTP/1.1\r\n Host: h\r\n\r\n'),
  row('line of a space only', 'GET / HTTP/1.1\r\nHost: h\r\n \r\n\r\n'),
  row('empty field name', 'GET / HTTP/1.1\r\nHost: h\r\n: a\r\n\r\n'),
  row('field without a colon', 'GET / HTTP/1.1\r\nHost: h\r\nX\r\n\r\n'),
  ...['\0', '\x01', '\x08', '\x0b', '\x0c', '\x1b', '\x7f'].flatMap((control) => [
    row(`${JSON.stringify(control)} in a value`, `GET / HTTP/1.1\r\nHost: h\r\nX: a${control}b\r\n\r\n`),
    row(`${JSON.stringify(control)} in a name`, `GET / HTTP/1.1\r\nHost: h\r\nX${control}Y: a\r\n\r\n`),
    row(`${JSON.stringify(control)} in the target`, `GET /a${control}b HTTP/1.1\r\nHost: h\r\n\r\n`),
    row(`${JSON.stringify(control)} in the method`, `G${control}T / HTTP/1.1\r\nHost: h\r\n\r\n`),
  ]),
  ...['"', '(', ')', ',', '/', ';', '<', '=', '>', '?', '@', '[', '\\', ']', '{', '}', '\x80', '\xff'].map(
    (delimiter) =>
      row(`${JSON.stringify(delimiter)} in a name`, `GET / HTTP/1.1\r\nHost: h\r\nX${delimiter}: a\r\n\r\n`),
  ),

  row('no Host', 'GET / HTTP/1.1\r\n\r\n'),
  row('two equal Hosts', 'GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n'),
  row('two Hosts in two spellings', 'GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n'),
  row('two Hosts in HTTP/1.0', 'GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n'),
  ...[
    'a b',
    'a/b',
    'a?b',
    'a#b',
    'user@a',
    'a:b',
    'a:80:80',
    '[::1',
    '::1',
    '[::1]x',
    'a\\b',
    '"a"',
    'a\xff',
    '<a>',
    'http://a',
  ].map((host) => row(`Host: ${JSON.stringify(host)}`, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)),
  row('space before the colon of Host', 'GET / HTTP/1.1\r\nHost : h\r\n\r\n'),
  row('absolute form without Host', 'GET http://a/ HTTP/1.1\r\n\r\n'),
  row('absolute form with a bad Host', 'GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n'),

  row('HTTP/0.9', 'GET /\r\n\r\n'),
  row('HTTP/0.9 with fields', 'GET /\r\nHost: h\r\n\r\n'),
  row('HTTP/1.2', 'GET / HTTP/1.2\r\nHost: h\r\n\r\n', 505),
  row('HTTP/2.0', 'GET / HTTP/2.0\r\nHost: h\r\n\r\n', 505),
  row('HTTP/0.9 by name', 'GET / HTTP/0.9\r\nHost: h\r\n\r\n', 505),
  row('the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  ...[
    'http/1.1',
    'Http/1.1',
    'HTTP/1',
    'HTTP/1.',
    'HTTP/1.10',
    'HTTP/01.1',
    'HTTP/1.1x',
    'HTTP/1,1',
    'HTTP /1.1',
    'HTTPS/1.1',
    'RTSP/1.0',
    'ICE/1.0',
    'HTTP/1.1 ',
    ' HTTP/1.1',
    '\tHTTP/1.1',
    'HTTP/+1.1',
    'HTTP/1.\xb9',
  ].map((version) => row(`version ${JSON.stringify(version)}`, `GET / ${version}\r\nHost: h\r\n\r\n`)),

  ...[
    '',
    ' ',
    '/ ',
    '//a b',
    '/a#b',
    '#',
    'a',
    '?a',
    '*',
    '/\xe9',
    '/a\tb',
    'http://',
    'http:///a',
    'http:/a',
    'ftp://a/',
    'http://u@a/',
    'http://a:x/',
    'http://[::1/',
    'http://a b/',
    'a:80',
    'javascript:1',
  ].map((target) => row(`target ${JSON.stringify(target)}`, `GET ${target} HTTP/1.1\r\nHost: h\r\n\r\n`)),
  row('CONNECT', 'CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n'),
  row('CONNECT with a path', 'CONNECT /a HTTP/1.1\r\nHost: a\r\n\r\n'),
  row('two spaces behind the method', 'GET  / HTTP/1.1\r\nHost: h\r\n\r\n'),
  row('tab behind the method', 'GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n'),
  row('method in lower case', 'get / HTTP/1.1\r\nHost: h\r\n\r\n'),
  row('method that nobody knows', 'GETX / HTTP/1.1\r\nHost: h\r\n\r\n'),
  row('method with a delimiter', 'GE(T / HTTP/1.1\r\nHost: h\r\n\r\n'),
  row('no method', ' / HTTP/1.1\r\nHost: h\r\n\r\n'),
  row('an answer instead of a request', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'),
  row('a TLS client hello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'),
  row('a PROXY protocol line', 'PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n'),
  row(
    'a chunked body behind a request without one',
    'GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
    200,
  ),
  row('an unknown expectation', field('Expect: 200-maybe\r\nContent-Length: 5', 'hello'), 417),
  row('two expectations', field('Expect: 100-continue\r\nExpect: x\r\nContent-Length: 5', 'hello'), 417),
];

describe('an ambiguous or broken request is refused and ends the connection', () => {
  const handler = new EchoHandler();
  let server: TestServer;
  before(async () => {
    server = await startServer(handler);
  });
  after(() => server[Symbol.asyncDispose]());

  for (const { name, bytes, status } of [...framing, ...chunks, ...heads]) {
    test(`${name}: ${status}`, async () => {
      handler.requests.length = 0;
      const responses = await exchangeRaw(server.port, bytes + smuggled + smuggled);
      assert.deepEqual(
        responses.map((response) => response.status),
        [status],
      );
      assert.equal(responses[0]?.fields.get('connection'), 'close');
      assert.equal(handler.requests.length, status === 200 ? 1 : 0);
      assert.ok(handler.requests.every((request) => request.target === '/'));
    });
  }
});

describe('what only looks like an attack is served, and the next request is the one that follows', () => {
  const good: readonly (readonly [string, string, string])[] = [
    ['Transfer-Encoding behind a tab', field('Transfer-Encoding:\tchunked', '0\r\n\r\n'), ''],
    [
      'a field whose name contains Transfer-Encoding',
      field('X-Transfer-Encoding: chunked\r\nContent-Length: 5', 'hello'),
      'hello',
    ],
    [
      'a field whose value looks like a field',
      field('X: Transfer-Encoding: chunked\r\nContent-Length: 5', 'hello'),
      'hello',
    ],
    ['a request inside a body', field(`Content-Length: ${smuggled.length}`, smuggled), smuggled],
    ['a request inside a chunk', chunked(`${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`), smuggled],
    ['Host in a trailer', chunked('3\r\nabc\r\n0\r\nHost: x\r\n\r\n'), 'abc'],
    ['Content-Length with white space around it', field('Content-Length: \t 5 \t', 'hello'), 'hello'],
    ['a GET with a body', field('Content-Length: 5', 'hello').replace('POST', 'GET'), 'hello'],
    ['a colon in the path and a double slash', 'GET //a:b HTTP/1.1\r\nHost: h\r\n\r\n', ''],
    ['an empty Host', 'GET / HTTP/1.1\r\nHost:\r\n\r\n', ''],
    ['an IPv6 Host with a port', 'GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n', ''],
  ];
  for (const [name, bytes, body] of good) {
    test(name, async () => {
      const handler = new EchoHandler();
      await using server = await startServer(handler);
      await using client = await connectRaw(server.port);
      client.write(`${bytes}GET /next HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`);
      assert.deepEqual(
        (await client.readToClose()).map((response) => response.status),
        [200, 200],
      );
      assert.equal(handler.requests[0]?.body, body);
      assert.equal(handler.requests[1]?.target, '/next');
    });
  }
});
