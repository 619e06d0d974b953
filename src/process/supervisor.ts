import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { createConfigurationEndpoints } from '../admin/configuration-endpoints.ts';
import { createHealthEndpoints } from '../admin/health-endpoints.ts';
import { createProcessEndpoints } from '../admin/process-endpoints.ts';
import type { AdminServer } from '../admin/server.ts';
import type { ControlServer } from '../admin/control-server.ts';
import { adminAddress, createAdminEndpoint } from './admin-endpoint.ts';
import type { PluginCatalogue } from '../config/plugin-catalogue.ts';
import { resources } from '../config/resources.ts';
import { type EnsuredAdminKey, ensureAdminKey } from '../config/static/admin-key.ts';
import type { GatewayConfig } from '../config/static/gateway-config.ts';
import { type ClientListen, listensCollide, type NodeListen } from '../config/static/listen.ts';
import type { LoadedConfig } from '../config/static/load.ts';
import { clientListens, servesClients } from '../config/static/role.ts';
import { toBytes, toMilliseconds } from '../config/static/size-and-time.ts';
import type { ResourceChange, StoredResource, StoreState, WritableStore } from '../config/store/store.ts';
import type { ConfiguredEndpoint } from './configured-endpoint.ts';
import { ConfigurationMirror } from './configuration-mirror.ts';
import { type AccessLogFormatCheck, type GatewayPaths, readConfiguration } from './configuration.ts';
import { controlAddress, createControlEndpoint } from './control-endpoint.ts';
import { HealthMonitor } from './health-monitor.ts';
import { type GatewayFacts, MetricsExporter } from './metrics-exporter.ts';
import { probeListenAddress } from './listen-probe.ts';
import { claimPidFile } from './pid-file.ts';
import { createGatewayLog, type GatewayLog } from '../observability/gateway-log.ts';
import { type OpenedStore, openStore, warnAboutOtherStore } from './open-store.ts';
import type { Plugin } from '../pipeline/define-plugin.ts';
import { createSharedRegion, SharedMemory, type SharedRegion } from '../shared-memory/shared-memory.ts';
import type { StartBanner } from './start-banner.ts';
import { createStatusEndpoint, statusAddress } from './status-endpoint.ts';
import { createWorkerPool, type WorkerPool } from './worker-pool.ts';

/** What the composition root gives to the main thread. */
export interface GatewayParts {
  readonly version: string;
  /** Module of a worker thread. */
  readonly workerUrl: URL;
  /** The plugins that may be used, given the list of config.yaml (undefined: all). */
  readonly catalogue: (enabled: readonly string[] | undefined) => PluginCatalogue;
  /** The same plugins, as what they do. */
  readonly pluginFinder: (enabled: readonly string[] | undefined) => (name: string) => Plugin | undefined;
  /** Checks a `vars` expression of a route: `null`, or what is wrong. */
  readonly checkVars: (vars: unknown) => string | null;
  readonly checkAccessLogFormat: AccessLogFormatCheck;
}

interface SupervisorOptions {
  readonly paths: GatewayPaths;
  readonly parts: GatewayParts;
  readonly loaded: LoadedConfig;
}

/**
 * The main thread's work: it owns the store and the Admin API, starts and replaces the workers, and tells them what
 * changes.
 *
 * ```
 * Admin API -> store -> (watch) -> supervisor -> pool -> each worker
 *                    the write returns <------ when all have answered
 * ```
 */
export class Supervisor {
  /** The admin key that this start has made, to be shown once, and the file that holds it. */
  readonly generatedKey: EnsuredAdminKey['generated'];
  readonly #options: SupervisorOptions;
  readonly #log: GatewayLog;
  readonly #store: WritableStore;
  readonly #state: ConfigurationMirror;
  readonly #admin: ConfiguredEndpoint<AdminServer>;
  readonly #control: ConfiguredEndpoint<ControlServer>;
  readonly #metrics: MetricsExporter;
  readonly #status: ConfiguredEndpoint<ControlServer>;
  readonly #health: HealthMonitor;
  /** Of all pools, so that a reload forgets no counter. */
  readonly #region: SharedRegion;
  /** The one that serves, those that still drain after a reload, and one that a reload is starting. */
  readonly #pools = new Set<WorkerPool>();
  #config: GatewayConfig;
  #pool: WorkerPool | undefined;
  #listens: readonly ClientListen[] = [];
  #reloads: Promise<void> = Promise.resolve();
  #ended: Promise<void> | undefined;

  /**
   * Starts everything and writes the pid file, which goes with the process. Whoever else might hold the ports has been
   * ruled out before (refuse-second-start.ts).
   *
   * @throws ListenError, StoreError, ConfigFileError or what a worker threw; then nothing is left running.
   */
  static async start(options: SupervisorOptions): Promise<Supervisor> {
    const { paths, loaded } = options;
    const log = openLog(paths, loaded.config);
    let supervisor: Supervisor | undefined;
    const status = createStatusEndpoint({
      whyNotReady: () => (supervisor === undefined ? 'the configuration is not loaded yet' : supervisor.#whyNotReady()),
      log,
      serverHeader: toServerHeader(options),
    });
    try {
      // First of all: the store may have to be waited for.
      await status.open(loaded.config);
      const opened = await openStore({ ...options.parts, config: loaded.config, prefix: paths.prefix, log });
      // Only now: two that start in the same instant would replace each other's file, and one process at most has the store.
      const pidFile = claimPidFile(paths.pidFile);
      process.once('exit', () => pidFile.release());
      supervisor = new Supervisor(options, { log, opened, status, state: await opened.store.load() });
      try {
        await supervisor.#startAll();
        return supervisor;
      } catch (error) {
        await supervisor.stop();
        throw error;
      }
    } catch (error) {
      await status.close();
      await log.close();
      throw error;
    }
  }

  private constructor(
    options: SupervisorOptions,
    start: {
      readonly log: GatewayLog;
      readonly opened: OpenedStore;
      readonly status: ConfiguredEndpoint<ControlServer>;
      readonly state: StoreState;
    },
  ) {
    const { log, opened, status, state } = start;
    const { store, configs } = opened;
    this.#options = options;
    this.#log = log;
    this.#store = store;
    this.#status = status;
    this.#state = new ConfigurationMirror(state);
    const { config, generated } = this.#ensureKey(options.loaded.config);
    this.#config = config;
    this.generatedKey = generated;
    this.#region = createSharedRegion({ counterBytes: toBytes(config.weir.shared_counters) });
    const { catalogue: catalogueOf, checkVars } = options.parts;
    // Asked anew each time, so that a reload's list of plugins counts from the next request on.
    const catalogue: PluginCatalogue = {
      get: (name) => catalogueOf(this.#config.plugins).get(name),
      names: () => catalogueOf(this.#config.plugins).names(),
    };
    const serverHeader = toServerHeader(options);
    const reload = (): Promise<void> => this.reload();
    this.#admin = createAdminEndpoint({ store, configs, catalogue, resources, checkVars, reload, log, serverHeader });
    const { cells } = new SharedMemory(this.#region, { log });
    const { paths, parts } = options;
    const health = new HealthMonitor(config, { findPlugin: parts.pluginFinder, cells, prefix: paths.prefix, log });
    this.#health = health;
    const get = (kind: string, id: string): StoredResource | undefined => this.#state.get(kind, id);
    const list = (kind: string): readonly StoredResource[] => this.#state.list(kind);
    const hasResource = (kind: string, id: string): boolean => get(kind, id) !== undefined;
    const endpoints = [
      ...createHealthEndpoints({ describe: () => health.describe(), hasResource }),
      ...createConfigurationEndpoints({ resources, catalogue, list, get }),
      ...createProcessEndpoints(reload),
    ];
    this.#control = createControlEndpoint({ endpoints, log, serverHeader });
    this.#metrics = new MetricsExporter({
      config,
      health: () => health.describe(),
      etcd: () => this.#etcdFacts(),
      log,
      serverHeader,
    });
    store.watch((changes, revision) => this.#publish(changes, revision));
  }

  /** The configuration in effect, with the admin key. */
  get config(): GatewayConfig {
    return this.#config;
  }

  describe(): StartBanner {
    const { nginx_config, deployment } = this.#config;
    const { enable_access_log, access_log } = nginx_config.http;
    const logs = enable_access_log ? [access_log, nginx_config.error_log] : [nginx_config.error_log];
    return {
      version: this.#options.parts.version,
      dataPlane: this.#listens,
      workers: workerCount(this.#config),
      admin: this.#admin.address && { ...this.#admin.address, allowed: deployment.admin.allow_admin },
      control: this.#control.address,
      metrics: this.#metrics.address,
      status: this.#status.address,
      logs: logs.map((file) => resolve(this.#options.paths.prefix, file)),
    };
  }

  /** Reads config.yaml anew and puts it into effect. What is wrong with it goes to the log; the old one serves on. */
  reload(): Promise<void> {
    this.#reloads = this.#reloads.then(async () => {
      if (this.#ended) return;
      try {
        await this.#reload();
        this.#log.notice('the configuration was read anew and is in effect');
      } catch (error) {
        this.#log.error('the configuration could not be read anew, the old one serves on', { reason: reasonOf(error) });
      }
    });
    return this.#reloads;
  }

  reopenLogs(): void {
    this.#log.reopen();
    for (const pool of this.#pools) pool.reopenLogs();
    this.#log.notice('log files were reopened');
  }

  /** Ends after the running requests, at `weir.shutdown_timeout` at the latest. Resolves when all is closed. */
  quit(): Promise<void> {
    return (this.#ended ??= this.#end(toMilliseconds(this.#config.weir.shutdown_timeout)));
  }

  /** Ends at once, also when {@link quit} is under way. Resolves when all is closed. */
  stop(): Promise<void> {
    if (!this.#ended) return (this.#ended = this.#end(0));
    for (const pool of this.#pools) void pool.drain(0);
    return this.#ended;
  }

  /** Writes what cannot be survived to the log. Resolves when it is in the file. */
  async logFatal(error: unknown): Promise<void> {
    this.#log.error('the main thread failed, the gateway ends', {
      error: error instanceof Error ? error.stack : String(error),
    });
    await this.#log.flush();
  }

  async #startAll(): Promise<void> {
    this.#logNotices(this.#options.loaded);
    const listens = clientListens(this.#config);
    await this.#startPool(this.#config, listens);
    this.#health.start(this.#state.read());
    await this.#admin.open(this.#config);
    await this.#control.open(this.#config);
    await this.#metrics.open(this.#config);
  }

  async #startPool(config: GatewayConfig, listen: readonly ClientListen[]): Promise<void> {
    if (this.#ended) throw new Error('the gateway ends');
    const pool = createWorkerPool({
      workerUrl: this.#options.parts.workerUrl,
      size: workerCount(config),
      config,
      prefix: this.#options.paths.prefix,
      currentState: () => this.#state.read(),
      listen,
      region: this.#region,
      metrics: this.#metrics.hub,
      onHealthReport: (report) => this.#health.report(report),
      log: this.#log,
    });
    this.#pools.add(pool);
    try {
      this.#listens = await pool.start();
      this.#pool = pool;
    } catch (error) {
      this.#pools.delete(pool);
      throw error;
    }
  }

  async #publish(changes: readonly ResourceChange[], revision: number): Promise<void> {
    this.#state.apply(changes, revision);
    this.#health.apply(changes);
    await Promise.all([...this.#pools].map((pool) => pool.publish(changes, revision)));
  }

  async #reload(): Promise<void> {
    const { paths, parts } = this.#options;
    const loaded = readConfiguration(paths, parts.checkAccessLogFormat);
    this.#logNotices(loaded);
    warnAboutOtherStore(this.#log, this.#options.loaded.config, loaded.config);
    const { config } = this.#ensureKey(loaded.config);
    await this.#probeNewAddresses(config);
    await this.#reloadWorkers(config);
    this.#log.setLevel(config.nginx_config.error_log_level);
    if (config.nginx_config.error_log !== this.#config.nginx_config.error_log) {
      this.#log.warn('nginx_config.error_log changed: the main thread writes to the old file until a restart');
    }
    if (toBytes(config.weir.shared_counters) !== toBytes(this.#config.weir.shared_counters)) {
      this.#log.warn('weir.shared_counters changed: the memory keeps its size until a restart');
    }
    this.#config = config;
    this.#health.reconfigure(config, this.#state.read());
    await this.#reconfigureEndpoint('Admin API', this.#admin);
    await this.#reconfigureEndpoint('control API', this.#control);
    await this.#metrics.reconfigure(config);
    await this.#reconfigureEndpoint('status server', this.#status);
  }

  async #reconfigureEndpoint(name: string, endpoint: Pick<ConfiguredEndpoint<never>, 'reconfigure'>): Promise<void> {
    try {
      await endpoint.reconfigure(this.#config);
    } catch (error) {
      this.#log.error(`the rest of the configuration is in effect, but the ${name} is off`, {
        reason: reasonOf(error),
      });
    }
  }

  /** What may fail comes first, so that a failure leaves everything as it was. */
  async #probeNewAddresses(config: GatewayConfig): Promise<void> {
    const isOn = (address: NodeListen | null): address is NodeListen => address !== null;
    const listens = clientListens(config);
    const wanted = [...listens, ...[adminAddress(config), controlAddress(config), statusAddress(config)].filter(isOn)];
    const endpoints = [this.#admin.address, this.#control.address, this.#status.address];
    const held = [...this.#listens, ...endpoints.filter(isOn)];
    for (const address of wanted) {
      if (!held.some((own) => listensCollide(own, address))) await probeListenAddress(address);
    }
  }

  async #reloadWorkers(config: GatewayConfig): Promise<void> {
    const old = this.#pool;
    const wanted = clientListens(config);
    const sameListens = JSON.stringify(wanted) === JSON.stringify(clientListens(this.#config));
    const sameWorkers = sameListens && workerCount(config) === workerCount(this.#config);
    if (sameWorkers && (await old?.reconfigure(config))) return;

    // The same list keeps the ports that its zeros have become.
    await this.#startPool(config, sameListens ? this.#listens : wanted);
    if (old) void this.#retire(old, toMilliseconds(config.nginx_config.worker_shutdown_timeout));
  }

  async #retire(pool: WorkerPool, deadlineMs: number): Promise<void> {
    await pool.drain(deadlineMs);
    this.#pools.delete(pool);
  }

  async #end(deadlineMs: number): Promise<void> {
    this.#log.notice('the gateway ends', { deadline_ms: deadlineMs });
    this.#health.stop();
    await Promise.all([
      this.#admin.close(),
      this.#control.close(),
      this.#metrics.close(),
      ...[...this.#pools].map((pool) => pool.drain(deadlineMs)),
    ]);
    // To the last, so that a load balancer hears that this gateway takes no more requests.
    await this.#status.close();
    await this.#store.close();
    await this.#log.close();
  }

  #whyNotReady(): string | null {
    if (this.#ended !== undefined) return 'the gateway ends';
    return this.#pool?.isReady() === true ? null : 'not every worker serves';
  }

  /** Null where the configuration does not come from etcd. */
  #etcdFacts(): ReturnType<GatewayFacts['etcd']> {
    const { isReachable } = this.#store;
    if (isReachable === undefined) return null;
    const modifiedIndexes: Record<string, number> = { max_modify_index: 0 };
    for (const { kind, modifiedIndex } of this.#state.read().resources) {
      modifiedIndexes[kind] = Math.max(modifiedIndexes[kind] ?? 0, modifiedIndex);
      modifiedIndexes['max_modify_index'] = Math.max(modifiedIndexes['max_modify_index'] ?? 0, modifiedIndex);
    }
    return { isReachable, modifiedIndexes };
  }

  #ensureKey(config: GatewayConfig): EnsuredAdminKey {
    const { configFile: file, prefix } = this.#options.paths;
    const ensured = ensureAdminKey({ file, prefix, config });
    if (ensured.warning !== null) this.#log.warn(ensured.warning);
    return ensured;
  }

  /** Notes as well are warnings here: the default level of the log would hide which keys have no effect. */
  #logNotices({ config, warnings }: LoadedConfig): void {
    for (const { message } of warnings) this.#log.warn(message);
    const all = this.#options.parts.catalogue(undefined);
    const unknown = (config.plugins ?? []).filter((name) => all.get(name) === undefined);
    if (unknown.length > 0) this.#log.warn(`plugins: this version of Weir does not have ${unknown.join(', ')}`);
  }
}

function toServerHeader({ parts, loaded }: SupervisorOptions): string {
  return loaded.config.apisix.enable_server_tokens ? `Weir/${parts.version}` : 'Weir';
}

function openLog({ prefix }: GatewayPaths, { nginx_config }: GatewayConfig): GatewayLog {
  return createGatewayLog({
    file: resolve(prefix, nginx_config.error_log),
    level: nginx_config.error_log_level,
    alsoStderr: true,
    colour: process.stderr.isTTY && process.stderr.hasColors(),
    thread: 'main',
  });
}

function workerCount(config: GatewayConfig): number {
  // A control plane serves nobody; its one worker compiles what is configured, so that mistakes show in its log.
  if (!servesClients(config)) return 1;
  const { worker_processes } = config.nginx_config;
  return worker_processes === 'auto' ? availableParallelism() : worker_processes;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
