import assert from 'node:assert/strict';
import { test } from 'node:test';
import { productToken } from '../../base/version.ts';
import { createValidator } from '../../schema/validator.ts';
import type { Origin } from '../origin.ts';
import { checksSchema, type Checks } from './check-schema.ts';
import type { HealthCheck } from './health-check.ts';
import { planProbes, type ProbePlan } from './probe-plan.ts';

const validator = createValidator(checksSchema);
const plain: Origin = { scheme: 'http', host: 'llm.example', port: 8000 };
const secure: Origin = { scheme: 'https', host: 'llm.example', port: 443 };

function plan(origin: Origin, active: object, more: Partial<HealthCheck> = {}): ProbePlan {
  const checks = validator.withDefaults({ active }) as Checks;
  return planProbes({ name: 'a', origin, checks, headers: {}, query: '', verifyTls: true, ...more });
}

const credentials = { headers: { Authorization: 'Bearer k' }, query: 'api_key=k' };

test('a probe by default is a GET of / that names the gateway', () => {
  const { request } = plan(plain, {});
  assert.equal(
    request?.head,
    `GET / HTTP/1.1\r\nHost: llm.example:8000\r\nUser-Agent: ${productToken}\r\nAccept: */*\r\nConnection: close\r\n\r\n`,
  );
});

test('method, path, body, headers and credentials of the configuration are sent, each header once', () => {
  const active = {
    http_method: 'POST',
    http_path: '/v1/chat?x=1',
    http_req_body: '{"é":1}',
    host: 'other.example:9',
    req_headers: ['user-agent: me', 'Content-Type: application/json', 'authorization: mine', 'Content-Length: 1'],
  };
  const { request, servername } = plan(plain, active, credentials);
  assert.deepEqual(request?.head.split('\r\n'), [
    'POST /v1/chat?x=1&api_key=k HTTP/1.1',
    'Host: other.example:9',
    'user-agent: me',
    'Accept: */*',
    'Content-Type: application/json',
    'Authorization: Bearer k',
    'Content-Length: 8',
    'Connection: close',
    '',
    '',
  ]);
  assert.equal(Buffer.from(request.body).toString(), '{"é":1}');
  assert.equal(servername, 'other.example');
});

for (const [name, origin, active, scheme, hasCredentials] of [
  ['http to an http endpoint', plain, {}, 'http', true],
  ['https to an http endpoint', plain, { type: 'https' }, 'https', true],
  ['https to an https endpoint', secure, { type: 'https' }, 'https', true],
  ['http to the port of an https endpoint goes through TLS', secure, {}, 'https', true],
  ['http to that port, written out, does so as well', secure, { port: 443 }, 'https', true],
  ['http to another port of an https endpoint carries no credential', secure, { port: 8080 }, 'http', false],
] as const) {
  test(`type and scheme: ${name}`, () => {
    const { request, scheme: actual } = plan(origin, active, credentials);
    assert.equal(actual, scheme);
    assert.deepEqual(
      [request?.head.includes('Bearer k'), request?.head.includes('api_key=k')],
      [hasCredentials, hasCredentials],
    );
  });
}

test('a tcp probe sends nothing and uses no TLS', () => {
  const { request, scheme } = plan(secure, { type: 'tcp' }, credentials);
  assert.deepEqual([request, scheme], [null, 'http']);
});

for (const [https_verify_certificate, verifyTls, expected] of [
  [true, true, true],
  [false, true, false],
  [true, false, false],
] as const) {
  test(`certificates: check ${https_verify_certificate}, ssl_verify ${verifyTls}: ${expected}`, () => {
    assert.equal(plan(secure, { https_verify_certificate }, { verifyTls }).verifyTls, expected);
  });
}

for (const [host, expected] of [
  ['llm.example', 'llm.example'],
  ['llm.example:1', 'llm.example'],
  ['[::1]:1', '::1'],
] as const) {
  test(`the TLS name of host ${host} is ${expected}`, () => {
    assert.equal(plan(secure, { host }).servername, expected);
  });
}

test('the Host header names a port that is not the default, and an IPv6 address has brackets', () => {
  const hosts = [
    plan(secure, {}),
    plan(secure, { type: 'https', port: 8443 }),
    plan({ scheme: 'http', host: '::1', port: 80 }, {}),
  ].map(({ request }) => /Host: (.*)\r/.exec(request?.head ?? '')?.[1]);
  assert.deepEqual(hosts, ['llm.example', 'llm.example:8443', '[::1]']);
});
