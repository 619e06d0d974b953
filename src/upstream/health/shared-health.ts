import type { NamedCells } from '../../shared-memory/named-cells.ts';
import { hostOf } from '../origin.ts';
import type { Checks, PassiveCheck } from './check-schema.ts';
import { HealthReader } from './health-cells.ts';
import { classifyStatus, type HealthSignal, isUsable, toThresholds } from './health-state.ts';
import { alwaysHealthy, type HealthView, type PassiveOutcome, type TargetHealth } from './target-health.ts';

/** What a worker tells the main thread about a request of a client: plain data, it crosses the thread border. */
export interface HealthReport {
  readonly owner: string;
  readonly instance: string;
  readonly ip: string;
  readonly signal: HealthSignal;
  /** 0: there was no answer. */
  readonly status: number;
}

interface SharedHealthOptions {
  readonly cells: NamedCells;
  /** Takes a report to the main thread. */
  readonly send: (report: HealthReport) => void;
}

/** The health of a worker's instances: the main thread's findings, and reports to it. */
export class SharedHealth implements HealthView {
  readonly #options: SharedHealthOptions;

  constructor(options: SharedHealthOptions) {
    this.#options = options;
  }

  of(owner: string, name: string, checks: Checks | undefined): TargetHealth {
    return checks === undefined ? alwaysHealthy : new SharedTarget(this.#options, { owner, name, checks });
  }
}

class SharedTarget implements TargetHealth {
  readonly #reader: HealthReader;
  readonly #send: SharedHealthOptions['send'];
  readonly #owner: string;
  readonly #name: string;
  readonly #passive: PassiveCheck | undefined;

  constructor({ cells, send }: SharedHealthOptions, target: { owner: string; name: string; checks: Checks }) {
    this.#reader = new HealthReader(cells, target.owner, target.name);
    this.#send = send;
    this.#owner = target.owner;
    this.#name = target.name;
    this.#passive = target.checks.passive;
  }

  get healthy(): boolean {
    return this.#reader.isUsable();
  }

  isAddressHealthy(ip: string): boolean {
    return isUsable(this.#reader.statusOf(ip));
  }

  report({ address, result }: PassiveOutcome): void {
    const passive = this.#passive;
    if (passive === undefined || address === '') return;
    const signal = toSignal(result, passive);
    if (signal === null || toThresholds(passive)[signal] === 0) return;
    // What confirms a status changes nothing, so that healthy instances cost no message.
    const confirmed = signal === 'success' ? 'healthy' : 'unhealthy';
    for (const one of address.split(', ')) {
      const ip = hostOf(one);
      if (this.#reader.statusOf(ip) === confirmed) continue;
      const status = typeof result === 'number' ? result : 0;
      this.#send({ owner: this.#owner, instance: this.#name, ip, signal, status });
    }
  }
}

function toSignal(result: PassiveOutcome['result'], passive: PassiveCheck): HealthSignal | null {
  if (passive.type !== 'tcp') return typeof result === 'number' ? classifyStatus(result, passive) : result;
  return result === 'tcp_failure' || result === 'timeout' ? result : null;
}
