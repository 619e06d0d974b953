import { isSecretReference } from '../config/secret-reference.ts';
import type { Upstream } from '../config/upstream.ts';
import { toClientCertificate, type ClientCertificate } from '../upstream/client-certificate.ts';

/** Finds what `tls.client_cert_id` names; null: there is no such thing. */
export type FindClientCertificate = (id: string) => { readonly cert: string; readonly key: string } | null;

/**
 * What an upstream is shown of the gateway in TLS; null: nothing is configured.
 *
 * @throws Error when `tls.client_cert_id` names nothing that can be used.
 */
export function clientCertificateOf({ tls }: Upstream, find: FindClientCertificate): ClientCertificate | null {
  const { client_cert: cert, client_key: key, client_cert_id: id } = tls ?? {};
  if (cert !== undefined && key !== undefined) return toClientCertificate({ cert, key });
  if (id === undefined) return null;
  const pair = find(String(id));
  if (pair === null) throw new Error(`upstream: tls.client_cert_id: there is no ssl "${id}" of the type client`);
  if (isSecretReference(pair.cert) || isSecretReference(pair.key)) {
    throw new Error(`upstream: tls.client_cert_id: the ssl "${id}" refers to a secret, which is not supported here`);
  }
  return toClientCertificate(pair);
}
