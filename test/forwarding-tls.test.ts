import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { startForwarding } from './support/forward-stage.ts';
import { call } from './support/http-call.ts';
import { startProvider } from './support/mock-provider.ts';
import { providersCertificate, selfSignedCertificate, serverCertificate } from './support/tls-fixtures.ts';

/** A server that asks for a certificate, takes any, and answers with its fingerprint. */
async function startAsking() {
  const server = createServer(
    { ...serverCertificate, requestCert: true, rejectUnauthorized: false },
    ({ socket }: IncomingMessage, response: ServerResponse) =>
      void response.end((socket as TLSSocket).getPeerCertificate().fingerprint256 ?? 'none'),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

describe('scheme https', () => {
  const rows: readonly (readonly [what: string, conf: object, host: string, servername: string | null])[] = [
    ['pass_host pass: the name that the client asked for', {}, 'client.example:8443', 'client.example'],
    ['pass_host node: that of the node', { pass_host: 'node' }, 'client.example', 'localhost'],
    [
      'pass_host rewrite: what is configured',
      { pass_host: 'rewrite', upstream_host: 'api.openai.com' },
      'client.example',
      'api.openai.com',
    ],
    ['an address is no name', {}, '127.0.0.1', 'localhost'],
  ];
  for (const [what, conf, host, servername] of rows) {
    test(`SNI, ${what}`, async () => {
      await using upstream = await startProvider((_request, response) => void response.end('ok'), {
        tls: serverCertificate,
      });
      await using stage = await startForwarding({
        scheme: 'https',
        nodes: { [`localhost:${upstream.port}`]: 1 },
        ...conf,
      });
      const result = await call(stage.url, { method: 'GET', headers: { Host: host } });
      assert.equal(result.text, 'ok');
      assert.equal(upstream.requests[0]?.servername, servername);
    });
  }

  test('connections for different names are not mixed up, those for one name are kept', async () => {
    await using upstream = await startProvider(({ servername }, response) => void response.end(servername), {
      tls: serverCertificate,
    });
    await using stage = await startForwarding({ scheme: 'https', nodes: { [`127.0.0.1:${upstream.port}`]: 1 } });
    for (const host of ['a.example', 'b.example', 'a.example', 'b.example']) {
      assert.equal((await call(stage.url, { method: 'GET', headers: { Host: host } })).text, host);
    }
    assert.equal(upstream.connectionCount(), 2);
  });

  const verification: readonly (readonly [
    what: string,
    certificate: typeof serverCertificate,
    tls: object,
    status: number,
  ])[] = [
    ['not asked for: any certificate will do', selfSignedCertificate, {}, 200],
    ['tls.verify: a good one', serverCertificate, { verify: true }, 200],
    ['tls.verify: one of an unknown authority', selfSignedCertificate, { verify: true }, 502],
    ['tls.verify: one for other names', providersCertificate, { verify: true }, 502],
  ];
  for (const [what, certificate, tls, status] of verification) {
    test(`${what}: ${status}`, async () => {
      await using upstream = await startProvider((_request, response) => void response.end('ok'), { tls: certificate });
      const nodes = { [`localhost:${upstream.port}`]: 1 };
      await using stage = await startForwarding({ scheme: 'https', pass_host: 'node', nodes, tls });
      const result = await call(stage.url, { method: 'GET' });
      assert.equal(result.status, status);
      if (status === 502) assert.equal((await stage.over(1)).errorCode, 'UPSTREAM_TLS');
    });
  }
});

describe('client certificates', () => {
  const { cert, key } = selfSignedCertificate;
  const brokenCertificate = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';

  async function shownBy(tls: object, find?: (id: string) => { cert: string; key: string } | null): Promise<string> {
    await using upstream = await startAsking();
    const nodes = { [`127.0.0.1:${upstream.port}`]: 1 };
    await using stage = await startForwarding(
      { scheme: 'https', nodes, tls },
      find === undefined ? {} : { findClientCertificate: find },
    );
    return (await call(stage.url, { method: 'GET' })).text;
  }

  test('client_cert and client_key are shown; without them nothing is', async () => {
    assert.equal(await shownBy({}), 'none');
    const shown = await shownBy({ client_cert: cert, client_key: key });
    assert.match(shown, /^[0-9A-F:]{95}$/);
    assert.equal(await shownBy({ client_cert_id: 7 }, (id) => (id === '7' ? { cert, key } : null)), shown);
    const other = { client_cert: providersCertificate.cert, client_key: providersCertificate.key };
    assert.notEqual(await shownBy(other), shown);
  });

  const wrong: readonly (readonly [what: string, tls: object, message: RegExp])[] = [
    ['a key of another certificate', { client_cert: cert, client_key: serverCertificate.key }, /key does not belong/],
    ['a certificate that is none', { client_cert: 'x'.repeat(200), client_key: key }, /failed to parse cert/],
    ['an id that nothing has', { client_cert_id: 'c' }, /tls\.client_cert_id: there is no ssl "c" of the type client/],
    [
      'a chain with a broken link',
      { client_cert: cert + brokenCertificate, client_key: key },
      /cannot be used for TLS/,
    ],
  ];
  for (const [what, tls, message] of wrong) {
    test(`${what} is refused, without a word of the key`, async () => {
      await assert.rejects(
        async () =>
          startForwarding({ scheme: 'https', nodes: { 'a:1': 1 }, tls }, { findClientCertificate: () => null }),
        (error: Error) => message.test(error.message) && !error.message.includes(key.slice(40, 80)),
      );
    });
  }
});

describe('what Weir does not speak is refused', () => {
  const rows: readonly (readonly [conf: object, message: RegExp])[] = [
    ...['grpc', 'grpcs', 'tcp', 'tls', 'udp', 'kafka'].map(
      (scheme) => [{ scheme, nodes: { 'a:1': 1 } }, /expected http or https/] as const,
    ),
    [{ service_name: 's', discovery_type: 'dns' }, /discovery_type/],
    [{ nodes: { 'a:x': 1 } }, /nodes/],
    [{ nodes: { 'a:1': 1 }, type: 'random' }, /type/],
  ];
  for (const [conf, message] of rows) {
    test(JSON.stringify(conf), async () => {
      await assert.rejects(async () => startForwarding(conf), message);
    });
  }
});
