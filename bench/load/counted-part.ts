import { cpuMicros } from '../rig/usage.ts';

/** The part of a run that counts: neither the set-up of connections, nor the time when fewer streams are open. */
export class CountedPart {
  readonly #pids: readonly number[];
  #startedMs = 0;
  #cpuBefore = 0;
  #eventsBefore = 0;
  isRunning = false;
  seconds = 0;
  /** CPU time that the gateway used meanwhile. */
  cpuMicros = 0;
  events = 0;

  /** @param pids - The processes of the gateway. */
  constructor(pids: readonly number[]) {
    this.#pids = pids;
  }

  /** @param events - That came before. */
  begin(events: number): void {
    this.isRunning = true;
    this.#eventsBefore = events;
    this.#startedMs = performance.now();
    this.#cpuBefore = cpuMicros(this.#pids);
  }

  /** @param events - That came so far, those before the part too. */
  end(events: number): void {
    this.isRunning = false;
    this.events = events - this.#eventsBefore;
    this.seconds = (performance.now() - this.#startedMs) / 1000;
    this.cpuMicros = cpuMicros(this.#pids) - this.#cpuBefore;
  }
}
