import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createValidator } from '../schema/validator.ts';
import { aiProxySchema, checkAiProxy, notYetSupported, type AiProxyConf } from './ai-proxy-schema.ts';

const validator = createValidator(aiProxySchema);

function filled(conf: object): AiProxyConf {
  assert.equal(validator.check(conf), null);
  return validator.withDefaults(conf) as AiProxyConf;
}

const minimal = { provider: 'openai', auth: {} };

describe('the schema of ai-proxy', () => {
  it('fills the documented defaults', () => {
    assert.deepEqual(filled({ ...minimal, logging: {} }), {
      provider: 'openai',
      auth: {},
      logging: { summaries: false, payloads: false },
      timeout: 30000,
      max_req_body_size: 67108864,
      keepalive: true,
      keepalive_timeout: 60000,
      keepalive_pool: 30,
      ssl_verify: true,
    });
  });

  const refused: { name: string; conf: object }[] = [
    { name: 'no provider', conf: { auth: {} } },
    { name: 'no auth', conf: { provider: 'openai' } },
    { name: 'an unknown provider', conf: { provider: 'x', auth: {} } },
    { name: 'an unknown key in auth', conf: { provider: 'openai', auth: { aws: {} } } },
    { name: 'a header that is no string', conf: { provider: 'openai', auth: { header: { a: 1 } } } },
    { name: 'a query argument that is no string', conf: { provider: 'openai', auth: { query: { a: 1 } } } },
    { name: 'a model that is no string', conf: { ...minimal, options: { model: 1 } } },
    { name: 'an empty endpoint', conf: { ...minimal, override: { endpoint: '' } } },
    { name: 'timeout 0', conf: { ...minimal, timeout: 0 } },
    { name: 'timeout 600001', conf: { ...minimal, timeout: 600001 } },
    { name: 'a fraction as timeout', conf: { ...minimal, timeout: 1.5 } },
    { name: 'max_req_body_size 0', conf: { ...minimal, max_req_body_size: 0 } },
    { name: 'keepalive_timeout 999', conf: { ...minimal, keepalive_timeout: 999 } },
    { name: 'keepalive_pool 0', conf: { ...minimal, keepalive_pool: 0 } },
    { name: 'a negative flush interval', conf: { ...minimal, streaming_flush_interval_ms: -1 } },
    { name: 'ssl_verify as a string', conf: { ...minimal, ssl_verify: 'yes' } },
    { name: 'logging.summaries as a string', conf: { ...minimal, logging: { summaries: 'yes' } } },
  ];
  for (const { name, conf } of refused) it(`refuses ${name}`, () => assert.notEqual(validator.check(conf), null));

  it('accepts unknown fields and free options, as APISIX does', () => {
    filled({ ...minimal, anything: 1, options: { model: 'm', temperature: 0, nested: { a: [] } } });
  });
});

describe('the further checks of ai-proxy', () => {
  const rows: { name: string; conf: object; error: string | RegExp | null }[] = [
    { name: 'the minimal configuration passes', conf: minimal, error: null },
    {
      name: 'openai-compatible needs an endpoint',
      conf: { provider: 'openai-compatible', auth: {} },
      error: 'override.endpoint is required for openai-compatible provider',
    },
    {
      name: 'azure-openai needs an endpoint',
      conf: { provider: 'azure-openai', auth: {}, override: {} },
      error: 'override.endpoint is required for azure-openai provider',
    },
    {
      name: 'an endpoint makes both complete',
      conf: { provider: 'openai-compatible', auth: {}, override: { endpoint: 'http://127.0.0.1:1' } },
      error: null,
    },
    {
      name: 'an endpoint without scheme is refused',
      conf: { ...minimal, override: { endpoint: 'localhost:8000' } },
      error: /^override\.endpoint: invalid endpoint/,
    },
    {
      name: 'a line break in a header is refused without repeating the value',
      conf: { ...minimal, auth: { header: { Authorization: 'Bearer hunter2\r\nx: y' } } },
      error: /^auth\.header "Authorization" must not hold line breaks/,
    },
    {
      name: 'a header name outside the grammar is refused',
      conf: { ...minimal, auth: { header: { 'X Key': 'x' } } },
      error: 'auth.header "X Key" is not a valid header name',
    },
    {
      name: 'a query argument that the schema does not look at must be a string too',
      conf: { ...minimal, auth: { query: { 'a b': 7 } } },
      error: 'auth.query "a b" must be a string',
    },
  ];
  for (const { name, conf, error } of rows) {
    it(name, () => {
      const found = checkAiProxy(filled(conf));
      if (error instanceof RegExp) assert.match(found ?? '', error);
      else assert.equal(found, error);
      assert.doesNotMatch(found ?? '', /hunter2/);
    });
  }

  for (const field of notYetSupported) {
    it(`${field} is refused instead of ignored`, () => {
      const [first = '', second] = field.split('.');
      const conf = { ...minimal, [first]: second === undefined ? 1000 : { [second]: {} } };
      assert.equal(checkAiProxy(filled(conf)), `${field} is not supported by this version of Weir`);
    });
  }
});

describe('a reference to a secret', () => {
  const references: [object, string][] = [
    [{ auth: { header: { Authorization: '$env://OPENAI_AUTH' } } }, 'auth.header.Authorization'],
    [{ auth: { query: { key: '$secret://vault/1/openai/key' } } }, 'auth.query.key'],
    [{ override: { endpoint: '$ENV://ENDPOINT' } }, 'override.endpoint'],
    [{ options: { metadata: ['$env://X'] } }, 'options.metadata.0'],
  ];
  for (const [conf, field] of references) {
    it(`is refused in ${field}, not sent as if it were the secret`, () => {
      assert.equal(
        checkAiProxy(filled({ ...minimal, ...conf })),
        `${field}: references such as $env:// and $secret:// are not supported by this version of Weir`,
      );
    });
  }
});
