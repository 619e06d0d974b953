import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { expiredCertificate, serverCertificate, testCa } from '../../test/support/tls-fixtures.ts';
import { ssl } from './ssl.ts';

const context = { catalogue: { get: () => undefined, names: () => [] }, checkVars: () => null, exists: () => true };
const invalid = 'invalid configuration: ';
const { cert, key } = serverCertificate;
const other = { cert: expiredCertificate.cert, key: expiredCertificate.key };
const noPem = 'canary'.repeat(30);

describe('a certificate', () => {
  const rows: readonly [about: string, conf: unknown, expected: string | null][] = [
    ['needs a name, a certificate and its key', { sni: 'a.example', cert, key }, null],
    ['may have several names', { snis: ['a.example', '*.a.example'], cert, key }, null],
    ['needs a name', { cert, key }, `${invalid}then clause did not match`],
    ['to show to upstreams needs none', { type: 'client', cert, key }, null],
    [
      'may have every field',
      {
        id: 'a',
        sni: 'a',
        cert,
        key,
        certs: [other.cert],
        keys: [other.key],
        client: { ca: testCa, depth: 2 },
        status: 0,
        ssl_protocols: ['TLSv1.2', 'TLSv1.3'],
        validity_start: 1,
        validity_end: 2,
        labels: { a: 'b' },
        desc: 'd',
      },
      null,
    ],
    ['may refer to secrets', { sni: 'a', cert: '$env://CERT', key: '$secret://vault/1/tls/key' }, null],
    [
      'refuses a broken reference',
      { sni: 'a', cert, key: '$env://' },
      `${invalid}key: expected $env://NAME or $env://NAME/key`,
    ],
    [
      'refuses a key that belongs to another certificate',
      { sni: 'a', cert, key: other.key },
      `${invalid}the key does not belong to the cert`,
    ],
    [
      'refuses what is no certificate',
      { sni: 'a', cert: noPem, key },
      `${invalid}failed to parse cert: expected a certificate in PEM format`,
    ],
    [
      'refuses what is no key, and does not repeat it',
      { sni: 'a', cert, key: noPem },
      `${invalid}failed to parse key: expected a private key in PEM format without a passphrase`,
    ],
    [
      'refuses further certificates without keys',
      { sni: 'a', cert, key, certs: [cert] },
      `${invalid}mismatched number of certs and keys`,
    ],
    [
      'looks at further pairs too',
      { sni: 'a', cert, key, certs: [cert], keys: [other.key] },
      `${invalid}certs and keys, item 1: the key does not belong to the cert`,
    ],
    [
      'refuses an authority that is none',
      { sni: 'a', cert, key, client: { ca: noPem } },
      `${invalid}failed to parse ca: expected a certificate in PEM format`,
    ],
    [
      'refuses an unknown version of TLS',
      { sni: 'a', cert, key, ssl_protocols: ['SSLv3'] },
      `${invalid}property "ssl_protocols" validation failed: failed to validate item 1: matches none of the enum values`,
    ],
  ];
  for (const [about, conf, expected] of rows) {
    it(about, () => assert.equal(ssl.check(conf, context), expected));
  }
});
