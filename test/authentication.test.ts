import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { SignJWT } from 'jose';
import { startStage, type AiStage } from './support/ai-stage.ts';
import { eventually } from './support/gateway.ts';
import { call, type CallResult } from './support/http-call.ts';
import { answerJson, fieldOf, startProvider, type Provider, type RecordedRequest } from './support/mock-provider.ts';

let stage: AiStage;
let upstream: Provider;
before(async () => {
  stage = await startStage({ env: { JACK_KEY: 'jacks-key-from-env', JACK_PASSWORD: 'jacks-password-from-env' } });
  upstream = await startProvider(answerJson({ ok: true }));
});
after(async () => {
  await stage[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
});

async function put(path: string, value: object): Promise<void> {
  const answer = await stage.gateway.admin('PUT', path, value);
  assert.ok(answer.status === 200 || answer.status === 201, `${path}: ${JSON.stringify(answer.body)}`);
}

function consumer(username: string, plugins: object): Promise<void> {
  return put('/consumers', { username, plugins });
}

/** @returns What a consumer is refused with that the Admin API does not take. */
async function refusedConsumer(plugins: object): Promise<string> {
  const { status, body } = await stage.gateway.admin('PUT', '/consumers', { username: 'refused', plugins });
  assert.equal(status, 400, JSON.stringify(body));
  return (body as { error_msg: string }).error_msg;
}

let routes = 0;

/** A route to an ordinary upstream. @returns Its URL. */
async function route(plugins: object, more: object = {}): Promise<string> {
  const id = `auth-${++routes}`;
  const nodes = { [`127.0.0.1:${upstream.port}`]: 1 };
  await put(`/routes/${id}`, { uri: `/${id}`, plugins, upstream: { nodes }, ...more });
  return `${stage.gateway.url}/${id}`;
}

function get(url: string, headers: Record<string, string> = {}): Promise<CallResult> {
  return call(url, { method: 'GET', headers });
}

function forwarded(): RecordedRequest | undefined {
  return upstream.requests.at(-1);
}

/** Who the upstream is told that the last request came from. */
function toldConsumer(): string | undefined {
  return fieldOf(forwarded(), 'x-consumer-username');
}

function assertRefused(answer: CallResult, message: string, challenge: string): void {
  assert.equal(answer.status, 401);
  assert.deepEqual(answer.json, { message });
  assert.equal(answer.headers['www-authenticate'], challenge);
  assert.equal(answer.headers['content-type'], 'application/json');
}

const basic = (text: string): Record<string, string> => ({
  Authorization: `Basic ${Buffer.from(text).toString('base64')}`,
});

describe('key-auth', () => {
  before(async () => {
    await consumer('anna', { 'key-auth': { key: 'annas-key' } });
    await consumer('olga', { 'key-auth': { key: 'schlüssel-🔑' } });
    await consumer('jack', { 'key-auth': { key: '$env://JACK_KEY' } });
    await consumer('unset', { 'key-auth': { key: '$env://NOT_SET_ANYWHERE' } });
    await consumer('guest', {});
  });

  test('takes the key from a header or the query', async () => {
    const url = await route({ 'key-auth': {} });
    const answers = [
      await get(url, { apikey: 'annas-key' }),
      await get(`${url}?x=1&apikey=annas-key`),
      await get(url, { apikey: Buffer.from('schlüssel-🔑').toString('latin1') }),
      await get(`${url}?apikey=${encodeURIComponent('schlüssel-🔑')}`),
      await get(url, { apikey: 'jacks-key-from-env' }),
    ];
    for (const { status } of answers) assert.equal(status, 200);
    assert.deepEqual(
      upstream.requests.slice(-5).map((request) => fieldOf(request, 'x-consumer-username')),
      ['anna', 'anna', 'olga', 'olga', 'jack'],
    );
    assert.equal(fieldOf(forwarded(), 'apikey'), 'jacks-key-from-env');
  });

  const refusals: [string, Record<string, string>, string, string][] = [
    ['no key', {}, '', 'Missing API key in request'],
    ['a wrong key', { apikey: 'x' }, '', 'Invalid API key in request'],
    ['a wrong key in the query', {}, '?apikey=x', 'Invalid API key in request'],
    ['an empty key', { apikey: '' }, '', 'Invalid API key in request'],
    ['a part of a key', { apikey: 'annas-ke' }, '', 'Invalid API key in request'],
    [
      'a wrong key in the header, whatever the query says',
      { apikey: 'x' },
      '?apikey=annas-key',
      'Invalid API key in request',
    ],
    ['two keys', { apikey: 'annas-key, annas-key' }, '', 'Invalid API key in request'],
    ['a reference to a secret', { apikey: '$env://JACK_KEY' }, '', 'Invalid API key in request'],
    ['a reference that has no value', { apikey: '$env://NOT_SET_ANYWHERE' }, '', 'Invalid API key in request'],
    ['the name of a consumer', { apikey: 'anna' }, '', 'Invalid API key in request'],
    ['__proto__', { apikey: '__proto__' }, '', 'Invalid API key in request'],
  ];
  for (const [what, headers, query, message] of refusals) {
    test(`refuses ${what}`, async () => {
      const url = await route({ 'key-auth': { realm: 'my gate' } });
      assertRefused(await get(url + query, headers), message, 'apikey realm="my gate"');
    });
  }

  test('reads other places, and hides the key from the upstream', async () => {
    const url = await route({ 'key-auth': { header: 'X-Gate', query: 'gate', hide_credentials: true } });
    assert.equal((await get(`${url}?a=1&gate=y&b=2`, { 'x-gate': 'annas-key' })).status, 200);
    assert.equal(fieldOf(forwarded(), 'x-gate'), undefined);
    assert.equal(forwarded()?.target, `${new URL(url).pathname}?a=1&b=2`);
    assert.equal((await get(`${url}?%67ate=annas-key`)).status, 200);
    assert.equal(forwarded()?.target, new URL(url).pathname);
  });

  test('lets strangers in as the anonymous consumer', async () => {
    const url = await route({ 'key-auth': { anonymous_consumer: 'guest', hide_credentials: true } });
    assert.equal((await get(url)).status, 200);
    assert.equal(toldConsumer(), 'guest');
    assert.equal((await get(url, { apikey: 'wrong' })).status, 200);
    assert.deepEqual([toldConsumer(), fieldOf(forwarded(), 'apikey')], ['guest', undefined]);
    assert.equal((await get(url, { apikey: 'annas-key' })).status, 200);
    assert.equal(toldConsumer(), 'anna');
    const missing = await route({ 'key-auth': { anonymous_consumer: 'nobody' } });
    assertRefused(await get(missing), 'Invalid user authorization', 'apikey realm="key"');
    await stage.gateway.untilErrorLog(/the anonymous consumer does not exist.*nobody/);
  });

  test('cannot be given a key that another consumer has', async () => {
    const shared = { 'key-auth': { key: 'the-same-key' } };
    await consumer('first', shared);
    const answers = [
      await stage.gateway.admin('PUT', '/consumers', { username: 'second', plugins: shared }),
      await stage.gateway.admin('PUT', '/consumers/anna/credentials/one', { plugins: shared }),
    ];
    for (const { status, body } of answers) {
      assert.deepEqual([status, body], [400, { error_msg: 'duplicate key found with consumer: first' }]);
    }
    await consumer('first', shared);
    await put('/consumers/first/credentials/one', { plugins: shared });
    await consumer('second', { 'key-auth': { ...shared['key-auth'], _meta: { disable: true } } });
    await consumer('second', { 'jwt-auth': { key: 'the-same-key', secret: 'x' } });
    await consumer('first', {});
    assert.deepEqual(await refusedConsumer(shared), 'duplicate key found with consumer: first');
    const url = await route({ 'key-auth': {} });
    assert.equal((await get(url, { apikey: 'the-same-key' })).status, 200);
    assert.deepEqual([toldConsumer(), fieldOf(forwarded(), 'x-credential-identifier')], ['first', 'one']);
  });

  test('runs before access plugins, and after plugins of a higher priority', async () => {
    const url = await route({ 'key-auth': {}, 'limit-count': { count: 1, time_window: 60 } });
    assert.deepEqual([(await get(url)).status, (await get(url)).status], [401, 401]);
    assert.equal((await get(url, { apikey: 'annas-key' })).status, 200);
  });

  test('does not know keys of plugins that are disabled', async () => {
    await consumer('off', { 'key-auth': { key: 'key-of-off', _meta: { disable: true } } });
    const url = await route({ 'key-auth': {} });
    assert.equal((await get(url, { apikey: 'key-of-off' })).status, 401);
  });

  test('takes keys from a secret manager, and tells when that cannot be asked', async () => {
    await using vault = await startProvider(answerJson({ data: { vera: 'veras-key', pass: 'veras-password' } }));
    await put('/secrets/vault/auth', { uri: vault.url, prefix: 'kv', token: 'token' });
    await consumer('vera', {
      'key-auth': { key: '$secret://vault/auth/consumers/vera' },
      'basic-auth': { username: 'vera', password: '$secret://vault/auth/consumers/pass' },
    });
    const [keyed, named] = [await route({ 'key-auth': {} }), await route({ 'basic-auth': {} })];
    assert.equal((await get(keyed, { apikey: 'veras-key' })).status, 200);
    assert.equal(toldConsumer(), 'vera');
    assert.equal((await get(keyed, { apikey: 'wrong' })).status, 401);
    assert.equal((await get(named, basic('vera:veras-password'))).status, 200);
    assert.equal((await get(named, basic('vera:$secret://vault/auth/consumers/pass'))).status, 401);
    await consumer('vera', { 'key-auth': { key: '$secret://vault/none/consumers/vera' } });
    const undecided = await get(keyed, { apikey: 'wrong' });
    assert.equal(undecided.status, 503);
    assert.doesNotMatch(undecided.text, /vault/);
    assert.equal((await get(keyed, { apikey: 'annas-key' })).status, 200);
    await stage.gateway.admin('DELETE', '/consumers/vera');
  });
});

describe('basic-auth', () => {
  before(async () => {
    await consumer('bob', { 'basic-auth': { username: 'bobby', password: 'secret: with colon' } });
    await consumer('jack-basic', { 'basic-auth': { username: 'jack', password: '$env://JACK_PASSWORD' } });
    await consumer('unset-basic', { 'basic-auth': { username: 'unset', password: '$env://NOT_SET_ANYWHERE' } });
  });

  test('takes user and password from the header Authorization', async () => {
    const url = await route({ 'basic-auth': {} });
    assert.equal((await get(url, basic('bobby:secret: with colon'))).status, 200);
    assert.deepEqual([toldConsumer(), fieldOf(forwarded(), 'authorization') === undefined], ['bob', false]);
    assert.equal((await get(url, basic('jack:jacks-password-from-env'))).status, 200);
    assert.equal(toldConsumer(), 'jack-basic');
  });

  test('hides them from the upstream', async () => {
    const url = await route({ 'basic-auth': { hide_credentials: true } });
    assert.equal((await get(url, basic('bobby:secret: with colon'))).status, 200);
    assert.equal(fieldOf(forwarded(), 'authorization'), undefined);
  });

  const refusals: [string, Record<string, string>, string][] = [
    ['no header', {}, 'Missing authorization in request'],
    ['another scheme', { Authorization: 'Bearer x' }, 'Invalid authorization in request'],
    ['what is no base64', { Authorization: 'Basic !!!' }, 'Invalid authorization in request'],
    ['what has no colon', basic('bobby'), 'Invalid authorization in request'],
    ['an unknown user', basic('nobody:x'), 'Invalid user authorization'],
    ['an unknown user without a password', basic('nobody:'), 'Invalid user authorization'],
    ['a wrong password', basic('bobby:x'), 'Invalid user authorization'],
    ['the name of the consumer in place of the user', basic('bob:secret: with colon'), 'Invalid user authorization'],
    ['the reference in place of the password', basic('jack:$env://JACK_PASSWORD'), 'Invalid user authorization'],
  ];
  for (const [what, headers, message] of refusals) {
    test(`refuses ${what}`, async () => {
      assertRefused(await get(await route({ 'basic-auth': {} }), headers), message, 'Basic realm="basic"');
    });
  }

  test('answers 503 where a password cannot be known', async () => {
    assert.equal((await get(await route({ 'basic-auth': {} }), basic('unset:x'))).status, 503);
    await stage.gateway.untilErrorLog(/basic-auth: a credential cannot be used.*NOT_SET_ANYWHERE/);
  });
});

/** What a token is signed with, and what the consumer is configured with. */
interface Signer {
  readonly key: KeyObject | Uint8Array;
  readonly conf: object;
}

function asymmetric(pair: { publicKey: KeyObject; privateKey: KeyObject }): Signer {
  return { key: pair.privateKey, conf: { public_key: pair.publicKey.export({ type: 'spki', format: 'pem' }) } };
}

const shared = { key: new TextEncoder().encode('a-shared-secret'), conf: { secret: 'a-shared-secret' } };
const rsaPair = generateKeyPairSync('rsa', { modulusLength: 2048 });
const rsa = asymmetric(rsaPair);
const signers: Record<string, Signer> = {
  HS256: shared,
  HS384: shared,
  HS512: shared,
  RS256: rsa,
  RS384: rsa,
  RS512: rsa,
  PS256: rsa,
  ES256: asymmetric(generateKeyPairSync('ec', { namedCurve: 'P-256' })),
  ES384: asymmetric(generateKeyPairSync('ec', { namedCurve: 'P-384' })),
  ES512: asymmetric(generateKeyPairSync('ec', { namedCurve: 'P-521' })),
  EdDSA: asymmetric(generateKeyPairSync('ed25519')),
};

function sign(claims: Record<string, unknown>, alg = 'HS256', key: Signer['key'] = shared.key): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg }).sign(key);
}

const seconds = (fromNow = 0): number => Math.floor(Date.now() / 1000) + fromNow;
const bearer = (token: string): Record<string, string> => ({ Authorization: `Bearer ${token}` });

/** A token as RFC 7515 describes it, made without the library that verifies it. */
function handmade(header: object, claims: object, secret: string): string {
  const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url');
  const signed = `${encode(header)}.${encode(claims)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

describe('jwt-auth', () => {
  before(async () => {
    for (const [algorithm, { conf }] of Object.entries(signers)) {
      await consumer(`by-${algorithm}`, { 'jwt-auth': { key: `key-${algorithm}`, algorithm, ...conf } });
    }
    await consumer('late', { 'jwt-auth': { key: 'late', secret: 'a-shared-secret', lifetime_grace_period: 60 } });
  });

  for (const [algorithm, { key }] of Object.entries(signers)) {
    test(`verifies tokens signed with ${algorithm}`, async () => {
      const url = await route({ 'jwt-auth': {} });
      const token = await sign({ key: `key-${algorithm}`, exp: seconds(60) }, algorithm, key);
      assert.equal((await get(url, bearer(token))).status, 200);
      assert.equal(toldConsumer(), `by-${algorithm}`);
      const [head = '', claims = ''] = token.split('.');
      assert.equal((await get(url, bearer(`${head}.${claims}.${randomBytes(64).toString('base64url')}`))).status, 401);
    });
  }

  test('takes the token from the header, the query or a cookie', async () => {
    const url = await route({ 'jwt-auth': {} });
    const token = handmade({ alg: 'HS256', typ: 'JWT' }, { key: 'key-HS256' }, 'a-shared-secret');
    assert.equal((await get(url, bearer(token))).status, 200);
    assert.equal((await get(url, { Authorization: token })).status, 200);
    assert.equal((await get(`${url}?jwt=${token}`)).status, 200);
    assert.equal((await get(url, { Cookie: `a=b; jwt=${token}` })).status, 200);
    assert.equal(fieldOf(forwarded(), 'cookie'), `a=b; jwt=${token}`);
  });

  test('reads other places and another claim, and hides the token from the upstream', async () => {
    const places = { header: 'X-Token', query: 'token', cookie: 'token', key_claim_name: 'iss' };
    const url = await route({ 'jwt-auth': { ...places, hide_credentials: true } });
    const token = await sign({ iss: 'key-HS256' });
    assert.equal((await get(`${url}?a=1`, { 'X-Token': token, Authorization: 'Bearer other' })).status, 200);
    assert.deepEqual(
      [fieldOf(forwarded(), 'x-token'), fieldOf(forwarded(), 'authorization')],
      [undefined, 'Bearer other'],
    );
    assert.equal((await get(`${url}?token=${token}&a=1`)).status, 200);
    assert.equal(forwarded()?.target, `${new URL(url).pathname}?a=1`);
    assert.equal((await get(url, { Cookie: `token=${token}; a=b` })).status, 200);
    assert.equal(fieldOf(forwarded(), 'cookie'), 'a=b');
    assert.equal((await get(url, { Cookie: `token=${token}` })).status, 200);
    assert.equal(fieldOf(forwarded(), 'cookie'), undefined);
  });

  test('looks at the end and the beginning of a token', async () => {
    const url = await route({ 'jwt-auth': {} });
    const lenient = await route({ 'jwt-auth': { claims_to_verify: [] } });
    const rows: [string, object, number, number][] = [
      ['key-HS256', { exp: seconds(60) }, 200, 200],
      ['key-HS256', { exp: seconds(-1) }, 401, 200],
      ['key-HS256', { nbf: seconds(30) }, 401, 200],
      ['key-HS256', { nbf: seconds(-1) }, 200, 200],
      ['key-HS256', { exp: 'tomorrow' }, 401, 200],
      ['late', { exp: seconds(-30) }, 200, 200],
      ['late', { exp: seconds(-90) }, 401, 200],
      ['late', { nbf: seconds(30) }, 200, 200],
    ];
    for (const [key, claims, status, lenientStatus] of rows) {
      const token = handmade({ alg: 'HS256' }, { key, ...claims }, 'a-shared-secret');
      const row = `${key} ${JSON.stringify(claims)}`;
      assert.equal((await get(url, bearer(token))).status, status, row);
      assert.equal((await get(lenient, bearer(token))).status, lenientStatus, row);
    }
  });

  const claims = { key: 'key-HS256' };
  const publicKey = rsaPair.publicKey.export({ type: 'spki', format: 'pem' });
  const refusals: [string, Record<string, string>, string][] = [
    ['no token', {}, 'Missing JWT token in request'],
    ['what is no token', bearer('x'), 'JWT token invalid'],
    ['two parts of a token', bearer('e30.e30'), 'JWT token invalid'],
    ['a token without the key', bearer(handmade({ alg: 'HS256' }, {}, 'x')), 'missing user key in JWT token'],
    ['a key that is no text', bearer(handmade({ alg: 'HS256' }, { key: {} }, 'x')), 'missing user key in JWT token'],
    ['an unknown key', bearer(handmade({ alg: 'HS256' }, { key: 'x' }, 'x')), 'Invalid user key in JWT token'],
    ['another secret', bearer(handmade({ alg: 'HS256' }, claims, 'x')), 'failed to verify jwt'],
    ['another algorithm', bearer(handmade({ alg: 'HS512' }, claims, 'a-shared-secret')), 'failed to verify jwt'],
    [
      'no algorithm',
      bearer(`${handmade({ alg: 'none' }, claims, '').split('.').slice(0, 2).join('.')}.`),
      'failed to verify jwt',
    ],
    [
      'the public key used as a secret',
      bearer(handmade({ alg: 'HS256' }, { key: 'key-RS256' }, publicKey)),
      'failed to verify jwt',
    ],
    [
      'an unknown critical header',
      bearer(handmade({ alg: 'HS256', crit: ['x'], x: 1 }, claims, 'a-shared-secret')),
      'failed to verify jwt',
    ],
  ];
  for (const [what, headers, message] of refusals) {
    test(`refuses ${what}`, async () => {
      assertRefused(await get(await route({ 'jwt-auth': {} }), headers), message, 'Bearer realm="jwt"');
    });
  }

  test('refuses credentials that cannot work, and says why', async () => {
    const small = asymmetric(generateKeyPairSync('rsa', { modulusLength: 1024 })).conf;
    const rows: [object, RegExp][] = [
      [{ key: 'x' }, /property "secret" is required when "algorithm" is "HS256"/],
      [{ key: 'x', algorithm: 'RS256' }, /property "public_key" is required/],
      [{ key: 'x', algorithm: 'HS1' }, /matches none of the enum values/],
      [{ key: 'x', secret: '***', base64_secret: true }, /the secret is not in base64 format/],
      [{ key: 'x', secret: 'A', base64_secret: true }, /the secret is not in base64 format/],
      [{ key: 'x', algorithm: 'RS256', public_key: 'x' }, /"public_key" is no public key in PEM format/],
      [{ key: 'x', algorithm: 'RS256', ...signers['ES256']?.conf }, /must be a key for RS256, of the type rsa, not ec/],
      [{ key: 'x', algorithm: 'ES384', ...signers['ES256']?.conf }, /on the curve secp384r1, not prime256v1/],
      [{ key: 'x', algorithm: 'RS256', ...small }, /must have at least 2048 bits, not 1024/],
    ];
    for (const [conf, expected] of rows) assert.match(await refusedConsumer({ 'jwt-auth': conf }), expected);
  });

  test('takes secrets in base64 and from the environment', async () => {
    await consumer('encoded', { 'jwt-auth': { key: 'encoded', secret: 'AAECAwQFBgc=', base64_secret: true } });
    await consumer('from-env', { 'jwt-auth': { key: 'from-env', secret: '$env://JACK_KEY' } });
    const url = await route({ 'jwt-auth': {} });
    const bytes = await sign({ key: 'encoded' }, 'HS256', Uint8Array.from([0, 1, 2, 3, 4, 5, 6, 7]));
    assert.equal((await get(url, bearer(bytes))).status, 200);
    const token = handmade({ alg: 'HS256' }, { key: 'from-env' }, 'jacks-key-from-env');
    assert.equal((await get(url, bearer(token))).status, 200);
    assert.equal(toldConsumer(), 'from-env');
  });
});

describe('several authentication plugins', () => {
  test('must all be passed, and the last one says who it is', async () => {
    await consumer('key-owner', { 'key-auth': { key: 'several-key' } });
    await consumer('password-owner', { 'basic-auth': { username: 'several', password: 'several-password' } });
    const url = await route({ 'key-auth': {}, 'basic-auth': {} });
    assert.equal((await get(url, { apikey: 'several-key' })).status, 401);
    assert.equal((await get(url, basic('several:several-password'))).status, 401);
    assert.equal((await get(url, { apikey: 'several-key', ...basic('several:several-password') })).status, 200);
    assert.equal(toldConsumer(), 'key-owner');
  });
});

describe('multi-auth', () => {
  const authPlugins = [
    { 'basic-auth': { realm: 'b', hide_credentials: true } },
    { 'key-auth': { realm: 'k' }, 'jwt-auth': { realm: 'j' } },
  ];
  before(async () => {
    await consumer('multi-key', {
      'key-auth': { key: 'multi-auth-key' },
      'limit-count': { count: 1, time_window: 60 },
    });
    await consumer('multi-basic', { 'basic-auth': { username: 'multi', password: 'multi-password' } });
  });

  test('lets in whom one of its plugins recognizes, with the plugins of the consumer', async () => {
    const url = await route({ 'multi-auth': { auth_plugins: authPlugins } });
    assert.equal((await get(url, basic('multi:multi-password'))).status, 200);
    assert.deepEqual([toldConsumer(), fieldOf(forwarded(), 'authorization')], ['multi-basic', undefined]);
    assert.equal((await get(url, bearer(await sign({ key: 'key-HS256' })))).status, 200);
    assert.equal(toldConsumer(), 'by-HS256');
    assert.equal((await get(url, { apikey: 'multi-auth-key', ...basic('multi:wrong') })).status, 200);
    assert.equal(toldConsumer(), 'multi-key');
    assert.equal((await get(url, { apikey: 'multi-auth-key' })).status, 503, 'the limit of the consumer');
  });

  test('refuses whom none recognizes, with the challenges of all', async () => {
    const url = await route({ 'multi-auth': { auth_plugins: authPlugins } });
    for (const headers of [{}, { apikey: 'x' }, basic('multi:x')]) {
      assertRefused(
        await get(url, headers),
        'Authorization Failed',
        'Basic realm="b", apikey realm="k", Bearer realm="j"',
      );
    }
  });

  test('is refused with plugins that authenticate nobody, and with bad configurations of those that do', async () => {
    const rows: [object, RegExp][] = [
      [[{ 'key-auth': {} }], /expect array to have at least 2 items/],
      [[{ 'key-auth': {} }, { cors: {} }], /cors plugin is not supported/],
      [[{ 'key-auth': {} }, { 'jwt-auth': { _meta: { disable: true } } }], /jwt-auth .*_meta is not supported here/],
      [[{ 'key-auth': {} }, { 'jwt-auth': { header: 1 } }], /plugin jwt-auth check schema failed: property "header"/],
    ];
    for (const [auth_plugins, expected] of rows) {
      const { status, body } = await stage.gateway.admin('PUT', '/routes/multi-bad', {
        uri: '/multi-bad',
        plugins: { 'multi-auth': { auth_plugins } },
      });
      assert.equal(status, 400);
      assert.match((body as { error_msg: string }).error_msg, expected);
    }
  });
});

describe('consumer-restriction', () => {
  before(async () => {
    await put('/consumer_groups/staff', { plugins: {} });
    for (const name of ['ada', 'ben']) await consumer(name, { 'key-auth': { key: `restricted-${name}` } });
    await put('/consumers', {
      username: 'cleo',
      group_id: 'staff',
      plugins: { 'key-auth': { key: 'restricted-cleo' } },
    });
    await put('/services/restricted', { plugins: {} });
  });

  const forbidden = { message: 'The consumer_name is forbidden.' };
  const rows: [string, object, Record<string, number>][] = [
    ['a whitelist', { whitelist: ['ada'] }, { ada: 200, ben: 403 }],
    ['a blacklist', { blacklist: ['ada'] }, { ada: 403, ben: 200 }],
    ['both, the blacklist first', { whitelist: ['ada', 'ben'], blacklist: ['ada'] }, { ada: 403, ben: 200, cleo: 403 }],
    ['groups', { type: 'consumer_group_id', whitelist: ['staff'] }, { cleo: 200, ada: 401 }],
    [
      'methods',
      {
        allowed_by_methods: [
          { user: 'ada', methods: ['POST'] },
          { user: 'ben', methods: ['GET'] },
        ],
      },
      { ada: 403, ben: 200, cleo: 200 },
    ],
    [
      'methods beside a whitelist, which they do not widen',
      { whitelist: ['ada'], allowed_by_methods: [{ user: 'ben', methods: ['GET'] }] },
      { ada: 200, ben: 403, cleo: 403 },
    ],
    ['no methods of anybody', { blacklist: ['ada'], allowed_by_methods: [] }, { ada: 403, ben: 200 }],
    ['another status', { blacklist: ['ada'], rejected_code: 451 }, { ada: 451 }],
    ['services', { type: 'service_id', whitelist: ['restricted'] }, { ada: 200 }],
    ['routes', { type: 'route_id', whitelist: ['another'] }, { ada: 403 }],
  ];
  for (const [what, conf, expected] of rows) {
    test(`knows ${what}`, async () => {
      const url = await route({ 'key-auth': {}, 'consumer-restriction': conf }, { service_id: 'restricted' });
      for (const [name, status] of Object.entries(expected)) {
        assert.equal((await get(url, { apikey: `restricted-${name}` })).status, status, name);
      }
    });
  }

  test('says what it refuses', async () => {
    const headers = { apikey: 'restricted-ada' };
    assert.deepEqual(
      (await get(await route({ 'key-auth': {}, 'consumer-restriction': { blacklist: ['ada'] } }), headers)).json,
      forbidden,
    );
    const told = await route({
      'key-auth': {},
      'consumer-restriction': { blacklist: ['ada'], rejected_msg: 'not you' },
    });
    assert.deepEqual((await get(told, headers)).json, { message: 'not you' });
    const unknown = await get(await route({ 'consumer-restriction': { blacklist: ['ada'] } }));
    assert.equal(unknown.status, 401);
    assert.deepEqual(unknown.json, {
      message: 'The request is rejected, please check the consumer_name for this request',
    });
  });
});

test('no credential of a consumer is in any log', async () => {
  const url = await route({
    'key-auth': { header: 'x-gate', query: 'gate' },
    'file-logger': { path: 'logs/entries.log' },
  });
  await get(`${url}?gate=annas-key`);
  await get(url, { 'x-gate': 'annas-key' });
  const closed = await route({
    'key-auth': { header: 'x-gate', query: 'gate' },
    'ip-restriction': { blacklist: ['127.0.0.1'] },
    'file-logger': { path: 'logs/entries.log' },
  });
  const refused = await get(`${closed}?gate=annas-key`, { 'x-gate': 'annas-key' });
  assert.equal(refused.status, 403, 'refused before the key is looked at');
  await eventually(() => stage.gateway.readLog('entries.log').split('\n').length === 4);
  const logs = ['access.log', 'error.log', 'llm.log', 'entries.log']
    .map((name) => stage.gateway.readLog(name))
    .join('\n');
  assert.match(logs, /"consumer":\{"username":"anna"\}/);
  const secrets =
    /annas-key|multi-auth-key|multi-password|jacks-key|jacks-password|veras-|the-same-key|secret: with colon|a-shared-secret|restricted-ada/;
  assert.deepEqual(secrets.exec(logs + stage.gateway.output()), null);
});
