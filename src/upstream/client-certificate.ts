import { createHash } from 'node:crypto';

/** What the gateway shows of itself to an upstream that asks for it in TLS. */
export interface ClientCertificate {
  /** PEM, followed by those of its issuers if the upstream does not have them. */
  readonly cert: string;
  /** PEM. */
  readonly key: string;
  /** Differs from those of all others; holds nothing secret. */
  readonly id: string;
}

/** @param pair - Checked: both can be read and belong together. */
export function toClientCertificate({ cert, key }: { readonly cert: string; readonly key: string }): ClientCertificate {
  return { cert, key, id: createHash('sha256').update(cert).update('\0').update(key).digest('base64') };
}
