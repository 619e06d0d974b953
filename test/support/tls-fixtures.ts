import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** A certificate and its key, as PEM and as files: spread it into `tls.createServer`. */
export interface CertificateFixture {
  readonly cert: string;
  readonly key: string;
  readonly certFile: string;
  readonly keyFile: string;
}

function fixturePath(name: string): string {
  return fileURLToPath(new URL(`../fixtures/tls/${name}`, import.meta.url));
}

function loadCertificate(name: string): CertificateFixture {
  const certFile = fixturePath(`${name}.crt`);
  const keyFile = fixturePath(`${name}.key`);
  return { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8'), certFile, keyFile };
}

/** The authority that signed {@link serverCertificate} and {@link expiredCertificate}; made by scripts/make-test-certificates.sh. */
export const testCaFile = fixturePath('ca.crt');
export const testCa = readFileSync(testCaFile, 'utf8');

/** Valid until 2125 for api.openai.com, api.deepseek.com, api.aimlapi.com, *.openai.azure.com, localhost and 127.0.0.1. */
export const serverCertificate = loadCertificate('server');

/** Signed by the same authority, valid until 2125 for the hosts of all providers; those of Bedrock in us-east-1. */
export const providersCertificate = loadCertificate('providers');

/** The same names, valid until 2021-01-01. */
export const expiredCertificate = loadCertificate('expired');

/** The same names, signed by itself. */
export const selfSignedCertificate = loadCertificate('self-signed');

/** The authority of the certificates of gateways and their clients below, which are valid until 2125. */
export const gatewayCa = readFileSync(fixturePath('gateway-ca.crt'), 'utf8');

export const gatewayCertificates = {
  /** a.example, localhost and 127.0.0.1; ECDSA. */
  a: loadCertificate('a'),
  /** The same names, ECDSA. */
  aRenewed: loadCertificate('a-renewed'),
  /** The same names, RSA. */
  aRsa: loadCertificate('a-rsa'),
  b: loadCertificate('b'),
  /** `*.wild.example`. */
  wildcard: loadCertificate('wildcard'),
  /** old.example, valid until 2021-01-01. */
  old: loadCertificate('old'),
};

/** By how many authorities between {@link gatewayCa} and the client. */
export const clientCertificates = [
  loadCertificate('client'),
  loadCertificate('client-inner-1'),
  loadCertificate('client-inner-2'),
] as const;
