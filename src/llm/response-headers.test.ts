import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { convertedResponseFields, responseFields } from './response-headers.ts';

const rows = [
  {
    name: 'what describes the answer comes back',
    fields: [
      'content-type',
      'application/json',
      'x-request-id',
      'r1',
      'retry-after',
      '2',
      'x-ratelimit-remaining-tokens',
      '9',
      'openai-processing-ms',
      '12',
      'content-encoding',
      'gzip',
    ],
    back: [
      'content-type: application/json',
      'x-request-id: r1',
      'retry-after: 2',
      'x-ratelimit-remaining-tokens: 9',
      'openai-processing-ms: 12',
      'content-encoding: gzip',
    ],
  },
  {
    name: 'the connection and its framing do not',
    fields: [
      'connection',
      'close, x-hop',
      'keep-alive',
      't',
      'transfer-encoding',
      'chunked',
      'content-length',
      '5',
      'trailer',
      'x',
      'upgrade',
      'h2',
      'proxy-authenticate',
      'Basic',
      'x-hop',
      '1',
    ],
    connection: ['close', 'x-hop'],
    back: [],
  },
  {
    name: 'cookies and credentials do not',
    fields: ['set-cookie', 'a=b', 'authorization', 'x', 'api-key', 'x', 'x-api-key', 'x'],
    back: [],
  },
  {
    name: 'what speaks about the origin of the provider does not',
    fields: [
      'server',
      'cloudflare',
      'date',
      'now',
      'alt-svc',
      'h3=":443"',
      'strict-transport-security',
      'max-age=1',
      'nel',
      '{}',
    ],
    back: [],
  },
];

describe('headers of a response from a provider', () => {
  for (const { name, fields, connection = [], back } of rows) {
    it(name, () => {
      assert.deepEqual(
        responseFields(fields, connection),
        back.flatMap((line) => line.split(': ')),
      );
    });
  }
});

it('a converted answer keeps what is about the call, and loses what is about the bytes it was made of', () => {
  const about = ['x-request-id', 'r1', 'retry-after', '2', 'x-ratelimit-remaining', '9'];
  const bytes = [
    'content-type',
    'text/plain',
    'content-encoding',
    'gzip',
    'etag',
    '"x"',
    'content-digest',
    'sha-256=:x:',
  ];
  const fields = convertedResponseFields([...about, ...bytes], 'application/json');
  assert.deepEqual(fields, ['content-type', 'application/json', ...about]);
});
