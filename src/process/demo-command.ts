import { existsSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { makeFolder } from '../base/make-folder.ts';
import { CommandError } from './command-error.ts';
import { toGatewayPaths } from './configuration.ts';
import { DemoCallError } from '../demo/calls.ts';
import { demoConfiguration, demoPortVariables } from '../demo/configuration.ts';
import { startDemoProvider } from '../demo/provider.ts';
import { runDemo } from '../demo/tour.ts';
import { ListenError } from './listen-probe.ts';
import { runGateway } from './start-command.ts';
import type { GatewayParts, Supervisor } from './supervisor.ts';

export interface DemoOptions {
  /** The demo lives in the folder `.weir` below it. */
  readonly prefix: string;
  readonly parts: GatewayParts;
  /** Ports of gateway and Admin API; 0: any free one. Absent: what the demo's config.yaml says, at first 9080 and 9180. */
  readonly port?: number;
  readonly adminPort?: number;
  readonly write: (text: string) => void;
}

const loopback = '127.0.0.1';
/** It guards nothing: that the route adds a credential shall be seen. */
const providerKey = 'demo-provider-key';

/**
 * `weir demo`: runs a gateway with a provider of its own, shows what it does, and serves until a signal ends it.
 *
 * @throws CommandError, ConfigFileError, StoreError: each has a message for the user.
 */
export async function runDemoCommand({ prefix, parts, port, adminPort, write }: DemoOptions): Promise<void> {
  const paths = toGatewayPaths({ prefix: join(prefix, '.weir') });
  if (!existsSync(paths.configFile)) {
    makeFolder(dirname(paths.configFile));
    // It will hold an admin key.
    writeFileSync(paths.configFile, demoConfiguration, { flag: 'wx', mode: 0o600 });
  }
  if (port !== undefined) process.env[demoPortVariables.gateway] = String(port);
  if (adminPort !== undefined) process.env[demoPortVariables.admin] = String(adminPort);

  const provider = await startDemoProvider({ host: loopback, port: 0, apiKey: providerKey });
  const ending = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGQUIT'] as const) process.once(signal, () => ending.abort());

  const showAround = async (supervisor: Supervisor): Promise<void> => {
    const { dataPlane, admin } = supervisor.describe();
    const { config } = supervisor;
    if (admin === null) throw new CommandError(`the demo needs the Admin API: see ${paths.configFile}`);
    const { access_log, access_log_format } = config.nginx_config.http;
    await runDemo({
      gatewayUrl: `http://${loopback}:${dataPlane[0]?.port}`,
      adminUrl: `http://${loopback}:${admin.port}`,
      providerUrl: `http://${loopback}:${provider.port}`,
      adminKey: config.deployment.admin.admin_key[0]?.key ?? '',
      providerKey,
      folder: shownPath(paths.prefix),
      configFile: shownPath(paths.configFile),
      accessLogFile: resolve(paths.prefix, access_log),
      accessLogFormat: access_log_format,
      version: parts.version,
      write,
      colour: process.stdout.isTTY && process.stdout.hasColors(),
      signal: ending.signal,
    });
  };
  const onServing = async (supervisor: Supervisor): Promise<void> => {
    try {
      await showAround(supervisor);
    } catch (error) {
      if (ending.signal.aborted) return;
      throw error instanceof DemoCallError ? new CommandError(`demo: ${error.message}`, { cause: error }) : error;
    }
  };

  try {
    await runGateway({ paths, parts, createConfiguration: false, print: () => {}, onServing });
    write(`\n  The demo has ended. Its files are in ${shownPath(paths.prefix)}/\n`);
  } catch (error) {
    throw error instanceof ListenError ? withOtherPorts(error) : error;
  } finally {
    await provider.close();
  }
}

function withOtherPorts(error: ListenError): CommandError {
  const command = process.env['npm_lifecycle_event'] === 'quickstart' ? 'npm run quickstart --' : 'weir demo';
  return new CommandError(`${error.message}: ${command} --port 9081 --admin-port 9181 (0: any free port)`, {
    cause: error,
  });
}

/** As short as a person at this terminal would write it. */
function shownPath(path: string): string {
  const fromHere = relative(process.cwd(), path);
  return fromHere.startsWith('..') ? path : fromHere;
}
