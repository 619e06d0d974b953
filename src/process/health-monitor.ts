import { WeirError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { longestTimerMs } from '../base/longest-timer.ts';
import { pluginMetaOf } from '../config/plugin-meta.ts';
import { clientKeyPairOf } from '../config/ssl.ts';
import type { GatewayConfig } from '../config/static/gateway-config.ts';
import type { ResourceChange, StoredResource, StoreState } from '../config/store/store.ts';
import type { Upstream } from '../config/upstream.ts';
import { upstreamHealthChecks } from '../forward/health-checks.ts';
import { Deadlines } from '../http/deadlines.ts';
import { DeclaredChecks } from '../pipeline/declared-checks.ts';
import type { Plugin } from '../pipeline/define-plugin.ts';
import { SecretCache } from '../pipeline/secret-cache.ts';
import type { NamedCells } from '../shared-memory/named-cells.ts';
import { parseConnectTo } from '../upstream/connect-to.ts';
import type { Schedule } from '../upstream/health/address-monitor.ts';
import type { HealthCheck } from '../upstream/health/health-check.ts';
import { InstanceMonitor, type ProbeNetwork, type ResourceHealth } from '../upstream/health/instance-monitor.ts';
import type { HealthReport } from '../upstream/health/shared-health.ts';
import { createNetwork } from '../upstream/network.ts';

interface HealthMonitorOptions {
  readonly findPlugin: (enabled: readonly string[] | undefined) => (name: string) => Plugin | undefined;
  readonly cells: NamedCells;
  /** Relative paths of config.yaml lie under it. */
  readonly prefix: string;
  readonly log: Log;
  /** Default: timers. */
  readonly schedule?: Schedule;
}

/** Values of secrets that may change are looked at so often; how old one may get is the secret cache's business. */
const secretsMs = 10_000;

/** Kinds of resources with `plugins` or an upstream. */
const watchedKinds: ReadonlySet<string> = new Set([
  'routes',
  'services',
  'upstreams',
  'plugin_configs',
  'consumers',
  'consumer_groups',
  'global_rules',
]);

/** What of those resources is looked at. */
interface Checked {
  readonly plugins?: Readonly<Record<string, unknown>>;
  readonly upstream?: unknown;
  /** Of a route. */
  readonly status?: number;
}

/** Checks of a plugin, or of an upstream, which has no secrets to wait for. */
interface Declared extends Pick<DeclaredChecks, 'canChange' | 'refresh'> {
  /** @returns The checks, or why there are none. */
  read(): readonly HealthCheck[] | WeirError | string;
}

/** A resource that declares checks. */
interface Watched {
  readonly declared: readonly Declared[];
  readonly monitors: Map<string, InstanceMonitor>;
  /** Why there are not monitors for all; null: there are. */
  reason: string | null;
  cancelRefresh: () => void;
}

/**
 * Runs the health checks of all resources, on the main thread: each address is probed once, however many workers there
 * are. They begin and end with the resource; an edit that does not change where an instance is keeps what is known of it.
 */
export class HealthMonitor {
  readonly #options: HealthMonitorOptions;
  readonly #schedule: Schedule;
  readonly #secrets: SecretCache;
  readonly #deadlines = new Deadlines();
  readonly #watched = new Map<string, Watched>();
  #managers: ReadonlyMap<string, StoredResource> = new Map();
  readonly #certificates = new Map<string, StoredResource>();
  #config: GatewayConfig;
  #network: ProbeNetwork;

  /** @throws Error when the certificates of config.yaml cannot be read. */
  constructor(config: GatewayConfig, options: HealthMonitorOptions) {
    this.#options = options;
    this.#schedule = options.schedule ?? scheduleTimer;
    this.#secrets = new SecretCache({ environment: process.env, log: options.log });
    this.#config = config;
    this.#network = this.#createNetwork(config);
  }

  /** Begins with these resources. Once, before {@link apply}. */
  start({ resources }: StoreState): void {
    this.apply(resources.map((resource) => ({ kind: resource.kind, id: resource.id, resource })));
  }

  /** Takes changed resources over. */
  apply(changes: readonly ResourceChange[]): void {
    // First of all: checks of a new route may need a secret of a new manager.
    const managers = new Map(this.#managers);
    for (const { kind, id, resource } of changes) {
      if (kind !== 'secrets') continue;
      if (resource === null) managers.delete(id);
      else managers.set(id, resource);
    }
    this.#managers = managers;
    this.#secrets.setManagers(managers);
    this.#applyCertificates(changes.filter(({ kind }) => kind === 'ssls'));
    for (const { kind, id, resource } of changes) {
      if (watchedKinds.has(kind)) this.#watch(`${kind}/${id}`, resource);
    }
  }

  /** Takes a reloaded config.yaml over, with all resources as they are now. */
  reconfigure(config: GatewayConfig, state: StoreState): void {
    this.#network = this.#createNetwork(config);
    this.#config = config;
    this.start(state);
  }

  /** Takes what a worker has seen. */
  report({ owner, instance, ip, signal, status }: HealthReport): void {
    this.#watched.get(owner)?.monitors.get(instance)?.report(ip, signal, status);
  }

  /** Everything that is checked, by resource. */
  describe(): readonly ResourceHealth[] {
    return Array.from(this.#watched, ([owner, { monitors, reason }]) => ({
      owner,
      reason,
      instances: Array.from(monitors.values(), (monitor) => monitor.describe()),
    }));
  }

  stop(): void {
    for (const owner of this.#watched.keys()) this.#unwatch(owner);
  }

  #applyCertificates(changes: readonly ResourceChange[]): void {
    for (const { id, resource } of changes) {
      if (resource === null) this.#certificates.delete(id);
      else this.#certificates.set(id, resource);
    }
    if (changes.length === 0) return;
    for (const [owner, watched] of this.#watched) {
      watched.cancelRefresh();
      this.#refresh(owner, watched);
    }
  }

  #watch(owner: string, resource: StoredResource | null): void {
    const declared = resource === null ? [] : this.#declaredBy(resource);
    if (declared.length === 0) return this.#unwatch(owner);
    const before = this.#watched.get(owner);
    before?.cancelRefresh();
    const watched: Watched = {
      declared,
      monitors: before?.monitors ?? new Map(),
      reason: before === undefined ? 'its secrets are being fetched' : before.reason,
      cancelRefresh: () => {},
    };
    this.#watched.set(owner, watched);
    this.#refresh(owner, watched);
  }

  #unwatch(owner: string): void {
    const watched = this.#watched.get(owner);
    if (watched === undefined) return;
    this.#watched.delete(owner);
    watched.cancelRefresh();
    for (const monitor of watched.monitors.values()) monitor.stop();
  }

  #declaredBy({ kind, value }: StoredResource): readonly Declared[] {
    const { plugins = {}, upstream = kind === 'upstreams' ? value : undefined, status } = value as Checked;
    if (status === 0 || this.#config.apisix.disable_upstream_healthcheck) return [];
    const find = this.#options.findPlugin(this.#config.plugins);
    const ofPlugins = Object.entries(plugins).flatMap(([name, conf]): Declared[] | Declared => {
      const plugin = find(name);
      if (plugin === undefined || pluginMetaOf(conf).disable === true) return [];
      return DeclaredChecks.of(plugin, conf, this.#secrets) ?? [];
    });
    return [...ofPlugins, ...this.#declaredByUpstream(upstream)];
  }

  #declaredByUpstream(upstream: unknown): readonly Declared[] {
    if ((upstream as Partial<Upstream> | undefined)?.checks === undefined) return [];
    const read = (): readonly HealthCheck[] | string => {
      try {
        return upstreamHealthChecks(upstream, (id) => clientKeyPairOf(this.#certificates.get(id)));
      } catch (error) {
        // Upstreams hold no values of secrets.
        return error instanceof Error ? error.message : String(error);
      }
    };
    return [{ canChange: false, refresh: () => null, read }];
  }

  #refresh(owner: string, watched: Watched): void {
    const pending = watched.declared.map((each) => each.refresh()).filter((fetch) => fetch !== null);
    if (pending.length === 0) this.#apply(owner, watched);
    else void Promise.all(pending).then(() => this.#apply(owner, watched));
  }

  #apply(owner: string, watched: Watched): void {
    // It was changed or removed while its secrets were fetched.
    if (this.#watched.get(owner) !== watched) return;
    this.#setChecks(owner, watched);
    if (watched.declared.some(({ canChange }) => canChange)) {
      watched.cancelRefresh = this.#schedule(() => this.#refresh(owner, watched), secretsMs);
    }
  }

  #setChecks(owner: string, watched: Watched): void {
    const { declared, monitors } = watched;
    const checks = new Map<string, HealthCheck>();
    watched.reason = null;
    for (const each of declared) {
      const found = this.#read(owner, each);
      if (typeof found === 'string') watched.reason ??= found;
      else for (const check of found) checks.set(check.name, check);
    }
    for (const [name, monitor] of monitors) {
      const check = checks.get(name);
      if (check !== undefined && monitor.update(check)) {
        checks.delete(name);
      } else {
        monitor.stop();
        monitors.delete(name);
      }
    }
    const { cells, log } = this.#options;
    const parts = { owner, cells, log, schedule: this.#schedule, random: Math.random, network: () => this.#network };
    for (const [name, check] of checks) monitors.set(name, new InstanceMonitor(check, parts));
  }

  /** @returns The checks, or why there are none. */
  #read(owner: string, declared: Declared): readonly HealthCheck[] | string {
    try {
      const checks = declared.read();
      return checks instanceof WeirError ? checks.message : checks;
    } catch {
      // The workers say what is wrong, without the values of secrets that stand in this error.
      this.#options.log.warn('health: the checks of a resource cannot be run, its instances count as healthy', {
        owner,
      });
      return 'the configuration is not valid with the values of its secrets: see the error log';
    }
  }

  #createNetwork(config: GatewayConfig): ProbeNetwork {
    const { log, prefix } = this.#options;
    // Without `connect_to`: probes go to addresses, which it has been applied to before.
    const { resolver, connector } = createNetwork(config, { prefix, connectTo: {}, log });
    const destinations = parseConnectTo(new Map(Object.entries(config.weir.connect_to)));
    return { resolver, destinations, connector, deadlines: this.#deadlines };
  }
}

function scheduleTimer(run: () => void, delayMs: number): () => void {
  const timer = setTimeout(run, Math.min(delayMs, longestTimerMs));
  return () => clearTimeout(timer);
}
