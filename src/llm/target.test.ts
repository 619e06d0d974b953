import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AiProxyConf } from './ai-proxy-schema.ts';
import { compileLlmTarget } from './target.ts';

const conf: AiProxyConf = {
  provider: 'openai',
  auth: { header: { Authorization: 'Bearer sk-x' } },
  options: { model: 'gpt-4' },
  logging: { summaries: true, payloads: false },
  timeout: 5000,
  max_req_body_size: 100,
  keepalive: true,
  keepalive_timeout: 1000,
  keepalive_pool: 3,
  ssl_verify: false,
};

const noForce = { request_body_force_override: false };
const aws = { access_key_id: 'id', secret_access_key: 'key' };
const bedrock: AiProxyConf = { ...conf, provider: 'bedrock', auth: { aws }, provider_conf: { region: 'us-east-1' } };

it('a target holds all that its configuration says', () => {
  const target = compileLlmTarget(conf);
  assert.equal(target.instanceName, 'ai-proxy-openai');
  assert.equal(target.endpoint.targets['openai-chat'], '/v1/chat/completions');
  assert.equal(
    target.requestHeaders.constantLines,
    'host: api.openai.com\r\ncontent-type: application/json\r\nauthorization: Bearer sk-x\r\n',
  );
  assert.deepEqual(target.bodyRules, { options: { model: 'gpt-4' }, removesModel: false });
  assert.deepEqual(target.keepalive, { idleTimeoutMs: 1000, maxIdle: 3 });
  assert.deepEqual(
    [target.timeoutMs, target.maxRequestBodyBytes, target.verifiesCertificate, target.flushIntervalMs],
    [5000, 100, false, 0],
  );
  assert.deepEqual([target.logsSummaries, target.logsPayloads, target.lacksCredential], [true, false, false]);
});

it('keepalive false keeps no connection', () => {
  assert.equal(compileLlmTarget({ ...conf, keepalive: false }).keepalive, null);
});

it('auth.query becomes part of the target and counts as a credential', () => {
  const target = compileLlmTarget({ ...conf, auth: { query: { key: 'k' } } });
  assert.equal(target.endpoint.targets['openai-chat'], '/v1/chat/completions?key=k');
  assert.equal(target.requestHeaders.dropped.has('authorization'), true);
  assert.equal(target.lacksCredential, false);
});

it('a hosted provider without credential is worth a warning, a self-hosted one is not', () => {
  assert.equal(compileLlmTarget({ ...conf, auth: {} }).lacksCredential, true);
  const own: AiProxyConf = {
    ...conf,
    provider: 'openai-compatible',
    auth: {},
    override: { ...noForce, endpoint: 'http://h' },
  };
  assert.equal(compileLlmTarget(own).lacksCredential, false);
});

it('azure-openai sends no model', () => {
  const azure: AiProxyConf = {
    ...conf,
    provider: 'azure-openai',
    override: { ...noForce, endpoint: 'https://n.example/p' },
  };
  assert.equal(compileLlmTarget(azure).bodyRules.removesModel, true);
});

it('limits of the answer are absent unless configured', () => {
  const { maxStreamDurationMs, maxResponseBytes } = compileLlmTarget(conf);
  assert.deepEqual([maxStreamDurationMs, maxResponseBytes], [null, null]);
  const limited = compileLlmTarget({ ...conf, max_stream_duration_ms: 500, max_response_bytes: 1000 });
  assert.deepEqual([limited.maxStreamDurationMs, limited.maxResponseBytes], [500, 1000]);
});

it('overrides become rules for the body', () => {
  const override = { ...noForce, llm_options: { max_tokens: 9 }, request_body: { passthrough: { a: 1 } } };
  const { byProtocol } = compileLlmTarget({ ...conf, override }).bodyRules;
  assert.deepEqual(byProtocol?.['openai-responses']?.maxTokens?.path, ['max_output_tokens']);
  assert.deepEqual(byProtocol?.passthrough?.requestBody, { a: 1 });
});

it('provider_conf makes the address', () => {
  const vertex: AiProxyConf = {
    ...conf,
    provider: 'vertex-ai',
    provider_conf: { project_id: 'p', region: 'us-east5' },
  };
  assert.equal(compileLlmTarget(vertex).endpoint.hostHeader, 'us-east5-aiplatform.googleapis.com');
  assert.equal(compileLlmTarget(bedrock).endpoint.hostHeader, 'bedrock-runtime.us-east-1.amazonaws.com');
});

describe('a computed credential', () => {
  const unsigned = { method: 'POST', target: '/model/m/converse', host: 'h', body: Buffer.from('{}') };

  it('is null where header and query are all there is', () => {
    assert.equal(compileLlmTarget(conf).signer, null);
  });

  it('of AWS signs for the service of the provider in the configured region', () => {
    const target = compileLlmTarget({ ...bedrock, auth: { aws: { ...aws, session_token: 'token' } } });
    const lines = target.signer?.sign(unsigned);
    assert.ok(typeof lines === 'string');
    assert.match(lines, /^authorization: AWS4-HMAC-SHA256 Credential=id\/\d{8}\/us-east-1\/bedrock\/aws4_request,/im);
    assert.match(lines, /^x-amz-security-token: token\r$/im);
    assert.equal(target.lacksCredential, false);
    const set = lines
      .split('\r\n')
      .slice(0, -1)
      .map((line) => line.split(':', 1)[0]?.toLowerCase() ?? '');
    for (const name of set) assert.equal(target.requestHeaders.dropped.has(name), true, name);
  });

  it('of AWS is used by providers that take one and by no other', () => {
    const target = compileLlmTarget({ ...bedrock, provider: 'openai' });
    assert.equal(target.signer, null);
    assert.equal(target.lacksCredential, true);
  });

  it('of Google comes from the configuration', () => {
    const gcp = { service_account_json: '{"no":"key"}', max_ttl: 600, expire_early_secs: 30 };
    const { signer, lacksCredential } = compileLlmTarget({ ...conf, auth: { gcp } });
    assert.throws(() => signer?.sign(unsigned), { code: 'LLM_AUTH' });
    assert.equal(lacksCredential, false);
  });

  it('of Google may come from the environment', (t) => {
    const auth = { gcp: { expire_early_secs: 60 } };
    const before = process.env['GCP_SERVICE_ACCOUNT'];
    t.after(() => {
      if (before === undefined) delete process.env['GCP_SERVICE_ACCOUNT'];
      else process.env['GCP_SERVICE_ACCOUNT'] = before;
    });
    delete process.env['GCP_SERVICE_ACCOUNT'];
    const without = compileLlmTarget({ ...conf, auth });
    assert.throws(() => without.signer?.sign(unsigned), /GCP_SERVICE_ACCOUNT/);
    assert.equal(without.lacksCredential, true);
    process.env['GCP_SERVICE_ACCOUNT'] = '{"type":"service_account"}';
    assert.equal(compileLlmTarget({ ...conf, auth }).lacksCredential, false);
  });

  it('is preferred to the fields of auth.header and of the client that it sets itself', () => {
    const header = { Authorization: 'Bearer old', 'X-Amz-Date': 'never', 'X-Other': 'stays' };
    const signed = compileLlmTarget({ ...bedrock, auth: { aws, header } }).requestHeaders;
    assert.match(signed.constantLines, /\r\nx-other: stays\r\n$/);
    assert.doesNotMatch(signed.constantLines, /authorization|x-amz-date/);
    for (const name of ['authorization', 'x-amz-date', 'x-amz-security-token', 'x-amz-content-sha256', 'x-api-key']) {
      assert.equal(signed.dropped.has(name), true, name);
    }
    const gcp = { service_account_json: '{}', expire_early_secs: 60 };
    const bearer = compileLlmTarget({ ...conf, auth: { gcp, header } }).requestHeaders;
    assert.match(bearer.constantLines, /x-amz-date: never\r\n/);
    assert.doesNotMatch(bearer.constantLines, /authorization/);
    assert.equal(bearer.dropped.has('authorization'), true);
  });
});
