import { silentLog } from '../../src/base/log.ts';
import { RepeatedLog } from '../../src/base/repeated-log.ts';
import { compileUpstream, type UpstreamOptions } from '../../src/forward/compile-upstream.ts';
import { Deadlines } from '../../src/http/deadlines.ts';
import type { ServerTimeouts } from '../../src/http/server-connection.ts';
import type { RequestContext } from '../../src/pipeline/context.ts';
import type { Pipeline } from '../../src/pipeline/compile.ts';
import type { HeaderFilter, Step } from '../../src/pipeline/define-plugin.ts';
import { createHandler, type Gateway } from '../../src/proxy/handle.ts';
import { Specimens } from '../../src/proxy/specimens.ts';
import { createSharedRegion, SharedMemory } from '../../src/shared-memory/shared-memory.ts';
import { createConnector } from '../../src/upstream/connector.ts';
import { alwaysHealthy, type HealthView } from '../../src/upstream/health/target-health.ts';
import { Pools } from '../../src/upstream/pool.ts';
import { createResolver } from '../../src/upstream/resolver.ts';
import { startServer } from './echo-server.ts';
import { eventually } from './gateway.ts';
import { testCa } from './tls-fixtures.ts';

interface ForwardStageOptions extends Partial<Omit<UpstreamOptions, 'env'>> {
  readonly health?: HealthView;
  /** Steps before the upstream is chosen. */
  readonly steps?: readonly Step[];
  readonly headerFilters?: readonly HeaderFilter[];
  /** HTTP/2 for clients that begin with it. */
  readonly cleartextHttp2?: true;
  readonly maxBodyBytes?: number;
  /** The client is a proxy of `apisix.trusted_addresses`. */
  readonly isTrustedProxy?: boolean;
  readonly timeouts?: Partial<ServerTimeouts>;
  /** `weir.connect_to`. */
  readonly connectTo?: Readonly<Record<string, string>>;
  /** Default: one of its own. */
  readonly shared?: SharedMemory;
  /** Default: some of its own. */
  readonly specimens?: Specimens;
}

/** The data plane of one worker in this process, with one route to an upstream. Give it to `await using`. */
export interface ForwardStage extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  /** Contexts of the requests that are over, in order. */
  readonly logged: readonly RequestContext[];
  /** The context of the request with this number, as soon as it is over. */
  over(count: number): Promise<RequestContext>;
}

export async function startForwarding(conf: object, options: ForwardStageOptions = {}): Promise<ForwardStage> {
  const { timeouts = {}, steps = [], headerFilters = [], maxBodyBytes = Infinity, connectTo = {} } = options;
  const shared =
    options.shared ?? new SharedMemory(createSharedRegion({ counterBytes: 4096, cellSlots: 256 }), { log: silentLog });
  const connector = createConnector({
    resolver: createResolver({ log: silentLog }),
    connectTo: new Map(Object.entries(connectTo)),
    trustedCa: testCa,
    log: silentLog,
  });
  const pools = new Pools({ connector, deadlines: new Deadlines() });
  const env = { pools, shared, health: options.health ?? { of: () => alwaysHealthy }, log: silentLog };
  const upstream = compileUpstream(conf, { owner: 'routes/1', allowsWebSocket: false, ...options, env });
  const choose: Step = (ctx) => {
    ctx.target = upstream.chooseTarget(ctx);
    return undefined;
  };
  const pipeline: Pipeline = {
    opening: [],
    steps: [...steps, choose],
    headerFilters,
    log: [],
    credentialPlaces: [],
    responseCaptureBytes: 0,
    needsBody: false,
  };
  const route = { id: '1', name: '', pipeline };
  const logged: RequestContext[] = [];
  const snapshot = { revision: 0, router: { needsBody: () => false, match: () => route } };
  const gateway: Gateway = {
    snapshot: () => snapshot as unknown as ReturnType<Gateway['snapshot']>,
    maxBodyBytes,
    maxPostArgsBytes: 1024,
    clientAddress: ({ connection }) => connection.remoteAddress,
    isTrustedProxy: () => options.isTrustedProxy ?? false,
    writeAccessLog: (ctx) => logged.push(ctx),
    traffic: { requestBegan: () => {}, requestEnded: () => {} },
    log: silentLog,
    failureLog: new RepeatedLog(silentLog),
    specimens: options.specimens ?? new Specimens(),
  };
  const server = await startServer(
    createHandler(gateway),
    timeouts,
    options.cleartextHttp2 === true ? { cleartextHttp2: true } : {},
  );
  return {
    port: server.port,
    url: `http://127.0.0.1:${server.port}`,
    logged,
    async over(count) {
      await eventually(() => logged.length >= count, undefined, `the end of request ${count}`);
      const ctx = logged[count - 1];
      if (ctx === undefined) throw new Error('no such request');
      return ctx;
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      pools.close();
    },
  };
}
