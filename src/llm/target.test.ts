import assert from 'node:assert/strict';
import { it } from 'node:test';
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
  const own: AiProxyConf = { ...conf, provider: 'openai-compatible', auth: {}, override: { endpoint: 'http://h' } };
  assert.equal(compileLlmTarget(own).lacksCredential, false);
});

it('azure-openai sends no model', () => {
  const azure: AiProxyConf = { ...conf, provider: 'azure-openai', override: { endpoint: 'https://n.example/p' } };
  assert.equal(compileLlmTarget(azure).bodyRules.removesModel, true);
});
