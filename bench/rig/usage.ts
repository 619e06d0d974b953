import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Length of a clock tick in /proc/PID/stat and /proc/stat; USER_HZ is 100 on every Linux that Node runs on (proc(5)). */
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

/** CPU time of this process and of all its children that have ended and their children, in microseconds. */
export function ownCpuMicros(): number {
  const { user, system } = process.cpuUsage();
  const fields = statFields('/proc/self/stat');
  return user + system + (Number(fields[13] ?? 0) + Number(fields[14] ?? 0)) * microsPerTick;
}

/** What some cores did so far, in microseconds. */
interface CoreTimes {
  /** Work of processes. The kernel only samples it, with every tick. */
  readonly busy: number;
  /** Nothing. Measured; what it takes to fall asleep and to wake is missing. */
  readonly idle: number;
  readonly interrupts: number;
  /** Taken by the hypervisor. */
  readonly stolen: number;
}

/** Sums up cores of /proc/stat by their numbers. */
export function coreTimes(cores: readonly number[]): CoreTimes {
  const stat = read('/proc/stat') ?? '';
  const total = { busy: 0, idle: 0, interrupts: 0, stolen: 0 };
  for (const core of cores) {
    const fields = new RegExp(`^cpu${core} (.*)$`, 'm').exec(stat)?.[1]?.split(' ').map(Number) ?? [];
    const [user = 0, nice = 0, system = 0, idle = 0, waiting = 0, interrupt = 0, softInterrupt = 0, stolen = 0] =
      fields;
    total.busy += (user + nice + system) * microsPerTick;
    total.idle += (idle + waiting) * microsPerTick;
    total.interrupts += (interrupt + softInterrupt) * microsPerTick;
    total.stolen += stolen * microsPerTick;
  }
  return total;
}

/** The cores that a process may run on, such as `0` or `0-3`; null where there is no such process. */
export function allowedCores(pid: number): string | null {
  return /^Cpus_allowed_list:\s+(\S+)$/m.exec(read(`/proc/${pid}/status`) ?? '')?.[1] ?? null;
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
  const fields = statFields(`/proc/${pid}/task/${task}/stat`);
  return Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
}

/** Behind the name, which stands in parentheses and may hold spaces: utime is [11], then stime, cutime, cstime. */
function statFields(path: string): string[] {
  return (
    read(path)
      ?.replace(/^.*\) /s, '')
      .split(' ') ?? []
  );
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
