import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createValidator } from '../../schema/validator.ts';
import { aiProxyMulti } from './index.ts';
import { aiProxyMultiSchema, type AiProxyMultiConf } from './schema.ts';

const validator = createValidator(aiProxyMultiSchema);

function filled(conf: object): AiProxyMultiConf {
  assert.equal(aiProxyMulti.check(conf), null);
  return validator.withDefaults(conf) as AiProxyMultiConf;
}

const one = { name: 'a', provider: 'openai', weight: 1, auth: {} };
const two = { ...one, name: 'b' };
const minimal = { instances: [one] };
const embeddings = { provider: 'openai', model: 'text-embedding-3-small', auth: {} };
const withExamples = { ...one, examples: ['write code'] };
const semantic = {
  balancer: { algorithm: 'semantic' },
  instances: [withExamples, { ...withExamples, name: 'b' }],
  semantic_opts: { embeddings },
};

function chash(hash: object): object {
  return { instances: [one, two], balancer: { algorithm: 'chash', ...hash } };
}

describe('the schema of ai-proxy-multi', () => {
  it('fills the documented defaults', () => {
    assert.deepEqual(filled(minimal), {
      balancer: { algorithm: 'roundrobin', hash_on: 'vars' },
      instances: [{ ...one, priority: 0 }],
      timeout: 30000,
      max_req_body_size: 67108864,
      keepalive: true,
      keepalive_timeout: 60000,
      keepalive_pool: 30,
      ssl_verify: true,
    });
  });

  it('fills the defaults of an instance, its checks and the semantic options', () => {
    const checks = { active: {} };
    const { instances, semantic_opts: options } = filled({
      ...semantic,
      instances: [{ ...withExamples, checks, auth: { gcp: {} }, override: {} }],
    });
    assert.deepEqual(options, {
      embeddings: { ...embeddings, timeout: 3000, ssl_verify: true },
      threshold: 0,
      debugging: false,
    });
    assert.equal(instances[0]?.auth.gcp?.expire_early_secs, 60);
    assert.equal(instances[0]?.override?.request_body_force_override, false);
    assert.equal(instances[0]?.checks?.active.http_path, '/');
  });

  it('takes a balancer without algorithm for roundrobin', () => {
    assert.equal(filled({ ...minimal, balancer: {} }).balancer.algorithm, 'roundrobin');
    assert.equal(filled({ ...minimal, balancer: { hash_on: 'header' } }).balancer.algorithm, 'roundrobin');
  });

  const accepted: { name: string; conf: object }[] = [
    { name: 'weight 0', conf: { instances: [{ ...one, weight: 0 }] } },
    { name: 'a negative priority', conf: { instances: [{ ...one, priority: -3 }] } },
    { name: 'a name of 100 characters', conf: { instances: [{ ...one, name: 'n'.repeat(100) }] } },
    { name: 'the strategy as text', conf: { ...minimal, fallback_strategy: 'instance_health_and_rate_limiting' } },
    { name: 'http_429 as text', conf: { ...minimal, fallback_strategy: 'http_429' } },
    { name: 'http_5xx as text', conf: { ...minimal, fallback_strategy: 'http_5xx' } },
    { name: 'no strategy at all, as a list', conf: { ...minimal, fallback_strategy: [] } },
    {
      name: 'every strategy of a list',
      conf: { ...minimal, fallback_strategy: ['rate_limiting', 'http_429', 'http_5xx'] },
    },
    { name: 'other statuses', conf: { ...minimal, fallback_http_statuses: [400, 401, 599] } },
    { name: 'max_retries 0', conf: { ...minimal, max_retries: 0 } },
    { name: 'retry_on_failure_within_ms 1', conf: { ...minimal, retry_on_failure_within_ms: 1 } },
    { name: 'unknown fields', conf: { ...minimal, anything: 1 } },
    { name: 'the semantic algorithm', conf: semantic },
    {
      name: 'thresholds at their limits',
      conf: {
        ...semantic,
        instances: [
          { ...withExamples, threshold: -1 },
          { ...withExamples, name: 'b', threshold: 1 },
        ],
        semantic_opts: { embeddings, threshold: -1, fallback: 'b', debugging: true },
      },
    },
    {
      name: 'an endpoint for the embeddings of azure',
      conf: {
        ...semantic,
        semantic_opts: { embeddings: { ...embeddings, provider: 'azure-openai', endpoint: 'https://a/openai/e?v=1' } },
      },
    },
    { name: 'a hash on the consumer, without a key', conf: chash({ hash_on: 'consumer' }) },
    { name: 'a hash on an argument', conf: chash({ key: 'arg_user' }) },
    { name: 'a hash on the address', conf: chash({ hash_on: 'vars', key: 'remote_addr' }) },
    { name: 'a hash on a header', conf: chash({ hash_on: 'header', key: 'X-User_1' }) },
    { name: 'a hash on a cookie', conf: chash({ hash_on: 'cookie', key: 'session' }) },
    { name: 'a hash on text', conf: chash({ hash_on: 'vars_combinations', key: '$http_x_user$remote_addr' }) },
    { name: 'a key that means nothing to roundrobin', conf: { ...minimal, balancer: { key: '!' } } },
  ];
  for (const { name, conf } of accepted) it(`accepts ${name}`, () => assert.equal(aiProxyMulti.check(conf), null));

  it('names every field that holds a credential', () => {
    assert.deepEqual(aiProxyMultiSchema.encrypt_fields, [
      'instances.auth.header',
      'instances.auth.query',
      'instances.auth.gcp.service_account_json',
      'instances.auth.aws.secret_access_key',
      'instances.auth.aws.session_token',
      'semantic_opts.embeddings.auth.header',
      'semantic_opts.embeddings.auth.query',
    ]);
  });
});

function inInstance(members: object): object {
  return { instances: [{ ...one, ...members }] };
}

function inItem(text: string): string {
  return `property "instances" validation failed: failed to validate item 1: ${text}`;
}

function inProperty(name: string, text: string): string {
  return `property "${name}" validation failed: ${text}`;
}

describe('ai-proxy-multi refuses', () => {
  const { name: _name, ...nameless } = one;
  const { weight: _weight, ...weightless } = one;
  const { auth: _auth, ...keyless } = one;
  const noStrategy = inProperty('fallback_strategy', 'object matches none of the required');
  const rows: { name: string; conf: object; error: string }[] = [
    { name: 'no instances', conf: {}, error: 'property "instances" is required' },
    {
      name: 'an empty list of instances',
      conf: { instances: [] },
      error: inProperty('instances', 'expect array to have at least 1 items'),
    },
    { name: 'no name', conf: { instances: [nameless] }, error: inItem('property "name" is required') },
    { name: 'no weight', conf: { instances: [weightless] }, error: inItem('property "weight" is required') },
    { name: 'no auth', conf: { instances: [keyless] }, error: inItem('property "auth" is required') },
    {
      name: 'an empty name',
      conf: inInstance({ name: '' }),
      error: inItem(inProperty('name', 'string too short, expected at least 1, got 0')),
    },
    {
      name: 'a long name',
      conf: inInstance({ name: 'n'.repeat(101) }),
      error: inItem(inProperty('name', 'string too long, expected at most 100, got 101')),
    },
    {
      name: 'an unknown provider',
      conf: inInstance({ provider: 'x' }),
      error: inItem(inProperty('provider', 'matches none of the enum values')),
    },
    {
      name: 'a negative weight',
      conf: inInstance({ weight: -1 }),
      error: inItem(inProperty('weight', 'expected -1 to be at least 0')),
    },
    {
      name: 'a fraction as priority',
      conf: inInstance({ priority: 0.5 }),
      error: inItem(inProperty('priority', 'wrong type: expected integer, got number')),
    },
    {
      name: 'checks without active ones',
      conf: inInstance({ checks: { passive: {} } }),
      error: inItem(inProperty('checks', 'property "active" is required')),
    },
    {
      name: 'no examples in their list',
      conf: inInstance({ examples: [] }),
      error: inItem(inProperty('examples', 'expect array to have at least 1 items')),
    },
    {
      name: 'too many examples',
      conf: inInstance({ examples: Array<string>(65).fill('e') }),
      error: inItem(inProperty('examples', 'expect array to have at most 64 items')),
    },
    {
      name: 'an empty example',
      conf: inInstance({ examples: [''] }),
      error: inItem(inProperty('examples', 'failed to validate item 1: string too short, expected at least 1, got 0')),
    },
    {
      name: 'a threshold above 1',
      conf: inInstance({ threshold: 1.1 }),
      error: inItem(inProperty('threshold', 'expected 1.1 to be at most 1')),
    },
    {
      name: 'an unknown algorithm',
      conf: { ...minimal, balancer: { algorithm: 'ewma' } },
      error: inProperty('balancer', inProperty('algorithm', 'matches none of the enum values')),
    },
    {
      name: 'an unknown hash_on',
      conf: { ...minimal, balancer: { hash_on: 'ip' } },
      error: inProperty('balancer', inProperty('hash_on', 'matches none of the enum values')),
    },
    { name: 'rate_limiting as text', conf: { ...minimal, fallback_strategy: 'rate_limiting' }, error: noStrategy },
    {
      name: 'the health strategy in a list',
      conf: { ...minimal, fallback_strategy: ['instance_health_and_rate_limiting'] },
      error: noStrategy,
    },
    {
      name: 'an empty list of statuses',
      conf: { ...minimal, fallback_http_statuses: [] },
      error: inProperty('fallback_http_statuses', 'expect array to have at least 1 items'),
    },
    {
      name: 'a status of success',
      conf: { ...minimal, fallback_http_statuses: [200] },
      error: inProperty('fallback_http_statuses', 'failed to validate item 1: expected 200 to be at least 400'),
    },
    {
      name: 'a status twice',
      conf: { ...minimal, fallback_http_statuses: [401, 401] },
      error: inProperty('fallback_http_statuses', 'expected unique items but items 1 and 2 are equal'),
    },
    {
      name: 'negative max_retries',
      conf: { ...minimal, max_retries: -1 },
      error: inProperty('max_retries', 'expected -1 to be at least 0'),
    },
    {
      name: 'retry_on_failure_within_ms 0',
      conf: { ...minimal, retry_on_failure_within_ms: 0 },
      error: inProperty('retry_on_failure_within_ms', 'expected 0 to be at least 1'),
    },
    {
      name: 'V37 a timeout that is too long',
      conf: { ...minimal, timeout: 700000 },
      error: inProperty('timeout', 'expected 700000 to be at most 600000'),
    },
    {
      name: 'semantic options without embeddings',
      conf: { ...minimal, semantic_opts: {} },
      error: inProperty('semantic_opts', 'property "embeddings" is required'),
    },
    {
      name: 'embeddings of another provider',
      conf: { ...minimal, semantic_opts: { embeddings: { ...embeddings, provider: 'gemini' } } },
      error: inProperty(
        'semantic_opts',
        inProperty('embeddings', inProperty('provider', 'matches none of the enum values')),
      ),
    },
    {
      name: 'embeddings with another kind of credential',
      conf: { ...minimal, semantic_opts: { embeddings: { ...embeddings, auth: { aws: {} } } } },
      error: inProperty(
        'semantic_opts',
        inProperty('embeddings', inProperty('auth', 'additional properties forbidden, found aws')),
      ),
    },
    {
      name: 'two instances of one name, by their places',
      conf: { instances: [one, two, { ...one, provider: 'deepseek' }] },
      error: "duplicate instance name 'a' at instances[1] and instances[3]",
    },
    {
      name: 'an endpoint without scheme',
      conf: inInstance({ override: { endpoint: 'localhost:8000' } }),
      error: 'invalid endpoint',
    },
    {
      name: 'an endpoint without host',
      conf: inInstance({ override: { endpoint: 'https:///v1' } }),
      error: 'invalid endpoint',
    },
    {
      name: 'credentials in an endpoint',
      conf: inInstance({ override: { endpoint: 'https://user:hunter2@host' } }),
      error:
        "instance 'a': override.endpoint: invalid endpoint: credentials belong into auth.header or auth.query, not into the URL",
    },
    {
      name: 'bedrock without a key',
      conf: { instances: [two, { ...one, provider: 'bedrock', provider_conf: { region: 'us-east-1' } }] },
      error: "instance 'a': bedrock requires auth.aws",
    },
    {
      name: 'vertex-ai without an address',
      conf: inInstance({ provider: 'vertex-ai' }),
      error: "instance 'a': vertex-ai requires either provider_conf (project_id + region) or override.endpoint",
    },
    {
      name: 'openai-compatible without an endpoint',
      conf: inInstance({ provider: 'openai-compatible' }),
      error: "instance 'a': override.endpoint is required for openai-compatible provider",
    },
    {
      name: 'a probe that is no request',
      conf: inInstance({ checks: { active: { req_headers: ['hunter2'] } } }),
      error: `instance 'a': checks.active.req_headers[1] must be a header line such as "Name: value"`,
    },
    {
      name: 'a hash without a key',
      conf: chash({}),
      error: 'must configure `hash_key` when balancer `hash_on` is not set to cookie',
    },
    {
      name: 'a hash on an unnamed cookie',
      conf: chash({ hash_on: 'cookie' }),
      error: 'must configure `hash_key` when balancer `hash_on` is not set to cookie',
    },
    {
      name: 'a hash on an unnamed header',
      conf: chash({ hash_on: 'header' }),
      error: 'must configure `hash_key` when balancer `hash_on` is not set to cookie',
    },
    {
      name: 'a hash on a variable with its dollar sign',
      conf: chash({ key: '$remote_addr' }),
      error:
        'invalid configuration: failed to match pattern "^((uri|server_name|server_addr|request_uri|remote_port|remote_addr|query_string|host|hostname|mqtt_client_id)|arg_[0-9a-zA-z_-]+)$" with "$remote_addr"',
    },
    {
      name: 'a hash on what is no header name',
      conf: chash({ hash_on: 'header', key: 'x user' }),
      error: 'invalid configuration: failed to match pattern "^[a-zA-Z0-9-_]+$" with "x user"',
    },
    {
      name: 'semantic without embeddings',
      conf: { instances: [withExamples], balancer: { algorithm: 'semantic' } },
      error: 'must configure `semantic_opts.embeddings` when balancer algorithm is semantic',
    },
    {
      name: 'an endpoint of embeddings that is no URL',
      conf: { ...semantic, semantic_opts: { embeddings: { ...embeddings, endpoint: 'api.openai.com' } } },
      error: 'invalid `semantic_opts.embeddings.endpoint`',
    },
    {
      name: 'embeddings of azure without an endpoint',
      conf: { ...semantic, semantic_opts: { embeddings: { ...embeddings, provider: 'azure-openai' } } },
      error: '`semantic_opts.embeddings.endpoint` is required for azure-openai',
    },
    {
      name: 'embeddings of azure without a path',
      conf: {
        ...semantic,
        semantic_opts: { embeddings: { ...embeddings, provider: 'azure-openai', endpoint: 'https://a.example' } },
      },
      error: '`semantic_opts.embeddings.endpoint` must include a path for azure-openai',
    },
    {
      name: 'semantic with an instance that has no examples',
      conf: { ...semantic, instances: [withExamples, two] },
      error: "instance 'b': must configure non-empty `examples` for the semantic algorithm",
    },
    {
      name: 'semantic with an example of nothing but spaces',
      conf: { ...semantic, instances: [withExamples, { ...withExamples, name: 'b', examples: ['write', ' \n\t'] }] },
      error: "instance 'b': must configure non-empty `examples` for the semantic algorithm",
    },
    {
      name: 'a fallback that is no instance',
      conf: { ...semantic, semantic_opts: { embeddings, fallback: 'c' } },
      error: "`semantic_opts.fallback` names unknown instance 'c'",
    },
  ];
  for (const { name, conf, error } of rows) it(name, () => assert.equal(aiProxyMulti.check(conf), error));
});

describe('references to secrets in ai-proxy-multi', () => {
  const reference = '$secret://vault/1/openai/key';
  it('pass for any value', () => {
    filled({
      instances: [
        { ...one, auth: { header: { Authorization: reference } }, override: { endpoint: reference } },
        {
          ...two,
          provider: 'openai-compatible',
          auth: { query: { key: reference } },
          override: { endpoint: reference },
        },
      ],
    });
    filled(chash({ key: reference }));
    filled({
      ...semantic,
      semantic_opts: {
        embeddings: { ...embeddings, auth: { header: { Authorization: reference } }, endpoint: reference },
        fallback: reference,
      },
    });
  });
});
