import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';

/** What the numbers of a run belong to. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly system: string;
  /** Name to version. */
  readonly versions: Readonly<Record<string, string>>;
}

/** Describes this machine and the tools on it. */
export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    system: /^PRETTY_NAME="(.*)"$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'Linux',
    versions: {
      node: process.versions.node,
      nginx: firstMatch(output('nginx', ['-v']), /nginx\/(\S+)/),
      wrk: firstMatch(output('wrk', ['-v']), /wrk (\S+)/),
      weir: firstMatch(output('git', ['describe', '--always', '--dirty', '--abbrev=10']), /^(?!fatal)(\S+)/),
    },
  };
}

/** Which cores do what. Gateways get one of their own; load and mock share one where there are only two. */
export interface CorePlan {
  readonly gateway: string;
  /** For the scenario that compares two workers with one. */
  readonly gatewayTwoWorkers: string;
  readonly load: string;
  readonly mock: string;
  /** False: the second worker has to share its core with load and mock. */
  readonly secondWorkerHasCore: boolean;
}

/** @throws Error on a machine with a single core, where nothing can be measured beside the load that it takes. */
export function planCores(cores: number): CorePlan {
  if (cores < 2) throw new Error('the bench needs two cores: one for the gateway, one for load and mock');
  return {
    gateway: '0',
    gatewayTwoWorkers: cores >= 4 ? '0,3' : '0,1',
    load: '1',
    mock: cores >= 3 ? '2' : '1',
    secondWorkerHasCore: cores >= 4,
  };
}

/** Debian's packages by the command that the bench needs of each. */
const neededCommands = { nginx: 'nginx', wrk: 'wrk', taskset: 'util-linux' } as const;

/** Debian packages that are missing on this machine. */
export function missingPackages(): string[] {
  return Object.entries(neededCommands)
    .filter(([command]) => output(command, [command === 'taskset' ? '-V' : '-v']) === '')
    .map(([, name]) => name);
}

/** How many files a process may open: each stream through a gateway takes two. */
export function openFilesLimit(): number {
  const limit = /^Max open files\s+\S+\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
  return limit === 'unlimited' ? Infinity : Number(limit);
}

/** stdout and stderr together; '' when there is no such command. */
function output(command: string, args: readonly string[]): string {
  try {
    // nginx -v writes to stderr, wrk -v ends with status 1: neither is a failure.
    return execFileSync('sh', ['-c', '"$@" 2>&1 || true', 'sh', command, ...args], { encoding: 'utf8' }).replace(
      /^.*not found\n?$/m,
      '',
    );
  } catch {
    return '';
  }
}

function firstMatch(text: string, pattern: RegExp): string {
  return pattern.exec(text)?.[1] ?? 'not found';
}
