import { existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { gunzipSync } from 'node:zlib';
import { coreTimes, cpuMicros, ownCpuMicros } from './usage.ts';

interface Watched {
  /** Where the run takes place, as taskset takes them: `0`, `0,2`; one may be named twice. */
  readonly cores: readonly string[];
  /** What belongs to the run and goes on after it: gateway and mocks. This process and its children are added. */
  readonly pids: readonly number[];
}

/** Whether the kernel leaves the time of interrupts out of that of the process that they interrupt. */
const interruptsAreApart = /^CONFIG_IRQ_TIME_ACCOUNTING=y$/m.test(kernelConfiguration());

/**
 * Watches what strangers take from the cores of a run from now on: time of other processes, and time that the hypervisor
 * gives to other machines.
 *
 * @returns Ends it and gives the time that was lost as a share of one core. Children that were started meanwhile must
 *   have ended.
 */
export function watchDisturbance({ cores, pids }: Watched): () => number {
  const numbers = [...new Set(cores.flatMap((some) => some.split(',')).filter((core) => core !== ''))].map(Number);
  const usedMicros = (): number => cpuMicros(pids) + ownCpuMicros();
  const startedMs = performance.now();
  const before = { cores: coreTimes(numbers), used: usedMicros() };
  return () => {
    const passedMicros = (performance.now() - startedMs) * 1000;
    const after = coreTimes(numbers);
    const used = usedMicros() - before.used;
    const busy = after.busy - before.cores.busy;
    const notIdle = passedMicros * numbers.length - (after.idle - before.cores.idle);
    const interrupts = after.interrupts - before.cores.interrupts;
    const stolen = after.stolen - before.cores.stolen;
    // The first is a sample and can be too much by chance, the second is where cores fall asleep often: so both have to
    // say it. Where interrupts are not apart, they are in what the processes used.
    const strange = Math.min(
      busy + stolen + (interruptsAreApart ? 0 : interrupts) - used,
      notIdle - (interruptsAreApart ? interrupts : 0) - used,
    );
    return Math.max(0, strange, stolen) / passedMicros;
  };
}

/** '' where the system does not tell. */
function kernelConfiguration(): string {
  const installed = `/boot/config-${release()}`;
  if (existsSync('/proc/config.gz')) return gunzipSync(readFileSync('/proc/config.gz')).toString();
  return existsSync(installed) ? readFileSync(installed, 'utf8') : '';
}
