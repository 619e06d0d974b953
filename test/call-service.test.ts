import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { callService } from '../src/cloud-auth/call-service.ts';
import { CredentialError } from '../src/cloud-auth/credential-error.ts';
import { fieldOf, startProvider, type Answer } from './support/mock-provider.ts';
import { selfSignedCertificate } from './support/tls-fixtures.ts';

const silent: Answer = () => {};
const call = {
  service: 'the safe',
  url: 'http://127.0.0.1:1/',
  method: 'GET',
  headers: {},
  timeoutMs: 5000,
  verifyTls: true,
} as const;

function failure(message: string | RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof CredentialError, String(error));
    if (typeof message === 'string') assert.equal(error.message, message);
    else assert.match(error.message, message);
    return true;
  };
}

describe('a call to a service that holds credentials', () => {
  it('sends method, headers and body and gives back any status with its text', async () => {
    await using server = await startProvider((_request, response) => response.writeHead(418).end('schön'));
    const headers = { 'x-a': 'b' };
    const body = Buffer.from('{}');
    const answer = await callService({ ...call, url: `${server.url}/p?q`, method: 'POST', headers, body });
    assert.deepEqual(answer, { status: 418, text: 'schön' });
    const [request] = server.requests;
    assert.equal(request?.method, 'POST');
    assert.equal(request?.target, '/p?q');
    assert.equal(fieldOf(request, 'x-a'), 'b');
    assert.equal(request?.body.toString(), '{}');
  });

  it('follows no redirect, which would take the credential along', async () => {
    await using server = await startProvider((_request, response) =>
      response.writeHead(307, { location: '/elsewhere' }).end(),
    );
    assert.equal((await callService({ ...call, url: server.url })).status, 307);
    assert.equal(server.requests.length, 1);
  });

  it('ends in time when nothing is answered', async () => {
    await using server = await startProvider(silent);
    const answer = callService({ ...call, url: server.url, timeoutMs: 50 });
    await assert.rejects(answer, failure('the safe did not answer within 0.05 s'));
  });

  it('ends in time when the answer stops in the middle', async () => {
    await using server = await startProvider((_request, response) => response.writeHead(200).write('{'));
    const answer = callService({ ...call, url: server.url, timeoutMs: 50 });
    await assert.rejects(answer, failure('the safe did not answer within 0.05 s'));
  });

  it('tells why there is no connection', async () => {
    await assert.rejects(callService(call), failure('the safe cannot be reached: ECONNREFUSED'));
  });

  it('tells when the connection is lost', async () => {
    await using server = await startProvider((_request, response) => response.destroy());
    await assert.rejects(callService({ ...call, url: server.url }), failure('the safe cannot be reached: ECONNRESET'));
  });

  it('reads no more than 1 MiB', async () => {
    await using server = await startProvider((_request, response) => response.end(Buffer.alloc(1024 * 1024 + 1)));
    const answer = callService({ ...call, url: server.url });
    await assert.rejects(answer, failure('the answer of the safe is larger than 1 MiB'));
  });

  it('verifies the certificate, unless told not to', async () => {
    await using server = await startProvider((_request, response) => response.end('ok'), {
      tls: selfSignedCertificate,
    });
    await assert.rejects(
      callService({ ...call, url: server.url }),
      failure(/^the safe cannot be reached: [A-Z_]*SELF_SIGNED[A-Z_]*$/),
    );
    assert.equal((await callService({ ...call, url: server.url, verifyTls: false })).text, 'ok');
  });

  for (const url of ['', '127.0.0.1:8200', 'ftp://h/', 'http://h:99999/']) {
    it(`refuses the address ${JSON.stringify(url)}`, () =>
      assert.rejects(callService({ ...call, url }), failure('the address of the safe is not an http(s) URL')));
  }

  it('refuses a credential that would end its header, without repeating it', () =>
    assert.rejects(
      callService({ ...call, headers: { 'x-vault-token': 'hvs.SECRET\n' } }),
      failure('the header x-vault-token for the safe would not consist of printable ASCII characters'),
    ));
});
