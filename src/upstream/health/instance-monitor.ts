import type { Log } from '../../base/log.ts';
import type { Deadlines } from '../../http/deadlines.ts';
import type { NamedCells } from '../../shared-memory/named-cells.ts';
import type { Destination } from '../connect-to.ts';
import { describeLookupError, type Connector } from '../connector.ts';
import { hostPort, originKey } from '../origin.ts';
import type { Resolver } from '../resolver.ts';
import { AddressMonitor, type AddressReport, type Schedule, type StatusChange } from './address-monitor.ts';
import type { ActiveCheck } from './check-schema.ts';
import { ConcurrencyLimit } from './concurrency-limit.ts';
import { HealthWriter } from './health-cells.ts';
import type { HealthCheck } from './health-check.ts';
import { isUsable, type HealthSignal } from './health-state.ts';
import { planProbes, type ProbePlan } from './probe-plan.ts';
import { sendProbe, type ProbeResult } from './probe.ts';

/** How probes reach what they probe: the same way as requests, which config.yaml decides. */
export interface ProbeNetwork {
  readonly resolver: Resolver;
  /** `weir.connect_to`, parsed. */
  readonly destinations: ReadonlyMap<string, Destination>;
  /** Without `connect_to`: it is given addresses. */
  readonly connector: Connector;
  readonly deadlines: Deadlines;
}

interface InstanceMonitorParts {
  /** The resource with the check: `routes/1`. */
  readonly owner: string;
  /** Asked each time: a reload of config.yaml changes it. */
  readonly network: () => ProbeNetwork;
  readonly cells: NamedCells;
  readonly schedule: Schedule;
  /** From 0 up to 1. */
  readonly random: () => number;
  readonly log: Log;
}

/** How an instance is, for people. */
export interface InstanceReport {
  readonly instance: string;
  readonly type: ActiveCheck['type'];
  readonly hostname: string;
  /** That is probed. */
  readonly port: number;
  readonly addresses: readonly AddressReport[];
}

/** A resource with health checks, and how its instances are. */
export interface ResourceHealth {
  /** `routes/1`. */
  readonly owner: string;
  /** Why instances with checks are not probed, without values of secrets; null: they are. */
  readonly reason: string | null;
  readonly instances: readonly InstanceReport[];
}

/** Names are looked up again so often; the resolver decides how long it believes an answer. */
const followMs = 5000;
/** Stands among the addresses for a name that has none. */
const unresolved = '';

/** Probes every address of one instance, follows its name, and tells the workers. */
export class InstanceMonitor {
  readonly #parts: InstanceMonitorParts;
  readonly #writer: HealthWriter;
  readonly #limit: ConcurrencyLimit;
  readonly #addresses = new Map<string, AddressMonitor>();
  #check: HealthCheck;
  #plan: ProbePlan;
  #cancelFollow = (): void => {};
  #stopped = false;

  constructor(check: HealthCheck, parts: InstanceMonitorParts) {
    this.#check = check;
    this.#plan = planProbes(check);
    this.#parts = parts;
    this.#limit = new ConcurrencyLimit(check.checks.active.concurrency);
    this.#writer = new HealthWriter(parts.cells, parts.owner, check.name);
    this.#writer.clear();
    void this.#follow();
  }

  /**
   * Takes a changed check over, with the health found so far.
   *
   * @returns False when it probes something else: then this monitor is of no use for it.
   */
  update(check: HealthCheck): boolean {
    if (targetOf(check) !== targetOf(this.#check)) return false;
    this.#check = check;
    this.#plan = planProbes(check);
    this.#limit.max = check.checks.active.concurrency;
    return true;
  }

  /** Takes what a request of a client has found out. @param status - 0: there was no answer. */
  report(ip: string, signal: HealthSignal, status: number): void {
    const { passive } = this.#check.checks;
    const reason = status === 0 ? `a request failed (${signal})` : `a request got status ${status}`;
    if (passive !== undefined) this.#addresses.get(ip)?.apply(signal, passive, reason);
  }

  describe(): InstanceReport {
    const { name, origin, checks } = this.#check;
    return {
      instance: name,
      type: checks.active.type,
      hostname: origin.host,
      port: this.#destination().port,
      addresses: Array.from(this.#addresses.values(), (address) => address.describe()),
    };
  }

  /** Ends the probes. The instance counts as healthy from now on. */
  stop(): void {
    this.#stopped = true;
    this.#cancelFollow();
    for (const address of this.#addresses.values()) address.stop();
    this.#addresses.clear();
    this.#writer.clear();
  }

  async #follow(): Promise<void> {
    const { host } = this.#destination();
    try {
      const addresses = await this.#parts.network().resolver.resolve(host.toLowerCase());
      this.#setAddresses(addresses.map(({ address }) => address));
    } catch {
      // Those that are known stay: requests may still have connections to them.
      if (this.#addresses.size === 0) this.#setAddresses([unresolved]);
    }
    if (!this.#stopped) this.#cancelFollow = this.#parts.schedule(() => void this.#follow(), followMs);
  }

  #setAddresses(ips: readonly string[]): void {
    if (this.#stopped) return;
    for (const [ip, monitor] of this.#addresses) {
      if (ips.includes(ip)) continue;
      monitor.stop();
      this.#addresses.delete(ip);
      this.#writer.writeAddress(ip, 'healthy');
    }
    for (const ip of ips) if (!this.#addresses.has(ip)) this.#addresses.set(ip, this.#watch(ip));
    this.#publish();
  }

  #watch(ip: string): AddressMonitor {
    const { schedule, random } = this.#parts;
    return new AddressMonitor({
      ip,
      active: () => this.#check.checks.active,
      probe: (_ip, done) => this.#probe(ip, done),
      onChange: (change) => this.#onChange(change),
      schedule,
      random,
    });
  }

  #probe(ip: string, done: (result: ProbeResult) => void): () => void {
    let cancelProbe = (): void => {};
    let free = (): void => {};
    const cancelWait = this.#limit.run((release) => {
      free = release;
      const finish = (result: ProbeResult): void => {
        release();
        done(result);
      };
      cancelProbe = ip === unresolved ? this.#lookUp(finish) : this.#send(ip, finish);
    });
    return () => {
      cancelWait();
      cancelProbe();
      free();
    };
  }

  #send(ip: string, done: (result: ProbeResult) => void): () => void {
    return sendProbe(this.#parts.network(), this.#plan, { ip, port: this.#destination().port }, done);
  }

  /** The probe of a name without addresses: to have one is all that is asked. */
  #lookUp(done: (result: ProbeResult) => void): () => void {
    let cancelled = false;
    const run = async (): Promise<void> => {
      const { host } = this.#destination();
      try {
        const addresses = await this.#parts.network().resolver.resolve(host.toLowerCase());
        // This ends the monitor that has asked.
        if (!cancelled) this.#setAddresses(addresses.map(({ address }) => address));
      } catch (error) {
        const reason = `${host}: ${describeLookupError(error)}`;
        if (!cancelled) done({ kind: 'failure', signal: 'tcp_failure', reason });
      }
    };
    void run();
    return () => {
      cancelled = true;
    };
  }

  /** Where probes go: the host that requests go to, and its port unless the check names another. */
  #destination(): Destination {
    const { origin, checks } = this.#check;
    const { destinations } = this.#parts.network();
    const destinationOf = (port: number): Destination =>
      destinations.get(hostPort(origin.host.toLowerCase(), port)) ?? { host: origin.host, port };
    const { port = origin.port } = checks.active;
    return { host: destinationOf(origin.port).host, port: destinationOf(port).port };
  }

  #onChange({ ip, from, to, reason }: StatusChange): void {
    this.#writer.writeAddress(ip, to);
    this.#publish();
    const { host, port } = this.#destination();
    const address = hostPort(ip === unresolved ? host : ip, port);
    const fields = { owner: this.#parts.owner, instance: this.#check.name, address, from, to, reason };
    const { log } = this.#parts;
    if (to === 'unhealthy') log.warn(`health: ${address} is unhealthy`, fields);
    else if (to === 'healthy') log.notice(`health: ${address} is healthy`, fields);
    else log.info(`health: ${address} is ${to}`, fields);
  }

  #publish(): void {
    const statuses = Array.from(this.#addresses.values(), ({ status }) => status);
    this.#writer.writeInstance({
      isUsable: statuses.length === 0 || statuses.some(isUsable),
      isMixed: statuses.some((status) => status !== 'healthy'),
    });
  }
}

/** What is probed, whatever is sent there. */
function targetOf({ origin, checks }: HealthCheck): string {
  return `${originKey(origin)} ${checks.active.port ?? ''}`;
}
