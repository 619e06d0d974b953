import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { AwsSigV4 } from '../src/cloud-auth/aws-sigv4.ts';
import { CredentialError } from '../src/cloud-auth/credential-error.ts';
import { secretManagerKinds } from '../src/secret-manager/index.ts';
import { readSecret } from '../src/secret-manager/secret-manager.ts';
import { createValidator } from '../src/schema/validator.ts';
import { answerJson, googlePrivateKey, readAssertion } from './support/google.ts';
import { fieldOf, startProvider, type Provider, type RecordedRequest } from './support/mock-provider.ts';

const { vault, aws, gcp } = secretManagerKinds;

function failure(message: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof CredentialError, String(error));
    assert.equal(error.message, message);
    return true;
  };
}

function startJsonServer(status: number, body: unknown): Promise<Provider> {
  return startProvider((_request, response) => answerJson(response, status, body));
}

describe('vault', () => {
  const version1 = { request_id: 'r', lease_duration: 2764800, data: { 'auth-key': 'value', ttl: '1h' } };
  const version2 = {
    request_id: 'r',
    data: { data: { 'auth-key': 'value' }, metadata: { version: 3, deletion_time: '', destroyed: false } },
  };

  it('is asked for the secret under its prefix, with token and namespace', async () => {
    await using server = await startJsonServer(200, version1);
    const manager = vault.create({ uri: `${server.url}/`, prefix: '/kv/apisix/', token: 'hvs.t', namespace: 'team/a' });
    assert.equal(await readSecret(manager, 'consumers/jack & jill', 'auth-key'), 'value');
    const [request] = server.requests;
    assert.equal(`${request?.method} ${request?.target}`, 'GET /v1/kv/apisix/consumers/jack%20%26%20jill');
    assert.equal(fieldOf(request, 'x-vault-token'), 'hvs.t');
    assert.equal(fieldOf(request, 'x-vault-namespace'), 'team/a');
  });

  it('may have no namespace', async () => {
    await using server = await startJsonServer(200, version1);
    await readSecret(vault.create({ uri: server.url, prefix: 'kv', token: 't' }), 'jack', 'ttl');
    assert.equal(fieldOf(server.requests[0], 'x-vault-namespace'), undefined);
  });

  const shapes: readonly [about: string, answer: unknown, key: string, value: string][] = [
    ['KV version 1', version1, 'auth-key', 'value'],
    ['KV version 2', version2, 'auth-key', 'value'],
    ['KV version 1 with keys named data and metadata', { data: { data: 'd', metadata: 'm' } }, 'data', 'd'],
    ['a number', { data: { port: 6379 } }, 'port', '6379'],
    ['a boolean', { data: { on: false } }, 'on', 'false'],
    ['an empty value', { data: { none: '' } }, 'none', ''],
  ];
  for (const [about, answer, key, value] of shapes) {
    it(`gives ${about}`, async () => {
      await using server = await startJsonServer(200, answer);
      const manager = vault.create({ uri: server.url, prefix: 'kv', token: 't' });
      assert.equal(await readSecret(manager, 'jack', key), value);
    });
  }

  const failures: readonly [status: number, answer: unknown, message: string][] = [
    [403, { errors: ['permission denied for leak'] }, 'vault answered 403'],
    [404, { errors: [] }, 'vault answered 404: there is no such secret'],
    [503, { errors: ['Vault is sealed'] }, 'vault answered 503'],
    [200, 'leak', 'vault answered 200 without data'],
    [200, { data: null }, 'vault answered 200 without data'],
    [200, { data: {} }, 'key "auth-key" is not in the secret'],
    [200, { data: { 'auth-key': { a: 'leak' } } }, 'key "auth-key" of the secret is neither a string nor a number'],
    [200, { data: { 'auth-key': null } }, 'key "auth-key" of the secret is neither a string nor a number'],
  ];
  for (const [status, answer, message] of failures) {
    it(`that answers ${status} ${JSON.stringify(answer)} is "${message}"`, async () => {
      await using server = await startJsonServer(status, answer);
      const manager = vault.create({ uri: server.url, prefix: 'kv', token: 't' });
      await assert.rejects(readSecret(manager, 'jack', 'auth-key'), failure(message));
    });
  }

  it('gives nothing that every object has', async () => {
    await using server = await startJsonServer(200, version1);
    const manager = vault.create({ uri: server.url, prefix: 'kv', token: 't' });
    await assert.rejects(readSecret(manager, 'jack', 'toString'), failure('key "toString" is not in the secret'));
  });

  for (const name of ['../other/jack', 'a/../../../sys/x', './jack', '..']) {
    it(`is not asked for ${name}, which leads out of the prefix`, async () => {
      await using server = await startJsonServer(200, version1);
      const manager = vault.create({ uri: server.url, prefix: 'kv', token: 't' });
      const message = 'the path of a secret must not have the segments "." and ".."';
      await assert.rejects(readSecret(manager, name, 'auth-key'), failure(message));
      assert.equal(server.requests.length, 0);
    });
  }
});

describe('aws', () => {
  const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'shared+secret', sessionToken: 'token==' };
  const conf = {
    access_key_id: credentials.accessKeyId,
    secret_access_key: credentials.secretAccessKey,
    session_token: credentials.sessionToken,
  };

  /** Signs the request again with the shared secret, as AWS does, and compares. */
  function assertSigned(request: RecordedRequest | undefined, region: string): void {
    assert.ok(request);
    const authorization = fieldOf(request, 'authorization');
    const headers: Record<string, string> = {};
    for (const name of ['content-type', 'host', 'x-amz-target']) headers[name] = fieldOf(request, name) ?? '';
    const time = (fieldOf(request, 'x-amz-date') ?? '').replace(/^(....)(..)(..)T(..)(..)/, '$1-$2-$3T$4:$5:');
    const expected = new AwsSigV4(credentials, { region, service: 'secretsmanager' }).sign(
      { ...request, headers },
      new Date(time),
    );
    assert.equal(authorization, expected['authorization']);
    assert.match(authorization ?? '', /SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, /);
    assert.ok(Math.abs(Date.parse(time) - Date.now()) < 60_000);
  }

  it('is asked for the current version with a signed request', async () => {
    await using server = await startJsonServer(200, { Name: 'a/jack', SecretString: '{"auth-key":"value"}' });
    const manager = aws.create({ ...conf, region: 'eu-west-1', endpoint_url: server.url });
    assert.equal(await readSecret(manager, 'a/jack', 'auth-key'), 'value');
    const [request] = server.requests;
    assert.equal(`${request?.method} ${request?.target}`, 'POST /');
    assert.equal(fieldOf(request, 'x-amz-target'), 'secretsmanager.GetSecretValue');
    assert.equal(fieldOf(request, 'content-type'), 'application/x-amz-json-1.1');
    assert.equal(fieldOf(request, 'host'), `127.0.0.1:${server.port}`);
    assert.equal(fieldOf(request, 'x-amz-security-token'), 'token==');
    assert.deepEqual(JSON.parse(String(request?.body)), { SecretId: 'a/jack', VersionStage: 'AWSCURRENT' });
    assertSigned(request, 'eu-west-1');
  });

  it('is in us-east-1 if nothing else is said', async () => {
    await using server = await startJsonServer(200, { SecretString: '{"k":"v"}' });
    await readSecret(aws.create({ ...conf, endpoint_url: server.url }), 'jack', 'k');
    assertSigned(server.requests[0], 'us-east-1');
  });

  const failures: readonly [status: number, answer: unknown, message: string][] = [
    [
      400,
      { __type: 'com.amazonaws.secretsmanager#ResourceNotFoundException', Message: 'leak' },
      'AWS Secrets Manager answered 400: ResourceNotFoundException',
    ],
    [
      400,
      { __type: 'AccessDeniedException', Message: 'leak' },
      'AWS Secrets Manager answered 400: AccessDeniedException',
    ],
    [500, '<leak>', 'AWS Secrets Manager answered 500'],
    [400, { __type: 'leak leak' }, 'AWS Secrets Manager answered 400'],
    [200, { SecretBinary: 'bGVhaw==' }, 'the secret has no SecretString'],
    [200, { SecretString: 'leak' }, 'the secret is not a JSON object, so it has no keys'],
    [200, { SecretString: '{"other":"leak"}' }, 'key "auth-key" is not in the secret'],
  ];
  for (const [status, answer, message] of failures) {
    it(`that answers ${status} ${JSON.stringify(answer)} is "${message}"`, async () => {
      await using server = await startJsonServer(status, answer);
      const manager = aws.create({ ...conf, endpoint_url: server.url });
      await assert.rejects(readSecret(manager, 'jack', 'auth-key'), failure(message));
    });
  }

  it('has an endpoint_url that can be one', () => {
    const message = 'the address of AWS Secrets Manager is not a URL';
    assert.throws(() => aws.create({ ...conf, endpoint_url: 'http://h:99999' }), failure(message));
  });
});

describe('gcp', () => {
  const tokenAnswer = { access_token: 'ya29.token', expires_in: 3600, token_type: 'Bearer' };

  /** Google's token endpoint and Secret Manager on one port. */
  function startGoogle(status: number, answer: unknown): Promise<Provider> {
    return startProvider((request, response) => {
      if (request.target === '/token') answerJson(response, 200, tokenAnswer);
      else answerJson(response, status, answer);
    });
  }

  function authConfig(server: Provider): Record<string, unknown> {
    return {
      client_email: 'weir@project.iam.gserviceaccount.com',
      private_key: googlePrivateKey,
      project_id: 'apisix',
      token_uri: `${server.url}/token`,
      entries_uri: `${server.url}/v1/`,
    };
  }

  function payload(text: string): unknown {
    return { name: 'projects/1/secrets/jack/versions/1', payload: { data: Buffer.from(text).toString('base64') } };
  }

  it('is asked for the latest version with a token of the service account', async () => {
    await using server = await startGoogle(200, payload('{"auth-key":"välue"}'));
    const manager = gcp.create({ auth_config: { ...authConfig(server), scope: ['https://a/b', 'https://c/d'] } });
    assert.equal(await readSecret(manager, 'jack', 'auth-key'), 'välue');
    const [grant, access] = server.requests;
    const { claims } = readAssertion(grant);
    assert.ok(typeof claims === 'object' && claims !== null && 'scope' in claims);
    assert.equal(claims.scope, 'https://a/b https://c/d');
    assert.equal(`${access?.method} ${access?.target}`, 'GET /v1/projects/apisix/secrets/jack/versions/latest:access');
    assert.equal(fieldOf(access, 'authorization'), 'Bearer ya29.token');
  });

  it('gets one token for many secrets', async () => {
    await using server = await startGoogle(200, payload('{"k":"v"}'));
    const manager = gcp.create({ auth_config: authConfig(server) });
    for (const name of ['a', 'b', 'a/../b']) await readSecret(manager, name, 'k');
    assert.deepEqual(
      server.requests.map(({ target }) => target),
      [
        '/token',
        ...['a', 'b', 'a%2F..%2Fb'].map((name) => `/v1/projects/apisix/secrets/${name}/versions/latest:access`),
      ],
    );
  });

  it('takes the service account from auth_file as it is at that moment', async () => {
    await using server = await startGoogle(200, payload('{"k":"v"}'));
    const folder = await mkdtemp(join(tmpdir(), 'weir-gcp-'));
    try {
      const file = join(folder, 'key.json');
      const manager = gcp.create({ auth_file: file });
      const read = (): Promise<string> => readSecret(manager, 'jack', 'k');
      await assert.rejects(read(), failure('auth_file of the secret manager cannot be read'));
      await writeFile(file, '[]');
      await assert.rejects(read(), failure('auth_file of the secret manager is not a JSON object'));
      await writeFile(file, JSON.stringify({ ...authConfig(server), project_id: undefined }));
      await assert.rejects(read(), failure('project_id of the service account must be a string that is not empty'));
      await writeFile(file, JSON.stringify(authConfig(server)));
      assert.equal(await read(), 'v');
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  const failures: readonly [status: number, answer: unknown, message: string][] = [
    [403, { error: { message: 'leak' } }, 'GCP Secret Manager answered 403'],
    [200, { payload: {} }, 'GCP Secret Manager answered 200 without payload.data'],
    [200, payload('leak'), 'the secret is not a JSON object, so it has no keys'],
    [200, payload('{}'), 'key "auth-key" is not in the secret'],
  ];
  for (const [status, answer, message] of failures) {
    it(`that answers ${status} ${JSON.stringify(answer)} is "${message}"`, async () => {
      await using server = await startGoogle(status, answer);
      const manager = gcp.create({ auth_config: authConfig(server) });
      await assert.rejects(readSecret(manager, 'jack', 'auth-key'), failure(message));
    });
  }
});

describe('the configuration of', () => {
  const key = { client_email: 'a@b', private_key: 'SECRET', project_id: 'p' };
  const rows: readonly [kind: keyof typeof secretManagerKinds, conf: unknown, fault: string | null][] = [
    ['vault', { uri: 'https://127.0.0.1:8200', prefix: 'kv/apisix', token: 'root' }, null],
    ['vault', { uri: '$env://VAULT_ADDR', prefix: 'kv', token: '$env://VAULT_TOKEN', namespace: 'n', id: '1' }, null],
    ['vault', { uri: 'https://h', prefix: 'kv' }, 'property "token" is required'],
    ['vault', { prefix: 'kv', token: 't' }, 'property "uri" is required'],
    ['vault', { uri: 'https://h', token: 't' }, 'property "prefix" is required'],
    [
      'vault',
      { uri: 'h', prefix: 'kv', token: 't' },
      String.raw`property "uri" validation failed: failed to match pattern "^[^\\/]+:\\/\\/([\\da-zA-Z.-]+|\\[[\\da-fA-F:]+\\])(:\\d+)?" with "h"`,
    ],
    ['aws', { access_key_id: 'a', secret_access_key: 's' }, null],
    ['aws', { access_key_id: 'a' }, 'property "secret_access_key" is required'],
    ['aws', { secret_access_key: 's' }, 'property "access_key_id" is required'],
    ['gcp', { auth_config: key }, null],
    ['gcp', { auth_file: '/etc/key.json', ssl_verify: false }, null],
    [
      'gcp',
      { auth_config: { ...key, project_id: undefined } },
      'property "auth_config" validation failed: property "project_id" is required',
    ],
    ['gcp', {}, 'value should match only one schema, but matches none'],
    [
      'gcp',
      { auth_config: key, auth_file: 'f' },
      'value should match only one schema, but matches both schemas 1 and 2',
    ],
  ];
  for (const [kind, conf, fault] of rows) {
    it(`${kind} ${JSON.stringify(conf)} is ${fault ?? 'right'}`, () => {
      const plain: unknown = JSON.parse(JSON.stringify(conf));
      assert.equal(createValidator(secretManagerKinds[kind].schema).check(plain), fault);
      if (fault === null) return;
      const message = `the secret manager is not configured correctly: ${fault}`;
      assert.throws(() => secretManagerKinds[kind].create(plain), failure(message));
    });
  }
});
