import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createValidator } from '../schema/validator.ts';
import { aiProxySchema, checkAiProxy, type AiProxyConf } from './ai-proxy-schema.ts';

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
    { name: 'an unknown key in auth', conf: { provider: 'openai', auth: { xheader: {} } } },
    { name: 'auth.aws without key', conf: { ...minimal, auth: { aws: { access_key_id: 'a' } } } },
    { name: 'auth.aws without id', conf: { ...minimal, auth: { aws: { secret_access_key: 'b' } } } },
    { name: 'an empty AWS key', conf: { ...minimal, auth: { aws: { access_key_id: 'a', secret_access_key: '' } } } },
    {
      name: 'an empty session token',
      conf: { ...minimal, auth: { aws: { access_key_id: 'a', secret_access_key: 'b', session_token: '' } } },
    },
    { name: 'max_ttl 0', conf: { ...minimal, auth: { gcp: { max_ttl: 0 } } } },
    { name: 'a negative expire_early_secs', conf: { ...minimal, auth: { gcp: { expire_early_secs: -1 } } } },
    { name: 'a key of Google that is no string', conf: { ...minimal, auth: { gcp: { service_account_json: {} } } } },
    { name: 'an empty region', conf: { ...minimal, provider_conf: { region: '' } } },
    { name: 'a project that is no string', conf: { ...minimal, provider_conf: { project_id: 1 } } },
    { name: 'max_tokens 0', conf: { ...minimal, override: { llm_options: { max_tokens: 0 } } } },
    { name: 'another key in llm_options', conf: { ...minimal, override: { llm_options: { temperature: 1 } } } },
    { name: 'a request_body for no protocol', conf: { ...minimal, override: { request_body: { chat: {} } } } },
    {
      name: 'a request_body that is no object',
      conf: { ...minimal, override: { request_body: { 'openai-chat': 1 } } },
    },
    { name: 'force as a string', conf: { ...minimal, override: { request_body_force_override: 'yes' } } },
    { name: 'max_stream_duration_ms 0', conf: { ...minimal, max_stream_duration_ms: 0 } },
    { name: 'max_response_bytes 0', conf: { ...minimal, max_response_bytes: 0 } },
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

  const worded: [object, string][] = [
    [{ provider: 'x', auth: {} }, 'property "provider" validation failed: matches none of the enum values'],
    [{ ...minimal, timeout: 0 }, 'property "timeout" validation failed: expected 0 to be at least 1'],
    [{ ...minimal, timeout: 700000 }, 'property "timeout" validation failed: expected 700000 to be at most 600000'],
    [{ provider: 'openai' }, 'property "auth" is required'],
  ];
  for (const [conf, text] of worded) it(`V37 says: ${text}`, () => assert.equal(validator.check(conf), text));

  it('knows the ten providers', () => {
    assert.deepEqual([...aiProxySchema.properties.provider.enum].sort(), [
      'aimlapi',
      'anthropic',
      'azure-openai',
      'bedrock',
      'deepseek',
      'gemini',
      'openai',
      'openai-compatible',
      'openrouter',
      'vertex-ai',
    ]);
  });

  it('accepts every field of APISIX 3.18, and fills the defaults inside', () => {
    const conf = filled({
      provider: 'vertex-ai',
      provider_conf: { project_id: 'p', region: 'us-central1' },
      auth: { gcp: { service_account_json: '{}', max_ttl: 1 } },
      override: {
        llm_options: { max_tokens: 1 },
        request_body: {
          'anthropic-messages': { a: 1 },
          'bedrock-converse': {},
          'openai-chat': {},
          'openai-embeddings': {},
          'openai-responses': {},
          passthrough: {},
        },
      },
      max_stream_duration_ms: 1,
      max_response_bytes: 1,
    });
    assert.equal(conf.auth.gcp?.expire_early_secs, 60);
    assert.equal(conf.override?.request_body_force_override, false);
  });

  it('names every field that holds a credential, for encryption at rest', () => {
    assert.deepEqual(aiProxySchema.encrypt_fields, [
      'auth.header',
      'auth.query',
      'auth.gcp.service_account_json',
      'auth.aws.secret_access_key',
      'auth.aws.session_token',
    ]);
  });

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
  const aws = { access_key_id: 'a', secret_access_key: 'hunter2' };
  const vertexNeeds = 'vertex-ai requires either provider_conf (project_id + region) or override.endpoint';
  rows.push(
    {
      name: 'a key of Google that is no JSON is refused without repeating it',
      conf: { ...minimal, auth: { gcp: { service_account_json: '{"private_key":"hunter2' } } },
      error: /^invalid gcp service_account_json: /,
    },
    {
      name: 'a key of Google that is JSON of another kind is refused',
      conf: { ...minimal, auth: { gcp: { service_account_json: '"hunter2"' } } },
      error: /^invalid gcp service_account_json: /,
    },
    {
      name: 'the key of Google is looked at before the address',
      conf: { provider: 'vertex-ai', auth: { gcp: { service_account_json: '' } } },
      error: /^invalid gcp service_account_json: /,
    },
    { name: 'auth.gcp may be empty', conf: { ...minimal, auth: { gcp: {} } }, error: null },
    { name: 'vertex-ai needs an address', conf: { provider: 'vertex-ai', auth: {} }, error: vertexNeeds },
    {
      name: 'vertex-ai needs a project with its region',
      conf: { provider: 'vertex-ai', auth: {}, provider_conf: { region: 'us-central1' } },
      error: vertexNeeds,
    },
    {
      name: 'vertex-ai needs a region with its project',
      conf: { provider: 'vertex-ai', auth: {}, provider_conf: { project_id: 'p' } },
      error: vertexNeeds,
    },
    {
      name: 'vertex-ai is complete with both',
      conf: { provider: 'vertex-ai', auth: {}, provider_conf: { project_id: 'p', region: 'us-central1' } },
      error: null,
    },
    {
      name: 'vertex-ai is complete with an endpoint',
      conf: { provider: 'vertex-ai', auth: {}, override: { endpoint: 'http://h' } },
      error: null,
    },
    {
      name: 'bedrock needs a region',
      conf: { provider: 'bedrock', auth: {} },
      error: 'bedrock requires provider_conf.region',
    },
    {
      name: 'bedrock needs a region even with an endpoint, for its signature',
      conf: { provider: 'bedrock', auth: { aws }, override: { endpoint: 'http://h' } },
      error: 'bedrock requires provider_conf.region',
    },
    {
      name: 'bedrock needs AWS credentials',
      conf: { provider: 'bedrock', auth: { header: { a: 'b' } }, provider_conf: { region: 'us-east-1' } },
      error: 'bedrock requires auth.aws',
    },
    {
      name: 'bedrock needs no model',
      conf: { provider: 'bedrock', auth: { aws }, provider_conf: { region: 'us-east-1' } },
      error: null,
    },
    {
      name: 'a region that is no part of a host name is refused',
      conf: { provider: 'bedrock', auth: { aws }, provider_conf: { region: 'evil.example/' } },
      error: 'provider_conf.region: expected letters, digits and hyphens, such as us-east-1',
    },
  );
  for (const { name, conf, error } of rows) {
    it(name, () => {
      const found = checkAiProxy(filled(conf));
      if (error instanceof RegExp) assert.match(found ?? '', error);
      else assert.equal(found, error);
      assert.doesNotMatch(found ?? '', /hunter2/);
    });
  }
});

describe('a reference to a secret passes for any value', () => {
  const references = ['$env://NAME', '$ENV://NAME/key', '$secret://vault/1/openai/key', '$Secret://aws/1/x'];
  for (const reference of references) {
    it(reference, () => {
      const places = [
        { ...minimal, auth: { header: { Authorization: reference }, query: { key: reference } } },
        { ...minimal, auth: { gcp: { service_account_json: reference } } },
        { provider: 'openai-compatible', auth: {}, override: { endpoint: reference } },
        {
          provider: 'bedrock',
          auth: { aws: { access_key_id: reference, secret_access_key: reference, session_token: reference } },
          provider_conf: { region: reference },
        },
        { ...minimal, options: { model: reference, metadata: [reference] } },
      ];
      for (const conf of places) assert.equal(checkAiProxy(filled(conf)), null);
    });
  }

  it('but not in the middle of a value', () => {
    const conf = filled({ ...minimal, override: { endpoint: 'x$env://NAME' } });
    assert.match(checkAiProxy(conf) ?? '', /^override\.endpoint: invalid endpoint/);
  });
});
