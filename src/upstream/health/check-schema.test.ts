import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createValidator } from '../../schema/validator.ts';
import { checkProbeRequest, checksSchema, type Checks } from './check-schema.ts';

const validator = createValidator(checksSchema);

test('an empty active block has the defaults of APISIX', () => {
  assert.deepEqual(validator.withDefaults({ active: {} }), {
    active: {
      type: 'http',
      timeout: 1,
      concurrency: 10,
      http_method: 'GET',
      http_path: '/',
      http_req_body: '',
      https_verify_certificate: true,
      healthy: { interval: 1, http_statuses: [200, 302], successes: 2 },
      unhealthy: {
        interval: 1,
        http_statuses: [429, 404, 500, 501, 502, 503, 504, 505],
        http_failures: 5,
        tcp_failures: 2,
        timeouts: 3,
      },
    },
  });
});

test('an empty passive block has the defaults of APISIX', () => {
  const { passive } = validator.withDefaults({ active: {}, passive: {} }) as Checks;
  assert.deepEqual(passive, {
    type: 'http',
    healthy: {
      http_statuses: [200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 306, 307, 308],
      successes: 5,
    },
    unhealthy: { http_statuses: [429, 500, 503], http_failures: 5, tcp_failures: 2, timeouts: 7 },
  });
});

for (const [name, checks, says] of [
  ['passive checks alone', { passive: {} }, /"active" is required/],
  ['another type', { active: { type: 'udp' } }, /"type" .*enum/],
  ['a timeout of 0', { active: { timeout: 0 } }, /"timeout" .*greater than 0/],
  ['a timeout of half a second', { active: { timeout: 0.5 } }, null],
  ['port 0', { active: { port: 0 } }, /"port" .*at least 1/],
  ['an interval below a second', { active: { healthy: { interval: 0 } } }, /"interval" .*at least 1/],
  ['a threshold of 0 for probes', { active: { unhealthy: { timeouts: 0 } } }, /"timeouts" .*at least 1/],
  ['a threshold of 255', { active: { healthy: { successes: 255 } } }, /"successes" .*at most 254/],
  ['a threshold of 0 for requests', { active: {}, passive: { healthy: { successes: 0 } } }, null],
  ['a status of 600', { active: { healthy: { http_statuses: [600] } } }, /"http_statuses" .*at most 599/],
  ['the same status twice', { active: { unhealthy: { http_statuses: [500, 500] } } }, /unique/],
] as const) {
  test(`${name} ${says === null ? 'is accepted' : 'is refused'}`, () => {
    const wrong = validator.check(checks);
    if (says === null) assert.equal(wrong, null);
    else assert.match(wrong ?? '', says);
  });
}

const isReference = (text: string): boolean => text.startsWith('$env://');

for (const [name, active, wrong] of [
  ['a header line and a path with a query', { req_headers: ['X-A: b', 'X-Empty:'], http_path: '/a?b=c' }, null],
  ['references', { req_headers: ['$env://LINE'], http_path: '$env://PATH' }, null],
  ['a line without a colon', { req_headers: ['A: b', 'secret text'] }, /^checks\.active\.req_headers\[2\] must be/],
  ['a line that smuggles another', { req_headers: ['A: b\r\nC: secret'] }, /^checks\.active\.req_headers\[1\] must be/],
  ['a path without a slash', { http_path: 'secret' }, /^checks\.active\.http_path must begin/],
  ['a path with a line break', { http_path: '/ HTTP/1.1\r\nsecret: 1' }, /^checks\.active\.http_path must begin/],
] as const) {
  test(`of a probe's request, ${name} ${wrong === null ? 'is accepted' : 'is refused without quoting it'}`, () => {
    const says = checkProbeRequest(validator.withDefaults({ active }) as Checks, isReference);
    if (wrong === null) assert.equal(says, null);
    else {
      assert.match(says ?? '', wrong);
      assert.doesNotMatch(says ?? '', /secret/);
    }
  });
}
