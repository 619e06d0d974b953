import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Length of a clock tick in /proc/PID/stat; USER_HZ is 100 on every Linux that Node runs on (proc(5)). */
const microsPerTick = 10_000;

/** A process and all that it has started, such as nginx's master and its workers. */
export function processTree(pid: number): number[] {
  const found = [pid];
  for (const parent of found) {
    for (const task of listTasks(parent)) {
      const children = read(`/proc/${parent}/task/${task}/children`)?.trim();
      if (children) found.push(...children.split(' ').map(Number));
    }
  }
  return found;
}

/**
 * CPU time that processes have used so far, user and system, all threads, in microseconds. From `schedstat`, which
 * counts nanoseconds; where the kernel has none, from `stat` in ticks of 10 ms.
 */
export function cpuMicros(pids: readonly number[]): number {
  let total = 0;
  for (const pid of pids) {
    for (const task of listTasks(pid)) {
      const schedstat = read(`/proc/${pid}/task/${task}/schedstat`);
      total += schedstat === null ? ticksOf(pid, task) * microsPerTick : Number(schedstat.split(' ', 1)[0]) / 1000;
    }
  }
  return total;
}

/**
 * CPU time that was used on some cores so far, by whatever, and time that the hypervisor took from them; in microseconds,
 * in steps of a tick. Interrupts are left out: they serve the traffic itself.
 *
 * @param cores - As taskset takes them: `0`, `0,2`.
 */
export function coreBusyMicros(cores: string): number {
  const stat = read('/proc/stat') ?? '';
  let ticks = 0;
  for (const core of cores.split(',')) {
    const fields = new RegExp(`^cpu${core} (.*)$`, 'm').exec(stat)?.[1]?.split(' ').map(Number) ?? [];
    const [user = 0, nice = 0, system = 0, , , , , steal = 0] = fields;
    ticks += user + nice + system + steal;
  }
  return ticks * microsPerTick;
}

/** Resident memory of processes in bytes: the sum of VmRSS. Pages that they share count for each. */
export function residentBytes(pids: readonly number[]): number {
  let total = 0;
  for (const pid of pids) {
    const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`) ?? '')?.[1];
    total += Number(kibibytes ?? 0) * 1024;
  }
  return total;
}

/** The processes on this machine that listen on a TCP port: how the CPU of a gateway that we did not start is found. */
export function processesListeningOn(port: number): number[] {
  const inodes = listeningInodes(port);
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && holdsSocket(entry, inodes))
    .map(Number);
}

function listeningInodes(port: number): Set<string> {
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0');
  const inodes = new Set<string>();
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of (read(table) ?? '').split('\n')) {
      // sl local_address rem_address st ... inode is the tenth field; state 0A is LISTEN.
      const fields = line.trim().split(/\s+/);
      if (fields[1]?.endsWith(`:${hexPort}`) && fields[3] === '0A' && fields[9] !== undefined) inodes.add(fields[9]);
    }
  }
  return inodes;
}

function holdsSocket(pid: string, inodes: ReadonlySet<string>): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
      return inode !== undefined && inodes.has(inode);
    });
  } catch {
    // Ended meanwhile, or somebody else's.
    return false;
  }
}

function listTasks(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

function ticksOf(pid: number, task: string): number {
  // The name, in parentheses, may hold spaces; utime and stime are the 12th and 13th field behind it.
  const fields =
    read(`/proc/${pid}/task/${task}/stat`)
      ?.replace(/^.*\) /s, '')
      .split(' ') ?? [];
  return Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
