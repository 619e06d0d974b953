import { compileEndpoint } from '../../llm/endpoint.ts';
import { findProvider } from '../../llm/providers/index.ts';
import type { HealthCheck } from '../../upstream/health/health-check.ts';
import type { AiProxyMultiConf, MultiInstanceConf } from './schema.ts';

/** What is probed: the endpoint of each instance that has `checks`, with the credentials that its requests get. */
export function healthChecksOf(conf: AiProxyMultiConf): readonly HealthCheck[] {
  return conf.instances.flatMap((instance) => toHealthCheck(instance, conf.ssl_verify) ?? []);
}

function toHealthCheck(instance: MultiInstanceConf, verifyTls: boolean): HealthCheck | null {
  const { name, checks, auth } = instance;
  const provider = findProvider(instance.provider);
  if (checks === undefined || provider === undefined) return null;
  const { scheme, host, port } = compileEndpoint({
    provider,
    providerConf: instance.provider_conf,
    endpoint: instance.override?.endpoint,
  });
  return {
    name,
    origin: { scheme, host, port },
    checks,
    headers: auth.header ?? {},
    query: new URLSearchParams(auth.query).toString(),
    verifyTls,
  };
}
