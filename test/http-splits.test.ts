import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { WeirError } from '../src/base/errors.ts';
import { createBodyDecoder, type BodyDecoder } from '../src/http/body-decoder.ts';
import { frameResponseBody } from '../src/http/body-framing.ts';
import { findHeadEnd } from '../src/http/head-boundary.ts';
import { parseResponseHead, type ResponseHead } from '../src/http/response-head.ts';
import { EchoHandler, startServer } from './support/echo-server.ts';
import { feedServer, type FeedResult } from './support/feed-server.ts';
import { connectRaw, parseResponses } from './support/raw-client.ts';

const maxBodyBytes = 40;
const end = 'GET /end HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n';

/** One character a byte. */
const requests: readonly (readonly [string, string])[] = [
  ['a GET', 'GET /a?b HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n\r\n'],
  ['three GETs', `GET /1 HTTP/1.1\r\nHost: h\r\n\r\nHEAD /2 HTTP/1.1\r\nHost: h\r\n\r\n${end}`],
  ['empty lines between requests', `\r\n\r\n\r\nGET /1 HTTP/1.1\r\nHost: h\r\n\r\n\r\n\r\n${end}`],
  ['a body by length, then a GET', `POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 8\r\n\r\na\r\n\r\n\xffbc${end}`],
  [
    'a chunked body, then a GET',
    `POST /1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n\r\n\r\r\n1;a="b;\\"";c=d\r\nx\r\n0\r\nX-T: 1\r\nY: 2\r\n\r\n${end}`,
  ],
  [
    'two chunked bodies',
    `POST /1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nPOST /2 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n`,
  ],
  ['HTTP/1.0', 'GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\nPOST /2 HTTP/1.0\r\nContent-Length: 2\r\n\r\nab'],
  [
    'a body that is expected',
    `POST /1 HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc${end}`,
  ],
  ['requests behind Connection: close', end + end],
  ['a body that is too large', `POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 41\r\n\r\n${'x'.repeat(41)}${end}`],
  [
    'chunks that are too large',
    `POST /1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1e\r\n${'x'.repeat(30)}\r\nb\r\n${'y'.repeat(11)}\r\n0\r\n\r\n${end}`,
  ],
  ['a bad second request', `GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\nX : 1\r\n\r\n${end}`],
  ['bare LF line ends', `GET / HTTP/1.1\nHost: h\n\n${end}`],
  ['bare LF in a field', `GET / HTTP/1.1\r\nHost: h\r\nX: a\nY: b\r\n\r\n${end}`],
  ['bare CR in a field', `GET / HTTP/1.1\r\nHost: h\r\nX: a\rY: b\r\n\r\n${end}`],
  ['bare CR before the blank line', `GET / HTTP/1.1\r\nHost: h\r\r\n\r\n${end}`],
  ['bare CR before a request', `GET / HTTP/1.1\r\nHost: h\r\n\r\n\r${end}`],
  ['an unknown version before a bare LF', `GET / HTTP/2.0\r\nHost: h\nX: a\r\n\r\n${end}`],
  ['an unknown version', `GET / HTTP/2.0\r\nHost: h\r\n\r\n${end}`],
  ['a bad expectation before a bare CR in the next head', `POST / HTTP/1.1\r\nHost: h\r\nExpect: x\r\n\r\n\r${end}`],
  ['a folded field', `GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n${end}`],
  [
    'both lengths',
    `POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${end}`,
  ],
  ['an unknown coding', `POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n${end}`],
  ['no Host', `GET / HTTP/1.1\r\n\r\n${end}`],
  ['101 fields', `GET / HTTP/1.1\r\nHost: h\r\n${'X:\r\n'.repeat(100)}\r\n${end}`],
  ['a bad chunk size', `POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0x0\r\n\r\n${end}`],
  [
    'chunk data without CRLF',
    `POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n${end}`,
  ],
  [
    'a bad chunk extension',
    `POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\r\nabc\r\n0\r\n\r\n${end}`,
  ],
  ['a bad trailer', `POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX : 1\r\n\r\n${end}`],
  ['a bare LF in a trailer', `POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: 1\n\r\n${end}`],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['a TLS client hello', '\x16\x03\x01\x02\x00\x01\x00'],
  ['a head that is not complete', 'GET / HTTP/1.1\r\nHost: h\r\nX'],
  ['a body that is not complete', 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabc'],
  [
    'a chunked body that is not complete',
    'POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n',
  ],
];

/** Messages at a limit: too long for every split, so only the splits near the limit are tried. */
const longRequests: readonly (readonly [string, string, number])[] = [
  ['a head of more than 32 KiB', `GET / HTTP/1.1\r\nHost: h\r\nX: ${'v'.repeat(33_000)}\r\n\r\n${end}`, 32 * 1024],
  ['a bare LF behind 32 KiB', `GET / HTTP/1.1\r\nHost: h\r\nX: ${'v'.repeat(33_000)}\n\r\n\r\n${end}`, 32 * 1024],
  [
    'a bare LF in the last byte of 32 KiB',
    `${`GET / HTTP/1.1\r\nX: ${'v'.repeat(33_000)}`.slice(0, 32 * 1024 - 1)}\n\r\n\r\n${end}`,
    32 * 1024,
  ],
  [
    'a bare CR in the last byte of 32 KiB',
    `${`GET / HTTP/1.1\r\nX: ${'v'.repeat(33_000)}`.slice(0, 32 * 1024 - 1)}\rx\r\n\r\n${end}`,
    32 * 1024,
  ],
  ['a request line of more than 16 KiB', `GET /${'p'.repeat(17_000)} HTTP/1.1\r\nHost: h\r\n\r\n${end}`, 16 * 1024],
  [
    'a request line of more than 16 KiB, then a bare LF',
    `GET /${'p'.repeat(17_000)} HTTP/1.1\r\nHost: h\n\r\n\r\n${end}`,
    16 * 1024,
  ],
  [
    'a bare LF at 16 KiB of a request line',
    `GET /${'p'.repeat(16 * 1024 - 5)}\n HTTP/1.1\r\nHost: h\r\n\r\n${end}`,
    16 * 1024,
  ],
  [
    'a bare CR early in a request line of more than 16 KiB',
    `GET /\rp${'p'.repeat(17_000)} HTTP/1.1\r\nHost: h\r\n\r\n${end}`,
    16 * 1024,
  ],
  [
    'a bare CR at 16 KiB of a request line',
    `GET /${'p'.repeat(16 * 1024 - 5)}\r HTTP/1.1\r\nHost: h\r\n\r\n${end}`,
    16 * 1024,
  ],
];

/** What must not depend on how the bytes were split. An interim answer does: it is not needed for a body that is here. */
function outcome({ requests: seen, responses, closed }: FeedResult): unknown {
  return {
    seen,
    closed,
    answers: responses
      .filter((response) => response.status !== 100)
      .map(({ status, body, fields }) => [status, status === 200 ? body.length : '', fields.get('connection')]),
  };
}

describe('a request split anywhere', () => {
  for (const [name, text] of requests) {
    test(`${name}: two pieces at every byte, and single bytes, give what one piece gives`, async () => {
      const bytes = Buffer.from(text, 'latin1');
      const whole = outcome(await feedServer([bytes], { maxBodyBytes }));
      for (let at = 1; at < bytes.length; at++) {
        const split = await feedServer([bytes.subarray(0, at), bytes.subarray(at)], { maxBodyBytes });
        assert.deepEqual(outcome(split), whole, `split at ${at}: ${JSON.stringify(text.slice(0, at))}`);
      }
      const single = await feedServer(toSingleBytes(bytes), { maxBodyBytes });
      assert.deepEqual(outcome(single), whole, 'single bytes');
    });
  }

  for (const [name, text, limit] of longRequests) {
    test(`${name}: pieces around the limit give what one piece gives`, async () => {
      const bytes = Buffer.from(text, 'latin1');
      const whole = outcome(await feedServer([bytes]));
      for (let at = limit - 8; at < limit + 8; at++) {
        const split = await feedServer([bytes.subarray(0, at), bytes.subarray(at)]);
        assert.deepEqual(outcome(split), whole, `split at ${at}`);
        const more = [bytes.subarray(0, 7), bytes.subarray(7, at), bytes.subarray(at, at + 1), bytes.subarray(at + 1)];
        assert.deepEqual(outcome(await feedServer(more)), whole, `four pieces, at ${at}`);
      }
    });
  }

  test('through a real socket as well', async () => {
    await using server = await startServer(new EchoHandler(maxBodyBytes));
    for (const [name, text] of requests.slice(0, 8)) {
      const bytes = Buffer.from(text, 'latin1');
      const { responses } = await feedServer([bytes], { maxBodyBytes });
      const expected = responses.filter(({ status }) => status !== 100).map(({ body }) => body.toString());
      for (let at = 1; at < bytes.length; at += 11) {
        await using client = await connectRaw(server.port);
        client.write(bytes.subarray(0, at));
        await new Promise((resolve) => setTimeout(resolve, 1));
        client.write(bytes.subarray(at));
        const methods = name === 'three GETs' ? ['GET', 'HEAD'] : [];
        let answers: string[] = [];
        await client.until(() => {
          const received = parseResponses(client.received, { methods }).responses;
          answers = received.filter(({ status }) => status !== 100).map(({ body }) => body.toString());
          return answers.length >= expected.length;
        }, `the answers to ${name} split at ${at}`);
        assert.deepEqual(answers, expected);
      }
    }
  });
});

const responses: readonly (readonly [string, string])[] = [
  ['by length', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello'],
  ['without a body', 'HTTP/1.1 204 \r\nX: y\r\n\r\n'],
  ['chunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n3\r\n\r\n0\r\n0\r\nX: y\r\n\r\n'],
  ['until close', 'HTTP/1.0 200 OK\r\n\r\nhello\r\n'],
  [
    'behind interim answers',
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx',
  ],
  ['with bytes behind it', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n\r\n'],
  ['that is not complete', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello'],
  ['with a bad status line', 'HTTP/1.1 2000 OK\r\nContent-Length: 1\r\n\r\nx'],
  ['with a bad field', 'HTTP/1.1 200 OK\r\nX : y\r\n\r\n'],
  ['with a bare LF', 'HTTP/1.1 200 OK\r\nX: y\nZ: a\r\n\r\n'],
  ['with two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy'],
  ['with a bad chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\ng\r\n'],
  ['with a bad chunk end', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n'],
];

/** Reads a response out of pieces in the way an upstream connection does. */
function readResponse(pieces: readonly Buffer[]): unknown {
  const heads: ResponseHead[] = [];
  const body: Buffer[] = [];
  let decoder: BodyDecoder | null = null;
  let pending = Buffer.alloc(0);
  let taken = 0;
  try {
    for (const piece of pieces) {
      pending = Buffer.concat([pending, piece]);
      let at = 0;
      while (decoder === null) {
        const headEnd = findHeadEnd(pending, at);
        if (headEnd === -1) break;
        const head = parseResponseHead(pending, at, headEnd);
        heads.push(head);
        if (head.status >= 200) decoder = createBodyDecoder(frameResponseBody(head, 'GET'));
        at = headEnd;
      }
      if (decoder !== null) at = decoder.feed(pending, at, (bytes) => body.push(bytes));
      taken += at;
      pending = pending.subarray(at);
    }
  } catch (error) {
    assert.ok(error instanceof WeirError);
    return { heads, body: Buffer.concat(body).toString('latin1'), error: error.message };
  }
  return { heads, body: Buffer.concat(body).toString('latin1'), done: decoder?.done, taken };
}

describe('a response split anywhere', () => {
  for (const [name, text] of responses) {
    test(`${name}: every two and three pieces, and single bytes, give what one piece gives`, () => {
      const bytes = Buffer.from(text, 'latin1');
      const whole = readResponse([bytes]);
      assert.deepEqual(readResponse(toSingleBytes(bytes)), whole, 'single bytes');
      for (let at = 0; at <= bytes.length; at++) {
        for (let then = at; then <= bytes.length; then += 3) {
          const pieces = [bytes.subarray(0, at), bytes.subarray(at, then), bytes.subarray(then)];
          assert.deepEqual(readResponse(pieces), whole, `split at ${at} and ${then}`);
        }
      }
    });
  }
});

function toSingleBytes(bytes: Buffer): Buffer[] {
  return Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));
}
