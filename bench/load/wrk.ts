import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { track } from '../rig/process.ts';

interface WrkOptions {
  readonly port: number;
  /** Used in turn. */
  readonly paths: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly connections: number;
  readonly seconds: number;
  readonly cores: string;
  /** For the file with the body. */
  readonly folder: string;
}

export interface WrkResult {
  readonly requests: number;
  readonly perSecond: number;
  readonly p50Micros: number;
  readonly p99Micros: number;
  /** What went wrong; null if every request was answered with success. */
  readonly failure: string | null;
}

const script = new URL('./wrk-report.lua', import.meta.url).pathname;
const errorKinds = ['connect', 'read', 'write', 'status', 'timeout'] as const;
type Report = Record<(typeof errorKinds)[number] | 'requests' | 'micros' | 'p50Micros' | 'p99Micros', number>;

/** Closed loop: every connection sends its next request as soon as the answer to the last is there. One thread. */
export async function runWrk(options: WrkOptions): Promise<WrkResult> {
  const bodyFile = join(options.folder, 'wrk-body.json');
  writeFileSync(bodyFile, options.body);
  const { cores, connections, seconds, headers, port, paths } = options;
  // wrk only takes whole seconds; an interrupt ends it early, and it reports the time that it really ran.
  const limit = ['timeout', '--preserve-status', '--signal=INT', String(seconds)];
  const load = ['-t1', `-c${connections}`, `-d${Math.ceil(seconds) + 1}s`, '--timeout', '30s', '-s', script];
  const fields = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
  const args = ['-c', cores, ...limit, 'wrk', ...load, ...fields, `http://127.0.0.1:${port}`, '--', bodyFile, ...paths];
  const run = promisify(execFile)('taskset', args);
  track(run.child);
  const { stdout } = await run;
  const line = stdout.trim().split('\n').at(-1) ?? '';
  if (!line.startsWith('{')) throw new Error(`wrk reported nothing: ${stdout.slice(-300)}`);
  const report = JSON.parse(line) as Report;
  return {
    requests: report.requests,
    perSecond: report.requests / (report.micros / 1e6),
    p50Micros: report.p50Micros,
    p99Micros: report.p99Micros,
    failure: describeErrors(report),
  };
}

function describeErrors(report: Report): string | null {
  if (report.requests === 0) return 'no request was answered';
  const seen = errorKinds.filter((kind) => report[kind] > 0).map((kind) => `${report[kind]} ${kind} errors`);
  return seen.length === 0 ? null : seen.join(', ');
}
