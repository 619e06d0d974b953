import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { isSecretReference } from './secret-reference.ts';

/** A certificate with its private key, both in PEM format. */
interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/**
 * Checks that a certificate (the first one, when a chain follows) and a private key are in PEM format and belong together.
 * A reference to a secret passes: what it stands for is not known yet.
 *
 * @returns `null`, or what is wrong. Nothing of the key is repeated.
 */
export function checkKeyPair({ cert, key }: KeyPair): string | null {
  const certificate = isSecretReference(cert) ? null : parseCertificate(cert);
  if (certificate === undefined) return 'failed to parse cert: expected a certificate in PEM format';
  const privateKey = isSecretReference(key) ? null : parsePrivateKey(key);
  if (privateKey === undefined) return 'failed to parse key: expected a private key in PEM format without a passphrase';
  if (certificate === null || privateKey === null) return null;
  if (!certificate.checkPrivateKey(privateKey)) return 'the key does not belong to the cert';
  return checkForTls({ cert, key });
}

/** The same for places where nobody resolves references to secrets. */
export function checkPlainKeyPair(pair: KeyPair): string | null {
  if (!isSecretReference(pair.cert) && !isSecretReference(pair.key)) return checkKeyPair(pair);
  return 'references to secrets are not supported here';
}

/** What OpenSSL has against them: a key that is too short, or a chain with something in it that is no certificate. */
function checkForTls({ cert, key }: KeyPair): string | null {
  try {
    // Without authorities, whose reading would take most of the time.
    createSecureContext({ cert, key, ca: [] });
    return null;
  } catch (error) {
    const reason = (error as { readonly reason?: unknown }).reason;
    return `the cert and the key cannot be used for TLS${typeof reason === 'string' ? `: ${reason}` : ''}`;
  }
}

/** `null`, or why a text holds no certificate of an authority. */
export function checkAuthority(ca: string): string | null {
  if (isSecretReference(ca) || parseCertificate(ca) !== undefined) return null;
  return 'failed to parse ca: expected a certificate in PEM format';
}

function parseCertificate(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

function parsePrivateKey(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem);
  } catch {
    return undefined;
  }
}
