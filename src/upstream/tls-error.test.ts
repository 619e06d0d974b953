import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import type { DetailedPeerCertificate } from 'node:tls';
import { expiredCertificate, serverCertificate } from '../../test/support/tls-fixtures.ts';
import { describeCertificateProblem, describeHandshakeError } from './tls-error.ts';

function parse({ cert }: { cert: string }, changes: Partial<DetailedPeerCertificate> = {}): DetailedPeerCertificate {
  return Object.assign(new X509Certificate(cert).toLegacyObject() as DetailedPeerCertificate, changes);
}

const valid = parse(serverCertificate);
const expired = parse(expiredCertificate);
const manyNames = Array.from({ length: 11 }, (_, index) => `DNS:h${index}.example`).join(', ');

const certificateRows = [
  {
    code: 'CERT_HAS_EXPIRED',
    certificate: expired,
    text: /^certificate has expired \(valid until 2021-01-01T00:00:00Z\)$/,
  },
  {
    code: 'CERT_HAS_EXPIRED',
    certificate: parse(serverCertificate, { issuerCertificate: expired }),
    text: /^certificate of its issuer "Weir expired test server" has expired \(valid until 2021-01-01T00:00:00Z\)$/,
  },
  { code: 'CERT_HAS_EXPIRED', certificate: valid, text: /^certificate has expired$/ },
  { code: 'CERT_NOT_YET_VALID', certificate: valid, text: /not valid yet \(valid from 2020-01-01T00:00:00Z\)/ },
  { code: 'DEPTH_ZERO_SELF_SIGNED_CERT', certificate: valid, text: /^self-signed certificate; set apisix\.ssl/ },
  { code: 'SELF_SIGNED_CERT_IN_CHAIN', certificate: valid, text: /^unknown certificate authority; set apisix\.ssl/ },
  { code: 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY', certificate: valid, text: /^unknown certificate authority/ },
  {
    code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    certificate: valid,
    text: /^hostname mismatch: certificate is for api\.openai\.com, .*localhost, 127\.0\.0\.1$/,
  },
  {
    code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    certificate: parse(serverCertificate, { subjectaltname: manyNames }),
    text: /^hostname mismatch: certificate is for h0\.example, .*h7\.example and 3 more$/,
  },
  {
    code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    certificate: parse(serverCertificate, { subjectaltname: '' }),
    text: /certificate is for Weir test server$/,
  },
  { code: 'CERT_REVOKED', certificate: valid, text: /^certificate not accepted \(CERT_REVOKED\)$/ },
];

for (const { code, certificate, text } of certificateRows) {
  test(`${code} is described as ${text.source}`, () => {
    assert.match(describeCertificateProblem(code, certificate), text);
  });
}

const handshakeRows = [
  { code: 'ERR_SSL_WRONG_VERSION_NUMBER', text: 'the server does not speak TLS on this port' },
  { code: 'ECONNRESET', text: 'the server closed the connection during the handshake' },
  { code: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL', text: 'the server does not offer HTTP/1.1 (ALPN)' },
  { code: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME', text: 'the server does not know this name (SNI)' },
  { code: 'ERR_SSL_BAD_ECPOINT', text: 'bad ecpoint' },
];

for (const { code, text } of handshakeRows) {
  test(`a handshake that ends with ${code} is described for people`, () => {
    const error = Object.assign(new Error('4083E4C0007F0000:error:0A00'), { code, reason: 'bad ecpoint' });
    assert.equal(describeHandshakeError(error), text);
  });
}
