import type { LlmTarget } from '../../llm/target.ts';
import type { PluginEnv } from '../../pipeline/define-plugin.ts';
import type { PoolUse } from '../../upstream/connection.ts';
import type { AddressHealth } from '../../upstream/health/target-health.ts';
import type { Pool } from '../../upstream/pool.ts';
import { loggedUri } from './logged-uri.ts';

/** A provider of one route with the parts of this worker that calls to it use. Made when configuration changes. */
export interface LlmInstance {
  readonly target: LlmTarget;
  readonly pool: Pool;
  readonly use: PoolUse;
  /** `$upstream_uri` by protocol, for those with a fixed path. */
  readonly loggedTargets: Readonly<Record<string, string>>;
  /** Keep the text of answers, for payload logs or an access log that prints it. */
  readonly capturesText: boolean;
}

interface InstanceOptions {
  /** Whose configuration it is, for warnings: `ai-proxy`. */
  readonly subject: string;
  /** Of its addresses. Default: nobody checks them. */
  readonly health?: AddressHealth;
}

/** Gives a target its parts of this worker, and warns of a hosted provider without credential. */
export function createInstance(target: LlmTarget, env: PluginEnv, options: InstanceOptions): LlmInstance {
  const { subject, health } = options;
  const { scheme, host, port, targets, lockedArguments } = target.endpoint;
  if (target.lacksCredential) {
    env.configurationLog.warn(
      `${subject}: provider ${target.provider.name} is called without a credential; set auth.header, auth.query, auth.gcp or auth.aws`,
    );
  }
  const loggedTargets = Object.fromEntries(
    Object.entries(targets).map(([protocol, uri]) => [protocol, loggedUri(uri, lockedArguments)]),
  );
  return {
    target,
    pool: env.pools.get({ origin: { scheme, host, port }, verifyTls: target.verifiesCertificate }),
    use: {
      timeoutMs: target.timeoutMs,
      keepAlive: target.keepalive !== null,
      idleTimeoutMs: target.keepalive?.idleTimeoutMs ?? 0,
      maxIdle: target.keepalive?.maxIdle ?? 0,
      ...(health !== undefined && { health }),
    },
    loggedTargets,
    capturesText: target.logsPayloads || env.logsResponseText,
  };
}
