import { longestTimerMs } from '../base/longest-timer.ts';
import type { AiProxyConf } from './ai-proxy-schema.ts';
import { compileBodyRules, type BodyRules } from './body-rules.ts';
import type { RequestSigner } from './auth/request-signer.ts';
import { compileComputedAuth, type ComputedAuth } from './computed-auth.ts';
import { compileEndpoint, type CompiledEndpoint } from './endpoint.ts';
import type { Provider } from './providers/define-provider.ts';
import { findProvider } from './providers/index.ts';
import { compileRequestHeaders, type RequestHeaderRules } from './request-headers.ts';

/** One configured provider, ready to be called: immutable, and with nothing left to compute that no request changes. */
export interface LlmTarget {
  /** Its name in metrics, in limits and in the log. By default `ai-proxy-<provider>`. */
  readonly instanceName: string;
  readonly provider: Provider;
  readonly endpoint: CompiledEndpoint;
  readonly requestHeaders: RequestHeaderRules;
  /** Gives each request the credential of `auth.gcp` or `auth.aws`; null: neither is configured. */
  readonly signer: RequestSigner | null;
  readonly bodyRules: BodyRules;
  /** For connecting, for sending and for each read, one by one. */
  readonly timeoutMs: number;
  readonly maxRequestBodyBytes: number;
  /** From the beginning of the attempt; null: no limit. */
  readonly maxStreamDurationMs: number | null;
  /** Of the answer's body; null: no limit. */
  readonly maxResponseBytes: number | null;
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
export function compileLlmTarget(conf: AiProxyConf, instanceName = `ai-proxy-${conf.provider}`): LlmTarget {
  const provider = findProvider(conf.provider);
  if (provider === undefined) throw new Error(`ai provider: ${conf.provider} is not supported.`);
  const { header = {}, query = {} } = conf.auth;
  const computedAuth = compileComputedAuth(conf, provider);
  const hasFixedCredential = Object.keys(header).length > 0 || Object.keys(query).length > 0;
  const endpoint = compileEndpoint({
    provider,
    providerConf: conf.provider_conf,
    endpoint: conf.override?.endpoint,
    authQuery: query,
  });
  return {
    instanceName,
    provider,
    endpoint,
    requestHeaders: headerRules(computedAuth, {
      host: endpoint.hostHeader,
      authHeader: header,
      hasCredential: hasFixedCredential || computedAuth !== null,
    }),
    signer: computedAuth?.signer ?? null,
    bodyRules: compileBodyRules({ provider, options: conf.options, override: conf.override }),
    timeoutMs: conf.timeout,
    maxRequestBodyBytes: conf.max_req_body_size,
    maxStreamDurationMs:
      conf.max_stream_duration_ms === undefined ? null : Math.min(conf.max_stream_duration_ms, longestTimerMs),
    maxResponseBytes: conf.max_response_bytes ?? null,
    keepalive: conf.keepalive ? { idleTimeoutMs: conf.keepalive_timeout, maxIdle: conf.keepalive_pool } : null,
    verifiesCertificate: conf.ssl_verify,
    flushIntervalMs: Math.min(conf.streaming_flush_interval_ms ?? 0, longestTimerMs),
    logsSummaries: conf.logging?.summaries ?? false,
    logsPayloads: conf.logging?.payloads ?? false,
    lacksCredential: provider.hosted && !hasFixedCredential && computedAuth?.isComplete !== true,
  };
}

type RequestHeaderSource = Parameters<typeof compileRequestHeaders>[0];

/** What a signer adds is set by nobody else: neither by `auth.header` nor by the client. */
function headerRules(computedAuth: ComputedAuth | null, source: RequestHeaderSource): RequestHeaderRules {
  if (computedAuth === null) return compileRequestHeaders(source);
  const { headerNames } = computedAuth;
  const configured = Object.entries(source.authHeader).filter(([name]) => !headerNames.includes(name.toLowerCase()));
  const rules = compileRequestHeaders({ ...source, authHeader: Object.fromEntries(configured) });
  return { ...rules, dropped: new Set([...rules.dropped, ...headerNames]) };
}
