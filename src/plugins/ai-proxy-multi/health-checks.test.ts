import assert from 'node:assert/strict';
import { it } from 'node:test';
import { aiProxyMulti } from './index.ts';

it('health checks go to the endpoints of the instances that have any, with the credentials of their requests', () => {
  const auth = { header: { Authorization: 'Bearer k' }, query: { key: 'a b&c', v: '1' } };
  const checks = { active: { http_path: '/health' } };
  const override = { endpoint: 'https://[::1]:8443/v1?x=1' };
  const found = aiProxyMulti.healthChecks?.({
    ssl_verify: false,
    instances: [
      { name: 'a', provider: 'openai', weight: 1, auth: {}, checks },
      { name: 'b', provider: 'openai', weight: 1, auth: {} },
      { name: 'c', provider: 'openai-compatible', weight: 1, auth, override, checks },
    ],
  });
  assert.deepEqual(
    found?.map(({ checks: { active }, ...check }) => ({ ...check, path: active.http_path })),
    [
      {
        name: 'a',
        origin: { scheme: 'https', host: 'api.openai.com', port: 443 },
        headers: {},
        query: '',
        verifyTls: false,
        path: '/health',
      },
      {
        name: 'c',
        origin: { scheme: 'https', host: '::1', port: 8443 },
        headers: { Authorization: 'Bearer k' },
        query: 'key=a+b%26c&v=1',
        verifyTls: false,
        path: '/health',
      },
    ],
  );
});
