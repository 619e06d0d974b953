import { longestTimerMs } from '../base/longest-timer.ts';
import { checkUpstream, upstreamSchema, type Upstream } from '../config/upstream.ts';
import type { RequestContext } from '../pipeline/context.ts';
import type { PluginEnv } from '../pipeline/define-plugin.ts';
import type { Target } from '../pipeline/target.ts';
import { createValidator } from '../schema/validator.ts';
import type { ImmediateBalancer } from '../upstream/balancer/balancer.ts';
import { createBalancer } from '../upstream/balancer/create-balancer.ts';
import type { ClientCertificate } from '../upstream/client-certificate.ts';
import type { PoolUse } from '../upstream/connection.ts';
import type { TargetHealth } from '../upstream/health/target-health.ts';
import { hostPort } from '../upstream/origin.ts';
import { clientCertificateOf, type FindClientCertificate } from './client-certificate.ts';
import { HttpTarget } from './http-target.ts';
import { createNodePools, type PoolByName } from './node-pools.ts';
import { defaultPorts, listNodes, type UpstreamNode } from './nodes.ts';

/** An upstream as a route uses it. */
export interface UpstreamRoute {
  /** The implicit last step of a route's access phase, where no plugin has chosen a target. */
  chooseTarget(ctx: RequestContext): Target;
}

export interface UpstreamOptions {
  /** The resource in which the upstream stands: `upstreams/1`, or `routes/1` of an inline one. Health and balancing go by it. */
  readonly owner: string;
  /** The route's own, which wins over that of the upstream. */
  readonly timeout?: Upstream['timeout'];
  /** `enable_websocket` of the route or its service. */
  readonly allowsWebSocket: boolean;
  /** Default: there are no certificates. */
  readonly findClientCertificate?: FindClientCertificate;
  readonly env: Pick<PluginEnv, 'pools' | 'health' | 'shared' | 'log'>;
}

/** A node with the parts of this worker that requests to it use. */
export interface ForwardNode {
  readonly name: string;
  /** `host:port`. */
  readonly address: string;
  /** The Host header that is sent; null: the client's. */
  readonly hostHeader: string | null;
  /** With the port unless it is that of the scheme: Host, where nobody names one. */
  readonly ownHost: string;
  /** The pool for the name that TLS is to show. */
  readonly poolFor: PoolByName;
  readonly use: PoolUse;
  readonly health: TargetHealth;
}

/** Everything about an upstream that no request changes. */
export interface CompiledUpstream {
  readonly scheme: 'http' | 'https';
  /** In the order of the configuration; the balancer knows them by their index. */
  readonly nodes: readonly ForwardNode[];
  readonly balancer: ImmediateBalancer;
  /** Attempts beyond the first. */
  readonly maxRetries: number;
  /** From the first attempt on; Infinity: no limit. */
  readonly retryWithinMs: number;
  readonly allowsWebSocket: boolean;
}

/** What does not depend on the route. */
interface UpstreamPlan {
  readonly conf: Upstream;
  readonly scheme: CompiledUpstream['scheme'];
  readonly nodes: readonly UpstreamNode[];
  readonly balancer: ImmediateBalancer;
}

/**
 * By memory, then by configuration: thousands of routes may share an upstream, and a hash ring for each of them would stop
 * the worker for seconds whenever it is changed.
 */
const plans = new WeakMap<UpstreamOptions['env']['shared'], WeakMap<object, UpstreamPlan>>();

const validator = createValidator(upstreamSchema);
const defaultTimeout = { connect: 60, send: 60, read: 60 };
const defaultPool = { size: 320, idle_timeout: 60, requests: 1000 };

/**
 * Prepares an upstream for the requests of one route, when configuration changes.
 *
 * @param given - With or without the defaults of the schema.
 * @throws Error when it is invalid, or refers to a certificate that is not there; the message names the field.
 */
export function compileUpstream(given: unknown, options: UpstreamOptions): UpstreamRoute {
  const { conf, scheme, nodes, balancer } = planOf(given, options);
  const clientCertificate = clientCertificateOf(conf, options.findClientCertificate ?? (() => null));
  const upstream: CompiledUpstream = {
    scheme,
    nodes: nodes.map((node) => compileNode(node, { conf, clientCertificate }, options)),
    balancer,
    maxRetries: conf.retries ?? Math.max(0, nodes.length - 1),
    retryWithinMs: (conf.retry_timeout ?? 0) === 0 ? Infinity : (conf.retry_timeout ?? 0) * 1000,
    allowsWebSocket: options.allowsWebSocket,
  };
  return { chooseTarget: () => new HttpTarget(upstream) };
}

function planOf(given: unknown, options: UpstreamOptions): UpstreamPlan {
  const { shared } = options.env;
  let known = plans.get(shared);
  if (known === undefined) {
    known = new WeakMap();
    plans.set(shared, known);
  }
  let plan = known.get(given as object);
  if (plan === undefined) {
    plan = createPlan(given, options);
    known.set(given as object, plan);
  }
  return plan;
}

function createPlan(given: unknown, { owner, env: { shared, log } }: UpstreamOptions): UpstreamPlan {
  const wrong = validator.check(given) ?? checkUpstream(given as Readonly<Record<string, unknown>>);
  if (wrong !== null) throw new Error(`upstream: ${wrong}`);
  const conf = validator.withDefaults(given) as Upstream;
  const scheme = conf.scheme === 'https' ? 'https' : 'http';
  const nodes = listNodes(conf, scheme);
  const { type, hash_on, key } = conf;
  const balancer = createBalancer(
    nodes,
    { algorithm: type, hash_on, ...(key !== undefined && { key }) },
    { name: `${owner} upstream`, cells: shared.cells, running: shared.running, log },
  );
  return { conf, scheme, nodes, balancer };
}

function compileNode(
  node: UpstreamNode,
  { conf, clientCertificate }: { readonly conf: Upstream; readonly clientCertificate: ClientCertificate | null },
  options: UpstreamOptions,
): ForwardNode {
  const { origin, name } = node;
  const { env, owner } = options;
  const { connect, send, read } = options.timeout ?? conf.timeout ?? defaultTimeout;
  const { size, idle_timeout, requests } = conf.keepalive_pool ?? defaultPool;
  const health = env.health.of(owner, name, conf.checks);
  const ownHost =
    origin.port === defaultPorts[origin.scheme] ? bracketed(origin.host) : hostPort(origin.host, origin.port);
  return {
    name,
    address: hostPort(origin.host, origin.port),
    hostHeader: hostHeaderOf(conf, ownHost),
    ownHost,
    poolFor: createNodePools(env.pools, {
      origin,
      verifyTls: conf.tls?.verify ?? false,
      ...(clientCertificate !== null && { clientCertificate }),
    }),
    use: {
      timeoutMs: toMilliseconds(read),
      connectTimeoutMs: toMilliseconds(connect),
      sendTimeoutMs: toMilliseconds(send),
      keepAlive: true,
      idleTimeoutMs: idle_timeout === 0 ? longestTimerMs : toMilliseconds(idle_timeout),
      maxIdle: size,
      maxRequests: requests,
      ...(conf.checks !== undefined && { health }),
    },
    health,
  };
}

function hostHeaderOf({ pass_host, upstream_host }: Upstream, ownHost: string): string | null {
  if (pass_host === 'node') return ownHost;
  return pass_host === 'rewrite' ? (upstream_host ?? ownHost) : null;
}

function toMilliseconds(seconds: number): number {
  return Math.min(Math.ceil(seconds * 1000), longestTimerMs);
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
