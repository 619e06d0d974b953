import type { DetailedPeerCertificate } from 'node:tls';

const hint = 'set apisix.ssl.ssl_trusted_certificate or ssl_verify: false';

/** A certificate of a large host carries a hundred names; more than these say nothing to a reader. */
const maxNames = 8;

/** OpenSSL's words for a first answer that is no TLS record. */
const notTlsCodes = new Set([
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_PACKET_LENGTH_TOO_LONG',
  'ERR_SSL_UNEXPECTED_MESSAGE',
]);

/** The end of the `code` of a handshake that ended with an alert or with our own refusal -> what that means. */
const handshakeProblems: readonly (readonly [ending: string, meaning: string])[] = [
  ['_ALERT_NO_APPLICATION_PROTOCOL', 'the server does not offer HTTP/1.1 (ALPN)'],
  ['_PROTOCOL_VERSION', 'the server supports no TLS version that is considered safe (1.2 or later)'],
  ['_UNSUPPORTED_PROTOCOL', 'the server supports no TLS version that is considered safe (1.2 or later)'],
  ['_UNRECOGNIZED_NAME', 'the server does not know this name (SNI)'],
  [
    '_ALERT_HANDSHAKE_FAILURE',
    'the server refused the handshake (no cipher in common, or it asks for a client certificate)',
  ],
];

/**
 * Says why a certificate is not accepted.
 *
 * @param code - `authorizationError` of the socket: a code of OpenSSL's X509_verify_cert or of Node
 *   (https://nodejs.org/api/tls.html#x509-certificate-error-codes).
 * @param certificate - What the server presented, with its chain.
 */
export function describeCertificateProblem(code: string, certificate: DetailedPeerCertificate): string {
  switch (code) {
    case 'CERT_HAS_EXPIRED':
      return describeExpiry(certificate);
    case 'CERT_NOT_YET_VALID':
      return `certificate is not valid yet (valid from ${toIso(certificate.valid_from)})`;
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
      return `self-signed certificate; ${hint}`;
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
      return `unknown certificate authority; ${hint}`;
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return `hostname mismatch: certificate is for ${certificateNames(certificate)}`;
    default:
      return `certificate not accepted (${code})`;
  }
}

/** Says why a TLS handshake ended before there was a certificate to judge. */
export function describeHandshakeError(error: NodeJS.ErrnoException & { readonly reason?: string }): string {
  const { code = '' } = error;
  if (notTlsCodes.has(code)) return 'the server does not speak TLS on this port';
  if (code === 'ECONNRESET' || code === 'EPIPE') return 'the server closed the connection during the handshake';
  for (const [ending, meaning] of handshakeProblems) {
    if (code.endsWith(ending)) return meaning;
  }
  // The message of an OpenSSL error is a line of its internals; its `reason` is the part for people.
  return error.reason ?? error.message;
}

/** The leaf may be in order while one above it has run out. */
function describeExpiry(leaf: DetailedPeerCertificate): string {
  let certificate = leaf;
  while (Date.parse(certificate.valid_to) > Date.now()) {
    const issuer: DetailedPeerCertificate | undefined = certificate.issuerCertificate;
    // A root names itself as its issuer.
    if (issuer === undefined || issuer === certificate) return 'certificate has expired';
    certificate = issuer;
  }
  const until = `valid until ${toIso(certificate.valid_to)}`;
  if (certificate === leaf) return `certificate has expired (${until})`;
  return `certificate of its issuer "${firstName(certificate.subject.CN)}" has expired (${until})`;
}

function certificateNames(certificate: DetailedPeerCertificate): string {
  const names = (certificate.subjectaltname ?? '')
    .split(', ')
    .map((entry) => entry.replace(/^(?:DNS|IP Address):/, ''))
    .filter((name) => name !== '');
  if (names.length === 0) return firstName(certificate.subject.CN);
  if (names.length <= maxNames) return names.join(', ');
  return `${names.slice(0, maxNames).join(', ')} and ${names.length - maxNames} more`;
}

function firstName(commonName: string | readonly string[] | undefined): string {
  return (typeof commonName === 'string' ? commonName : commonName?.[0]) ?? 'no name';
}

/** `Jan  1 00:00:00 2021 GMT` -> `2021-01-01T00:00:00Z`; a date that cannot be read is left as it is. */
function toIso(date: string): string {
  const time = new Date(date);
  return Number.isNaN(time.getTime()) ? date : time.toISOString().replace('.000Z', 'Z');
}
