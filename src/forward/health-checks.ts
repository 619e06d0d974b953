import { upstreamSchema, type Upstream } from '../config/upstream.ts';
import { createValidator } from '../schema/validator.ts';
import { toClientCertificate } from '../upstream/client-certificate.ts';
import type { HealthCheck } from '../upstream/health/health-check.ts';
import { listNodes } from './nodes.ts';

const validator = createValidator(upstreamSchema);

/** What is probed of an upstream: each of its nodes, if it has `checks`. @param given - Valid. */
export function upstreamHealthChecks(given: unknown): readonly HealthCheck[] {
  const conf = validator.withDefaults(given) as Upstream;
  const { checks, pass_host, upstream_host: host } = conf;
  if (checks === undefined) return [];
  // What requests are sent with, probes are sent with.
  const named = pass_host === 'rewrite' && host !== undefined ? { host, ...checks.active } : checks.active;
  const { client_cert: cert, client_key: key } = conf.tls ?? {};
  const clientCertificate = cert === undefined || key === undefined ? null : toClientCertificate({ cert, key });
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
