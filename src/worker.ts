import { hkdfSync } from 'node:crypto';
import { resolve } from 'node:path';
import { isatty } from 'node:tty';
import { parentPort, workerData } from 'node:worker_threads';
import { silentLog } from './base/log.ts';
import { RepeatedLog } from './base/repeated-log.ts';
import type { GatewayConfig } from './config/static/gateway-config.ts';
import { servesClients } from './config/static/role.ts';
import { toBytes, toMilliseconds } from './config/static/size-and-time.ts';
import { toTlsVersions } from './config/static/tls-versions.ts';
import { Deadlines } from './http/deadlines.ts';
import { listen, type Listener } from './http/listener.ts';
import type { ServerConnectionOptions } from './http/server-connection.ts';
import { BatchQueues } from './observability/batch-queue.ts';
import { createGatewayLog, type GatewayLog } from './observability/gateway-log.ts';
import { openLlmLog, type LlmLog } from './observability/llm-log.ts';
import { openLogFile, type LogFile } from './observability/log-file.ts';
import { LogFiles } from './observability/log-files.ts';
import { TrafficCounters } from './observability/metrics/traffic-counters.ts';
import { WorkerMetrics } from './observability/metrics/worker-metrics.ts';
import { SecretCache } from './pipeline/secret-cache.ts';
import type { MetricsEnv } from './pipeline/define-plugin.ts';
import { printsResponseText } from './pipeline/variables.ts';
import { pluginFinder } from './plugins/index.ts';
import { compileAccessLog } from './proxy/access-log.ts';
import { compileClientAddress, compileTrustedProxies } from './proxy/client-address.ts';
import { createHandler, type Gateway } from './proxy/handle.ts';
import { Specimens } from './proxy/specimens.ts';
import { WindowStores } from './rate-limit/window-stores.ts';
import { SharedMemory } from './shared-memory/shared-memory.ts';
import { dateCheckMs } from './snapshot/certificate-dates.ts';
import { CertificateCompiler } from './snapshot/certificates.ts';
import { ChangeQueue } from './snapshot/change-queue.ts';
import { SnapshotHolder } from './snapshot/holder.ts';
import type { MessageFromWorker, MessageToWorker, WorkerStart } from './snapshot/messages.ts';
import { SnapshotCompiler } from './snapshot/snapshot.ts';
import { SharedHealth } from './upstream/health/shared-health.ts';
import { alwaysHealthy, type HealthView } from './upstream/health/target-health.ts';
import { createNetwork, readTrustedCa } from './upstream/network.ts';
import { Pools } from './upstream/pool.ts';
import { productToken } from './base/version.ts';

const mebibyte = 1024 * 1024;
const lastBytesMs = 250;
/** How long log servers are waited for at the end: at least a part of what the main thread gives beyond its deadline. */
const lastEntries = { minMs: 500, maxMs: 5000 };
// A write that does not block goes through another thread: 31 us of CPU for 16 KiB, 36 for 64. No line waits longer for it.
const efficientWriteBytes = 64 * 1024;

/** What config.yaml makes of a worker. A reload makes a new one; requests that run keep the old one to their end. */
interface Runtime {
  readonly config: GatewayConfig;
  readonly gateway: Gateway;
  readonly server: ServerConnectionOptions;
  readonly holder: SnapshotHolder;
  readonly pools: Pools;
}

/** One worker thread: takes traffic, and configuration from the main thread. */
class TrafficWorker {
  readonly #start: WorkerStart;
  readonly #deadlines = new Deadlines();
  readonly #log: GatewayLog;
  readonly #failureLog: RepeatedLog;
  readonly #specimens = new Specimens();
  // Log files outlive a reload, because running requests still write to them.
  readonly #files = new Map<string, LogFile>();
  readonly #llmLog: LlmLog;
  readonly #secrets: SecretCache;
  readonly #loggerFiles: LogFiles;
  readonly #batchQueues: BatchQueues;
  readonly #shared: SharedMemory;
  readonly #windowStores: WindowStores;
  readonly #metrics: WorkerMetrics;
  readonly #traffic: TrafficCounters;
  readonly #changes = new ChangeQueue({
    apply: (changes, revision) => this.#runtime.holder.apply(changes, revision),
    send,
  });
  #runtime: Runtime;
  #listeners: Listener[] = [];
  #draining = false;
  #drainDeadline = 0;
  #cutTimer: NodeJS.Timeout | undefined;

  constructor(start: WorkerStart) {
    this.#start = start;
    const { error_log, error_log_level } = start.config.nginx_config;
    this.#log = createGatewayLog({
      file: resolve(start.prefix, error_log),
      level: error_log_level,
      alsoStderr: true,
      // A thread's process.stderr is a pipe to the main thread and never says that it is a terminal.
      colour: isatty(2) && process.env['NO_COLOR'] === undefined,
      thread: `w${start.workerIndex}`,
    });
    this.#failureLog = new RepeatedLog(this.#log);
    this.#llmLog = openLlmLog(resolve(start.prefix, 'logs/llm.log'), { bufferBytes: 16 * 1024, log: this.#log });
    this.#loggerFiles = new LogFiles({ prefix: start.prefix, bufferBytes: 16 * 1024, log: this.#log });
    this.#batchQueues = new BatchQueues(this.#log);
    this.#shared = new SharedMemory(start.region, { log: this.#log });
    this.#windowStores = new WindowStores({
      local: this.#shared.counters,
      trustedCa: () => readTrustedCa(this.#runtime.config, start.prefix),
      log: this.#log,
    });
    // They outlive a reload, as what was counted does.
    this.#metrics = new WorkerMetrics(start.metricPage, this.#log);
    this.#traffic = new TrafficCounters(this.#metrics);
    this.#secrets = new SecretCache({ environment: process.env, log: this.#log });
    this.#runtime = this.#createRuntime(start.config, (compiler) => new SnapshotHolder(compiler, start.state));
    setInterval(() => this.#runtime.holder.current.certificates.warnOfDates(), dateCheckMs).unref();
  }

  async listen(): Promise<void> {
    for (const address of this.#start.listen) {
      try {
        this.#listeners.push(await listen(address, this.#runtime.server));
      } catch (error) {
        const { code = 'UNKNOWN', message } = error as NodeJS.ErrnoException;
        send({ type: 'listen-failed', code, address: address.ip, port: address.port, message });
        return;
      }
    }
    send({ type: 'ready', ports: this.#listeners.map(({ port }) => port) });
  }

  onMessage(message: MessageToWorker): void {
    switch (message.type) {
      case 'configuration':
        this.#changes.add(message);
        break;
      case 'settings':
        this.#changes.flush();
        this.#answer(message.id, () => this.#reconfigure(message.config));
        break;
      case 'reopen-logs':
        this.#log.reopen();
        this.#llmLog.reopen();
        this.#loggerFiles.reopen();
        for (const file of this.#files.values()) file.reopen();
        break;
      case 'drain':
        void this.#drain(message.deadlineMs);
        break;
    }
  }

  #answer(id: number, change: () => void): void {
    try {
      change();
      send({ type: 'applied', id });
    } catch (error) {
      send({ type: 'failed', id, message: error instanceof Error ? error.message : String(error) });
    }
  }

  #reconfigure(config: GatewayConfig): void {
    const old = this.#runtime;
    this.#runtime = this.#createRuntime(config, (compiler) => old.holder.recompiledWith(compiler));
    this.#log.setLevel(config.nginx_config.error_log_level);
    for (const listener of this.#listeners) listener.reconfigure(this.#runtime.server);
    old.pools.close();
  }

  /** A second call only sets another deadline. */
  async #drain(deadlineMs: number): Promise<void> {
    this.#drainDeadline = performance.now() + deadlineMs;
    clearTimeout(this.#cutTimer);
    this.#cutTimer = setTimeout(() => {
      for (const listener of this.#listeners) listener.cut();
      // Their last bytes are on the way; a client that does not take them is not waited for.
      this.#cutTimer = setTimeout(() => {
        for (const listener of this.#listeners) listener.destroy();
      }, lastBytesMs);
    }, deadlineMs);
    if (this.#draining) return;
    this.#draining = true;
    await Promise.all(this.#listeners.map((listener) => listener.drain()));
    clearTimeout(this.#cutTimer);
    this.#runtime.pools.close();
    this.#windowStores.close();
    const leftMs = this.#drainDeadline - performance.now();
    await Promise.all([
      this.#llmLog.close(),
      this.#loggerFiles.close(),
      this.#batchQueues.close(Math.max(lastEntries.minMs, Math.min(leftMs, lastEntries.maxMs))),
      ...Array.from(this.#files.values(), (file) => file.close()),
    ]);
    await this.#log.close();
    send({ type: 'drained' });
  }

  #createRuntime(config: GatewayConfig, createHolder: (compiler: SnapshotCompiler) => SnapshotHolder): Runtime {
    const { http } = config.nginx_config;
    const pools = this.#createPools(config);
    const compiler = new SnapshotCompiler({
      findPlugin: pluginFinder(config.plugins),
      env: {
        pools,
        llmLog: this.#llmLog,
        logFiles: this.#loggerFiles,
        batchQueues: this.#batchQueues,
        shared: this.#shared,
        windowStores: this.#windowStores,
        health: this.#createHealth(config),
        httpsPort: httpsPortOf(config),
        metrics: { worker: this.#metrics, extraLabels: extraLabelsOf(config) },
        log: this.#log,
        configurationLog: this.#start.workerIndex === 0 ? this.#log : silentLog,
        logsResponseText: http.enable_access_log && printsResponseText(http.access_log_format),
      },
      routerMode: config.apisix.router.http,
      secrets: this.#secrets,
      certificates: this.#createCertificateCompiler(config),
      log: this.#log,
    });
    const holder = createHolder(compiler);
    const maxBodyBytes = toBytes(http.client_max_body_size);
    const gateway: Gateway = {
      snapshot: () => holder.current,
      maxBodyBytes: maxBodyBytes === 0 ? Number.POSITIVE_INFINITY : maxBodyBytes,
      maxPostArgsBytes: config.apisix.max_post_args_readable_size * mebibyte,
      clientAddress: compileClientAddress(http.real_ip_header, http.real_ip_from, http.real_ip_recursive === 'on'),
      isTrustedProxy: compileTrustedProxies(config.apisix.trusted_addresses),
      writeAccessLog: this.#createAccessLog(config),
      traffic: this.#traffic,
      log: this.#log,
      failureLog: this.#failureLog,
      specimens: this.#specimens,
    };
    const server: ServerConnectionOptions = {
      handler: createHandler(gateway),
      traffic: this.#traffic,
      deadlines: this.#deadlines,
      server: config.apisix.enable_server_tokens ? productToken : 'Weir',
      timeouts: {
        keepAliveMs: toMilliseconds(http.keepalive_timeout),
        headMs: toMilliseconds(http.client_header_timeout),
        bodyMs: toMilliseconds(http.client_body_timeout),
        sendMs: toMilliseconds(http.send_timeout),
      },
      findTerminator: (serverName) => holder.current.certificates.find(serverName),
    };
    return { config, gateway, server, holder, pools };
  }

  #createCertificateCompiler(config: GatewayConfig): CertificateCompiler {
    const { ssl, enable_http2 } = config.apisix;
    const seed = this.#start.region.seed;
    return new CertificateCompiler({
      tls: {
        versions: toTlsVersions(ssl.ssl_protocols) ?? [],
        ciphers: ssl.ssl_ciphers,
        // The same in all workers: a client seldom meets the one again that made its ticket.
        ticketKeys: ssl.ssl_session_tickets
          ? new Uint8Array(hkdfSync('sha256', seed, '', 'session tickets', 48))
          : null,
        protocols: enable_http2 ? ['h2', 'http/1.1'] : ['http/1.1'],
      },
      fallbackName: ssl.fallback_sni?.toLowerCase(),
      // A control plane leaves that to its data planes.
      isServed: ssl.enable || !servesClients(config),
      repeatedLog: this.#failureLog,
      secrets: this.#secrets,
      log: this.#log,
      configurationLog: this.#start.workerIndex === 0 ? this.#log : silentLog,
    });
  }

  #createPools(config: GatewayConfig): Pools {
    const { prefix } = this.#start;
    const { connector } = createNetwork(config, { prefix, connectTo: config.weir.connect_to, log: this.#log });
    return new Pools({ connector, deadlines: this.#deadlines });
  }

  #createHealth({ apisix }: GatewayConfig): HealthView {
    if (apisix.disable_upstream_healthcheck) return { of: () => alwaysHealthy };
    return new SharedHealth({ cells: this.#shared.cells, send: (report) => send({ type: 'health', report }) });
  }

  #createAccessLog({ nginx_config: { http } }: GatewayConfig): Gateway['writeAccessLog'] {
    if (!http.enable_access_log) return () => {};
    const format = compileAccessLog(http.access_log_format, http.access_log_format_escape);
    const path = http.access_log.startsWith('/dev/') ? http.access_log : resolve(this.#start.prefix, http.access_log);
    let file = this.#files.get(path);
    if (file === undefined) {
      const configured = toBytes(http.access_log_buffer);
      const bufferBytes = configured === 0 ? 0 : Math.max(configured, efficientWriteBytes);
      file = openLogFile(path, { bufferBytes, log: this.#log });
      this.#files.set(path, file);
    }
    const accessLog = file;
    return (ctx) => accessLog.write(format(ctx));
  }
}

/** What `plugin_attr.prometheus.metrics` says, by metric. */
function extraLabelsOf({ plugin_attr }: GatewayConfig): MetricsEnv['extraLabels'] {
  const { metrics } = plugin_attr.prometheus;
  return Object.fromEntries(Object.entries(metrics).map(([name, { extra_labels }]) => [name, extra_labels]));
}

function httpsPortOf({ apisix: { ssl }, plugin_attr }: GatewayConfig): number {
  return plugin_attr.redirect?.https_port ?? (ssl.enable ? ssl.listen[0]?.port : undefined) ?? 443;
}

function send(message: MessageFromWorker): void {
  parentPort?.postMessage(message);
}

const worker = new TrafficWorker(workerData as WorkerStart);
parentPort?.on('message', (message: MessageToWorker) => worker.onMessage(message));
await worker.listen();
