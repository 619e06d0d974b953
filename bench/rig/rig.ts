import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { plainAnswer, type MockSettings } from '../mock/answers.ts';
import { describeMachine, openFilesLimit, planCores, type CorePlan, type Machine } from './machine.ts';
import { startServer, type ServerProcess } from './process.ts';
import { fillTemplate } from './template.ts';
import { processTree } from './usage.ts';

/** Fixed, so that a gateway that the bench does not start can be pointed at the mocks beforehand. */
export const mockPorts = { plain: 18400, paced: 18401 } as const;
const firstGatewayPort = 18410;

/** Files are kept in memory where the system offers that: a disk that is slow or limited would stand in for the gateway. */
function filesRoot(): string {
  return existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
}

/** The place where everything runs: cores, ports, the mocks, a folder for files. */
export class Rig implements AsyncDisposable {
  readonly machine: Machine = describeMachine();
  readonly cores: CorePlan = planCores(this.machine.cores);
  readonly openFiles = openFilesLimit();
  readonly folder = mkdtempSync(join(filesRoot(), 'weir-bench-'));
  #nextPort = firstGatewayPort;
  #nextFolder = 0;
  readonly #mocks: ServerProcess[] = [];

  /** Starts the mocks. @throws Error when a mock cannot start, such as when another bench is running. */
  static async start(): Promise<Rig> {
    const rig = new Rig();
    process.on('exit', () => rmSync(rig.folder, { recursive: true, force: true }));
    try {
      await rig.#startMocks();
    } catch (error) {
      await rig[Symbol.asyncDispose]();
      throw error;
    }
    return rig;
  }

  /** A port that no other gateway of this run has. */
  newPort(): number {
    return this.#nextPort++;
  }

  /** An empty folder, removed when the process ends. */
  newFolder(name: string): string {
    const path = join(this.folder, `${name}-${this.#nextFolder++}`);
    mkdirSync(path, { recursive: true });
    return path;
  }

  /** The processes of the mocks. */
  mockProcesses(): number[] {
    return this.#mocks.flatMap(({ pid }) => processTree(pid));
  }

  /** What each nginx needs to be told about this machine. */
  get nginxLimits(): { open_files: number; connections: number } {
    // A connection through a proxy takes two files.
    return { open_files: this.openFiles, connections: Math.min(this.openFiles - 100, 40_000) };
  }

  /** Has the mock for streams and delayed answers answer like this from now on. */
  async setMock(settings: MockSettings): Promise<void> {
    const url = `http://127.0.0.1:${mockPorts.paced}/bench/settings`;
    const response = await fetch(url, { method: 'PUT', body: JSON.stringify(settings) });
    if (!response.ok) throw new Error(`the mock refused its settings: ${response.status}`);
    await response.arrayBuffer();
  }

  async #startMocks(): Promise<void> {
    const conf = join(this.folder, 'nginx-mock.conf');
    const { open_files, connections } = this.nginxLimits;
    const values = { folder: this.folder, port: mockPorts.plain, answer: plainAnswer, open_files, connections };
    writeFileSync(conf, fillTemplate(new URL('../mock/nginx-plain.conf', import.meta.url), values));
    const logFile = join(this.folder, 'mock.log');
    const script = new URL('../mock/sse-mock.ts', import.meta.url).pathname;
    this.#mocks.push(
      await startServer({
        name: 'the mock for plain answers',
        command: ['nginx', '-c', conf, '-e', 'stderr'],
        cores: this.cores.mock,
        port: mockPorts.plain,
        logFile,
      }),
      await startServer({
        name: 'the mock for streams',
        command: [process.execPath, '--max-semi-space-size=64', script, String(mockPorts.paced)],
        cores: this.cores.mock,
        port: mockPorts.paced,
        logFile,
      }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const mock of this.#mocks) await mock.stop();
  }
}
