import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { makeFolder } from '../base/make-folder.ts';
import { type GatewayPaths, readConfiguration, shippedConfiguration } from './configuration.ts';
import { refuseSecondStart } from './refuse-second-start.ts';
import { formatStartBanner } from './start-banner.ts';
import { type GatewayParts, Supervisor } from './supervisor.ts';

interface StartOptions {
  readonly paths: GatewayPaths;
  readonly parts: GatewayParts;
  /** Write the shipped configuration to its place when there is none: not when the user has named a file. */
  readonly createConfiguration: boolean;
  readonly print: (line: string) => void;
  /** Called once the gateway serves. What it throws ends the gateway and is thrown on. */
  readonly onServing?: (supervisor: Supervisor) => Promise<void>;
}

/** A log that cannot be written must not keep a broken gateway alive. */
const fatalFlushMs = 1000;

/** npm hands on the Ctrl-C that the terminal sends to its child as well: what comes twice so quickly was pressed once. */
const echoMs = 300;

/**
 * `weir start`: runs a gateway in the foreground, until a signal ends it.
 *
 * @throws ConfigFileError, CommandError, ListenError, StoreError: each has a message for the user.
 */
export async function runGateway(options: StartOptions): Promise<void> {
  const { paths, parts, createConfiguration, print, onServing } = options;
  const signals = new SignalDesk();
  if (createConfiguration && !existsSync(paths.configFile)) {
    makeFolder(dirname(paths.configFile));
    // It will hold an admin key.
    writeFileSync(paths.configFile, readFileSync(shippedConfiguration), { flag: 'wx', mode: 0o600 });
    print(`wrote ${paths.configFile}: the default configuration, with comments`);
  }
  const loaded = readConfiguration(paths, parts.checkAccessLogFormat);
  await refuseSecondStart(paths, loaded.config);
  const supervisor = await Supervisor.start({ paths, parts, loaded });
  process.on('uncaughtException', (fault) => {
    setTimeout(() => process.exit(1), fatalFlushMs);
    void supervisor.logFatal(fault).finally(() => process.exit(1));
  });
  const colour = process.stdout.isTTY && process.stdout.hasColors();
  print(formatStartBanner(supervisor.describe(), colour));
  const key = supervisor.generatedKey;
  if (key) print(`admin key   ${key.key}  (made for you and kept in ${key.file}; it is not shown again)`);
  const ended = signals.serve(supervisor);
  try {
    await onServing?.(supervisor);
  } catch (error) {
    await supervisor.stop();
    throw error;
  }
  await ended;
}

/**
 * Takes the process's signals from the first moment on: before there is a gateway, those that end a process end it,
 * and the others, which would kill it (SIGHUP) or open Node's debugger (SIGUSR1), do nothing.
 */
class SignalDesk {
  #supervisor: Supervisor | undefined;
  readonly #ended = Promise.withResolvers<void>();

  constructor() {
    let first: { signal: string; at: number } | undefined;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        const now = performance.now();
        if (first?.signal === signal && now - first.at < echoMs) return;
        this.#end(first ? 'stop' : 'quit');
        first ??= { signal, at: now };
      });
    }
    // `weir quit` sends it: unlike the other two it never cuts running requests off, however often it comes.
    process.on('SIGQUIT', () => this.#end('quit'));
    process.on('SIGHUP', () => void this.#supervisor?.reload());
    process.on('SIGUSR1', () => this.#supervisor?.reopenLogs());
  }

  /** Resolves when the gateway has ended. */
  serve(supervisor: Supervisor): Promise<void> {
    this.#supervisor = supervisor;
    return this.#ended.promise;
  }

  #end(how: 'quit' | 'stop'): void {
    if (!this.#supervisor) process.exit(0);
    this.#supervisor[how]().then(this.#ended.resolve, this.#ended.reject);
  }
}
