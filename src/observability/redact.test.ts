import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { redact, redactText } from './redact.ts';

describe('fields by name', () => {
  const secret = [
    'authorization',
    'Authorization',
    'proxy-authorization',
    'api-key',
    'x-api-key',
    'api_key',
    'apiKey',
    'apikey',
    'x-goog-api-key',
    'token',
    'access_token',
    'sessionToken',
    'X-Amz-Security-Token',
    'secret',
    'client_secret',
    'secret_access_key',
    'access_key_id',
    'password',
    'db_passwd',
    'cookie',
    'Set-Cookie',
    'private_key',
    'service_account_json',
    'admin_key',
    'auth',
    'key-auth',
  ];
  for (const name of secret) {
    test(`${name} is hidden`, () => assert.deepEqual(redact({ [name]: 'value' }), { [name]: '[redacted]' }));
  }

  const readable = [
    'max_tokens',
    'maxTokens',
    'prompt_tokens',
    'completion_tokens',
    'total_tokens',
    'llm_time_to_first_token',
    'time_per_output_token',
    'cost_per_token',
    'author',
    'key',
    'model',
    'tokenizer',
  ];
  for (const name of readable) {
    test(`${name} stays readable`, () => assert.deepEqual(redact({ [name]: '12' }), { [name]: '12' }));
  }

  const nested: readonly { title: string; value: unknown; expected: unknown }[] = [
    {
      title: 'a secret deep in a configuration',
      value: { plugins: [{ 'ai-proxy': { provider: 'openai', auth: { header: { 'X-Anything': 'v' } } } }] },
      expected: { plugins: [{ 'ai-proxy': { provider: 'openai', auth: '[redacted]' } }] },
    },
    { title: 'a list under the name', value: { cookies: ['a=1'] }, expected: { cookies: '[redacted]' } },
    { title: 'a number under the name', value: { password: 12345 }, expected: { password: '[redacted]' } },
    {
      title: 'whether there is a credential may be told',
      value: { token: null, auth: false, secret: undefined },
      expected: { token: null, auth: false, secret: undefined },
    },
    { title: 'a map', value: new Map([['cookie', 'a']]), expected: { cookie: '[redacted]' } },
    { title: 'a set', value: new Set(['sk-abcdef123456']), expected: ['[redacted]'] },
    { title: 'a key as a field name', value: { 'sk-abcdef123456': 1 }, expected: { '[redacted]': 1 } },
  ];
  for (const { title, value, expected } of nested) {
    test(`nested: ${title}`, () => assert.deepEqual(redact(value), expected));
  }
});

describe('texts that look like a credential', () => {
  const rows: readonly [text: string, expected: string][] = [
    ['Bearer abc.def-123', 'Bearer [redacted]'],
    ['header "authorization: bearer XyZ", then', 'header "authorization: bearer [redacted]", then'],
    ['Basic dXNlcjpwYXNz', 'Basic [redacted]'],
    ['Basic configuration is missing', 'Basic configuration is missing'],
    ['Incorrect API key provided: sk-proj-aB_1234567890.', 'Incorrect API key provided: [redacted].'],
    ['provided: sk-abcd****wxyz', 'provided: [redacted]'],
    ['the task-management tool', 'the task-management tool'],
    ['AIzaSyA1234567890abcdefghijklmnopqrstuvw', '[redacted]'],
    ['id AKIAIOSFODNN7EXAMPLE used', 'id [redacted] used'],
    ['GET /v1?alt=sse&key=abc123 failed', 'GET /v1?alt=sse&key=[redacted] failed'],
    ['https://h/p?api-version=1&api-key=abc#x', 'https://h/p?api-version=1&api-key=[redacted]#x'],
    ['/p?subscription-key=abc&apikey=def&monkey=g', '/p?subscription-key=[redacted]&apikey=[redacted]&monkey=g'],
    ['redis://user:pass@host:6379/0', 'redis://[redacted]@host:6379/0'],
    ['mail me@example.org at https://host/a', 'mail me@example.org at https://host/a'],
    ['got {"api_key": "abc", "max_tokens": "5"}', 'got {"api_key": "[redacted]", "max_tokens": "5"}'],
    ['got {\\"x-api-key\\":\\"abc\\",\\"id\\":1}', 'got {\\"x-api-key\\":\\"[redacted]\\",\\"id\\":1}'],
    ['max_tokens: expected an integer', 'max_tokens: expected an integer'],
  ];
  for (const [text, expected] of rows) {
    test(text, () => {
      assert.equal(redactText(text), expected);
      assert.deepEqual(redact([text]), [expected]);
    });
  }
});

describe('values that are no plain data', () => {
  test('an error becomes its text without credentials', () => {
    assert.equal(redact(new TypeError('refused Bearer abc')), 'TypeError: refused Bearer [redacted]');
  });

  test('bytes, dates, big numbers and functions become short texts', () => {
    const value = { body: Buffer.from('secret'), at: new Date(0), big: 2n ** 64n, run: () => 1 };
    assert.deepEqual(redact(value), {
      body: '[6 bytes]',
      at: '1970-01-01T00:00:00.000Z',
      big: '18446744073709551616',
      run: '[function]',
    });
  });

  test('a cycle ends, an object that is only used twice is kept', () => {
    const twice = { model: 'm' };
    const value: Record<string, unknown> = { a: twice, b: twice };
    value['self'] = value;
    assert.deepEqual(redact(value), { a: { model: 'm' }, b: { model: 'm' }, self: '[circular]' });
  });

  test('the original is left as it was', () => {
    const value = { headers: { cookie: 'a=1' } };
    redact(value);
    assert.deepEqual(value, { headers: { cookie: 'a=1' } });
  });
});
