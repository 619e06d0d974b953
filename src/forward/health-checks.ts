import { upstreamSchema, type Upstream } from '../config/upstream.ts';
import { createValidator } from '../schema/validator.ts';
import type { HealthCheck } from '../upstream/health/health-check.ts';
import { clientCertificateOf, type FindClientCertificate } from './client-certificate.ts';
import { listNodes } from './nodes.ts';

const validator = createValidator(upstreamSchema);

/**
 * What is probed of an upstream: each of its nodes, if it has `checks`.
 *
 * @param given - Valid.
 * @throws Error when `tls.client_cert_id` names nothing that can be used.
 */
export function upstreamHealthChecks(given: unknown, find: FindClientCertificate): readonly HealthCheck[] {
  const conf = validator.withDefaults(given) as Upstream;
  const { checks, pass_host, upstream_host: host } = conf;
  if (checks === undefined) return [];
  // What requests are sent with, probes are sent with.
  const named = pass_host === 'rewrite' && host !== undefined ? { host, ...checks.active } : checks.active;
  const clientCertificate = clientCertificateOf(conf, find);
  const scheme = conf.scheme === 'https' ? 'https' : 'http';
  return listNodes(conf, scheme).map(({ name, origin }) => ({
    name,
    origin,
    checks: { ...checks, active: named },
    headers: {},
    query: '',
    verifyTls: conf.tls?.verify ?? false,
    ...(clientCertificate !== null && { clientCertificate }),
  }));
}
