import type { AiProxyConf } from './ai-proxy-schema.ts';
import { compileEndpoint, type CompiledEndpoint } from './endpoint.ts';
import type { Provider } from './providers/define-provider.ts';
import { findProvider } from './providers/index.ts';
import type { BodyRules } from './request-body.ts';
import { compileRequestHeaders, type RequestHeaderRules } from './request-headers.ts';

/** One configured provider, ready to be called: immutable, and with nothing left to compute that no request changes. */
export interface LlmTarget {
  /** Its name in metrics, in limits and in the log: `ai-proxy-<provider>`. */
  readonly instanceName: string;
  readonly provider: Provider;
  readonly endpoint: CompiledEndpoint;
  readonly requestHeaders: RequestHeaderRules;
  readonly bodyRules: BodyRules;
  /** For connecting, for sending and for each read, one by one. */
  readonly timeoutMs: number;
  readonly maxRequestBodyBytes: number;
  /** null: no connection is kept. */
  readonly keepalive: { readonly idleTimeoutMs: number; readonly maxIdle: number } | null;
  readonly verifiesCertificate: boolean;
  /** 0: each piece of a streamed answer is sent as it comes. */
  readonly flushIntervalMs: number;
  readonly logsSummaries: boolean;
  readonly logsPayloads: boolean;
  /** A hosted provider without any credential: most likely a mistake, worth a warning. */
  readonly lacksCredential: boolean;
}

/**
 * Joins provider, endpoint, authentication and settings.
 *
 * @param conf - Valid by the schema and by `checkAiProxy`.
 */
export function compileLlmTarget(conf: AiProxyConf): LlmTarget {
  const provider = findProvider(conf.provider);
  if (provider === undefined) throw new Error(`ai provider: ${conf.provider} is not supported.`);
  const { header = {}, query = {} } = conf.auth;
  const hasCredential = Object.keys(header).length > 0 || Object.keys(query).length > 0;
  const endpoint = compileEndpoint({ provider, endpoint: conf.override?.endpoint, authQuery: query });
  return {
    instanceName: `ai-proxy-${provider.name}`,
    provider,
    endpoint,
    requestHeaders: compileRequestHeaders({ host: endpoint.hostHeader, authHeader: header, hasCredential }),
    bodyRules: { options: conf.options ?? {}, removesModel: provider.removesModel },
    timeoutMs: conf.timeout,
    maxRequestBodyBytes: conf.max_req_body_size,
    keepalive: conf.keepalive ? { idleTimeoutMs: conf.keepalive_timeout, maxIdle: conf.keepalive_pool } : null,
    verifiesCertificate: conf.ssl_verify,
    flushIntervalMs: conf.streaming_flush_interval_ms ?? 0,
    logsSummaries: conf.logging?.summaries ?? false,
    logsPayloads: conf.logging?.payloads ?? false,
    lacksCredential: provider.hosted && !hasCredential,
  };
}
