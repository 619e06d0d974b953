import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { afterEach, describe, it } from 'node:test';
import { WeirError } from '../src/base/errors.ts';
import { GoogleTokens } from '../src/cloud-auth/google-tokens.ts';
import { checkServiceAccountJson, createGcpSigner, type GcpSignerOptions } from '../src/llm/auth/gcp-signer.ts';
import type { RequestSigner } from '../src/llm/auth/request-signer.ts';
import { answerJson, googlePrivateKey, readAssertion } from './support/google.ts';
import { eventually } from './support/gateway.ts';
import { fieldOf, startProvider, type Answer, type Provider } from './support/mock-provider.ts';

const request = { method: 'POST', target: '/', host: 'aiplatform.googleapis.com', body: Buffer.alloc(0) };
const startMs = Date.parse('2026-01-01T00:00:00Z');

/** A token endpoint that grants `token-1`, `token-2`, ... */
async function startTokenEndpoint(expiresIn?: number | string): Promise<Provider> {
  let count = 0;
  return startProvider((message, response) => {
    readAssertion(message);
    answerJson(response, 200, { access_token: `token-${++count}`, token_type: 'Bearer', expires_in: expiresIn });
  });
}

function keyFile(endpoint: Provider, more: object = {}): string {
  return JSON.stringify({
    type: 'service_account',
    client_email: 'weir@project.iam.gserviceaccount.com',
    private_key: googlePrivateKey,
    token_uri: `${endpoint.url}/token`,
    ...more,
  });
}

/** Signers with a clock of their own, in seconds. */
function createSigners(): { at: number; signer: (options: GcpSignerOptions) => RequestSigner } {
  const clock = { at: 0, signer: (options: GcpSignerOptions) => createGcpSigner(options, tokens) };
  const tokens = new GoogleTokens(() => startMs + 1000 * clock.at);
  return clock;
}

function refusal(message: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof WeirError, String(error));
    assert.equal(error.code, 'LLM_AUTH');
    assert.equal(error.message, `failed to get the credential for the provider: ${message}`);
    return true;
  };
}

describe('the token grant', () => {
  it('is asked for with an assertion signed by the service account', async () => {
    await using endpoint = await startTokenEndpoint(3600);
    const clock = createSigners();
    const line = await clock.signer({ serviceAccountJson: keyFile(endpoint, { private_key_id: 'k1' }) }).sign(request);
    assert.equal(line, 'authorization: Bearer token-1\r\n');

    const [grant] = endpoint.requests;
    assert.equal(`${grant?.method} ${grant?.target}`, 'POST /token');
    assert.equal(fieldOf(grant, 'content-type'), 'application/x-www-form-urlencoded');
    assert.deepEqual(readAssertion(grant), {
      header: { alg: 'RS256', typ: 'JWT', kid: 'k1' },
      claims: {
        iss: 'weir@project.iam.gserviceaccount.com',
        scope: 'https://www.googleapis.com/auth/cloud-platform',
        aud: `${endpoint.url}/token`,
        iat: startMs / 1000,
        exp: startMs / 1000 + 3600,
      },
    });
  });

  it('is shared by all requests that wait for it, and by all signers with the same options', async () => {
    await using endpoint = await startTokenEndpoint(3600);
    const clock = createSigners();
    const options = { serviceAccountJson: keyFile(endpoint) };
    const signers = [clock.signer(options), clock.signer({ ...options, expireEarlySeconds: 60 })];
    const lines = await Promise.all([...signers, ...signers].map(async (signer) => signer.sign(request)));
    assert.deepEqual(new Set(lines), new Set(['authorization: Bearer token-1\r\n']));
    assert.equal(endpoint.requests.length, 1);
  });

  it('is not shared with another account or another lifetime', async () => {
    await using endpoint = await startTokenEndpoint(3600);
    const clock = createSigners();
    const json = keyFile(endpoint);
    const all: GcpSignerOptions[] = [
      { serviceAccountJson: json },
      { serviceAccountJson: json, maxTtlSeconds: 10 },
      { serviceAccountJson: json, expireEarlySeconds: 10 },
      { serviceAccountJson: keyFile(endpoint, { client_email: 'other@project' }) },
    ];
    for (const options of all) await clock.signer(options).sign(request);
    assert.equal(endpoint.requests.length, all.length);
  });
});

describe('a token', () => {
  const lifetimes: readonly [
    about: string,
    expiresIn: number | string | undefined,
    GcpSignerOptions,
    seconds: number,
  ][] = [
    ['60 s before it expires', 1060, {}, 1000],
    ['expire_early_secs before it expires', 1010, { expireEarlySeconds: 10 }, 1000],
    ['when it expires', 1000, { expireEarlySeconds: 0 }, 1000],
    ['after max_ttl', 3600, { maxTtlSeconds: 100 }, 100],
    ['60 s before it expires, although max_ttl is longer', 1060, { maxTtlSeconds: 9999 }, 1000],
    ['after an hour less 60 s, if the endpoint says nothing', undefined, {}, 3540],
    ['after an hour less 60 s, if the endpoint says nonsense', 'soon', {}, 3540],
    ['after a second, if expire_early_secs leaves nothing of it', 30, {}, 1],
  ];
  for (const [about, expiresIn, options, seconds] of lifetimes) {
    it(`is given up ${about}`, async () => {
      await using endpoint = await startTokenEndpoint(expiresIn);
      const clock = createSigners();
      const signer = clock.signer({ ...options, serviceAccountJson: keyFile(endpoint) });
      await signer.sign(request);
      clock.at = seconds * 0.89;
      assert.equal(signer.sign(request), 'authorization: Bearer token-1\r\n');
      assert.equal(endpoint.requests.length, 1);
      clock.at = seconds;
      assert.equal(await signer.sign(request), 'authorization: Bearer token-2\r\n');
    });
  }

  it('that is about to be given up is used while the next one is fetched, once', async () => {
    await using endpoint = await startTokenEndpoint(1060);
    const clock = createSigners();
    const signer = clock.signer({ serviceAccountJson: keyFile(endpoint) });
    await signer.sign(request);
    clock.at = 999;
    const lines = Array.from({ length: 5 }, () => signer.sign(request));
    assert.deepEqual(new Set(lines), new Set(['authorization: Bearer token-1\r\n']));
    await eventually(() => signer.sign(request) === 'authorization: Bearer token-2\r\n');
    assert.equal(endpoint.requests.length, 2);
  });

  it('that is good stays in use while the endpoint fails', async () => {
    await using endpoint = await startTokenEndpoint(1060);
    const clock = createSigners();
    const signer = clock.signer({ serviceAccountJson: keyFile(endpoint) });
    await signer.sign(request);
    endpoint.answer = (_message, response) => response.writeHead(503).end();
    for (const at of [998, 998.5, 999.9]) {
      clock.at = at;
      assert.equal(signer.sign(request), 'authorization: Bearer token-1\r\n');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    // Asked at 998 and, more than a second later, at 999.9.
    await eventually(() => endpoint.requests.length === 3);
    clock.at = 1001;
    await assert.rejects(async () => signer.sign(request), refusal('token endpoint answered 503'));
  });
});

describe('a grant that fails', () => {
  const answers: readonly [about: string, answer: Answer, message: string][] = [
    [
      'refused',
      (_message, response) =>
        answerJson(response, 401, { error: 'invalid_grant', error_description: 'leak of the assertion' }),
      'token endpoint answered 401: invalid_grant',
    ],
    [
      'refused in words of its own',
      (_message, response) => answerJson(response, 400, { error: { message: 'leak' } }),
      'token endpoint answered 400',
    ],
    ['not JSON', (_message, response) => response.writeHead(502).end('<html>leak'), 'token endpoint answered 502'],
    [
      'without a token',
      (_message, response) => answerJson(response, 200, { id_token: 'leak' }),
      'token endpoint answered 200 without a usable access_token',
    ],
    [
      'with a token that would end the header',
      (_message, response) => answerJson(response, 200, { access_token: 'leak\r\nX-Evil: 1' }),
      'token endpoint answered 200 without a usable access_token',
    ],
    ['cut off', (_message, response) => response.destroy(), 'token endpoint cannot be reached: ECONNRESET'],
  ];
  for (const [about, answer, message] of answers) {
    it(`because it is ${about} is told in short, without what the endpoint wrote`, async () => {
      await using endpoint = await startProvider(answer);
      const signer = createSigners().signer({ serviceAccountJson: keyFile(endpoint) });
      await assert.rejects(async () => signer.sign(request), refusal(message));
    });
  }

  it('is told to everybody who waits, and is tried again after a second', async () => {
    await using endpoint = await startProvider((_message, response) => response.writeHead(500).end());
    const clock = createSigners();
    const signer = clock.signer({ serviceAccountJson: keyFile(endpoint) });
    const waiting = Array.from({ length: 5 }, () => signer.sign(request));
    for (const one of waiting) await assert.rejects(async () => one, refusal('token endpoint answered 500'));
    clock.at = 0.9;
    assert.throws(() => signer.sign(request), refusal('token endpoint answered 500'));
    assert.equal(endpoint.requests.length, 1);

    endpoint.answer = (_message, response) => answerJson(response, 200, { access_token: 'late' });
    clock.at = 1;
    assert.equal(await signer.sign(request), 'authorization: Bearer late\r\n');
    assert.equal(endpoint.requests.length, 2);
  });
});

describe('a service account', () => {
  const ecKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' });
  const rows: readonly [json: string, message: string][] = [
    ['SECRET', 'the service account is not a JSON object'],
    ['["SECRET"]', 'the service account is not a JSON object'],
    ['{}', 'client_email of the service account must be a string that is not empty'],
    [
      '{"client_email":"a@b","private_key":["SECRET"]}',
      'private_key of the service account must be a string that is not empty',
    ],
    [
      '{"client_email":"a@b","private_key":"SECRET"}',
      'private_key of the service account must be an RSA private key in PEM',
    ],
    [
      JSON.stringify({ client_email: 'a@b', private_key: ecKey }),
      'private_key of the service account must be an RSA private key in PEM',
    ],
    [
      JSON.stringify({ client_email: 'a@b', private_key: googlePrivateKey, token_uri: 5 }),
      'token_uri of the service account must be a string that is not empty',
    ],
  ];
  for (const [json, message] of rows) {
    it(`that reads ${json.slice(0, 50)} is refused by name of the field`, () => {
      assert.throws(() => createGcpSigner({ serviceAccountJson: json }).sign(request), refusal(message));
    });
  }

  it('with a token_uri that is no URL is refused', () => {
    const serviceAccountJson = JSON.stringify({ client_email: 'a@b', private_key: googlePrivateKey, token_uri: 'x' });
    return assert.rejects(
      async () => createGcpSigner({ serviceAccountJson }).sign(request),
      refusal('the address of token endpoint is not an http(s) URL'),
    );
  });

  it('is checked at configuration time for being a JSON object at all', () => {
    assert.equal(checkServiceAccountJson('{}'), null);
    for (const text of ['', 'SECRET', '"SECRET"', '{"a":']) {
      const fault = checkServiceAccountJson(text);
      assert.equal(fault, 'invalid gcp service_account_json: expected the text of a JSON object');
    }
  });
});

describe('without auth.gcp.service_account_json', () => {
  afterEach(() => delete process.env['GCP_SERVICE_ACCOUNT']);

  it('the service account comes from GCP_SERVICE_ACCOUNT', async () => {
    await using endpoint = await startTokenEndpoint(3600);
    process.env['GCP_SERVICE_ACCOUNT'] = keyFile(endpoint);
    assert.equal(await createSigners().signer({}).sign(request), 'authorization: Bearer token-1\r\n');
  });

  it('and without GCP_SERVICE_ACCOUNT there is no credential', () => {
    const message = 'neither auth.gcp.service_account_json nor the environment variable GCP_SERVICE_ACCOUNT is set';
    assert.throws(() => createGcpSigner({}).sign(request), refusal(message));
  });
});
