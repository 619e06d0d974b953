import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { CommandError, UsageError } from './command-error.ts';
import type { runExport } from './export-command.ts';
import type { runImport } from './import-command.ts';
import { ConfigFileError } from '../config/static/load.ts';
import { StoreError } from '../config/store/store.ts';
import { readConfiguration, toGatewayPaths } from './configuration.ts';
import { quitGateway, requestReload, stopGateway } from './gateway-control.ts';
import { ListenError } from './listen-probe.ts';
import type { GatewayParts } from './supervisor.ts';

const exitFailure = 1;
const exitUsage = 2;

const description = `Weir, an AI gateway: applications call it over HTTP, it forwards to LLM providers and streams the answers back.
It reads and serves the configuration language of Apache APISIX.`;

const lessons = `
A first route, from an empty folder:
  $ weir start                                  # writes conf/config.yaml and prints the admin key
  $ curl http://127.0.0.1:9180/apisix/admin/routes/hello -X PUT -H "X-API-KEY: $admin_key" -d '{
      "uri": "/v1/chat/completions",
      "plugins": { "ai-proxy": { "provider": "openai",
        "auth": { "header": { "Authorization": "Bearer '"$OPENAI_API_KEY"'" } },
        "options": { "model": "gpt-4" } } } }'
  $ curl http://127.0.0.1:9080/v1/chat/completions -H "Content-Type: application/json" -d '{
      "messages": [{ "role": "user", "content": "What is 1+1?" }] }'

The admin key stands in conf/config.yaml under deployment.admin.admin_key.

Files below the prefix:
  conf/config.yaml   the configuration     logs/access.log   one line a request
  data/weir.db       routes                logs/error.log    what the gateway itself has to say
                                           logs/weir.pid     the number of the running process

Signals to the running process:
  SIGTERM, SIGINT    end after the running requests, at weir.shutdown_timeout (30s) at the latest; a second one: at once
  SIGQUIT            the same, and a second one changes nothing (weir quit)
  SIGHUP             read the configuration anew, no request is dropped (weir reload)
  SIGUSR1            open the log files anew, after a rotation

Exit status: 0 success, 1 failure, 2 wrong usage.`;

/** The options as commander hands them over. */
interface GlobalOptions {
  readonly config?: string;
  readonly prefix: string;
}

/**
 * Runs one command of `weir`.
 *
 * @param args - Without the program's own name.
 * @returns The exit status: 0 success, 1 failure, 2 wrong usage. Everything has been said on stdout and stderr.
 */
export async function runCommandLine(args: readonly string[], parts: GatewayParts): Promise<number> {
  // Whoever reads our output may go away before us; that is no reason to fail.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  try {
    await buildProgram(parts).parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    // Commander has already shown what was wrong, or the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitUsage;
    process.stderr.write(`weir: ${describeFailure(error)}\n`);
    return error instanceof UsageError ? exitUsage : exitFailure;
  }
}

function buildProgram(parts: GatewayParts): Command {
  const program = new Command('weir')
    .description(description)
    .option('-p, --prefix <dir>', 'folder of the gateway: relative paths, logs/ and data/ lie under it', '.')
    .option('-c, --config <file>', 'configuration (default: conf/config.yaml under the prefix)')
    .configureHelp({ showGlobalOptions: true })
    .helpCommand(false)
    .addHelpText('after', lessons)
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error:/, 'weir:')) })
    .showHelpAfterError('`weir --help` tells what there is')
    .exitOverride();
  const options = (): GlobalOptions => program.opts();
  const paths = (): ReturnType<typeof toGatewayPaths> => toGatewayPaths(options());

  program
    .command('start')
    .description('run a gateway in the foreground')
    .action(async () => {
      // Most of the program; the other commands are quicker without it.
      const { runGateway } = await import('./start-command.ts');
      const createConfiguration = options().config === undefined;
      await runGateway({ paths: paths(), parts, createConfiguration, print });
    });
  program
    .command('demo')
    .description('see it work without any account: gateway, provider and a tour (its files: .weir/)')
    .option('--port <port>', 'port of the gateway (default: 9080, 0: any free one)', parsePort)
    .option('--admin-port <port>', 'port of the Admin API (default: 9180, 0: any free one)', parsePort)
    .action(async (ports: { readonly port?: number; readonly adminPort?: number }) => {
      if (options().config !== undefined) throw new UsageError('demo brings its own configuration: leave out -c');
      const { runDemoCommand } = await import('./demo-command.ts');
      await runDemoCommand({ prefix: options().prefix, parts, ...ports, write: (text) => process.stdout.write(text) });
    });
  program
    .command('stop')
    .description('end the running gateway at once')
    .action(() => stopGateway(paths().pidFile, print));
  program
    .command('quit')
    .description('end the running gateway after its running requests')
    .action(() => quitGateway(paths().pidFile, print));
  program
    .command('reload')
    .description('check the configuration, then have the running gateway read it anew')
    .action(() => {
      const { config } = readConfiguration(paths(), parts.checkAccessLogFormat);
      const pid = requestReload(paths().pidFile);
      print(`asked pid ${pid} to take over ${paths().configFile}; ${config.nginx_config.error_log} tells if it cannot`);
    });
  program
    .command('test')
    .description('check the configuration and say what is wrong, with file, line and key')
    .action(() => {
      const { warnings } = readConfiguration(paths(), parts.checkAccessLogFormat);
      for (const { level, message } of warnings) print(`${level === 'warn' ? 'warning' : 'note'}: ${message}`);
      print(`${paths().configFile}: the configuration is good`);
    });
  addSourceOptions(
    program
      .command('export')
      .description('write a configuration as one document: that of the prefix, or the one named'),
    'read',
  )
    .addOption(new Option('--format <format>', 'of the document').choices(['yaml', 'json']).default('yaml'))
    .option('--output <file>', 'write it there, in one step (default: standard output)')
    .option('--allow-partial', 'what could not be read is no failure')
    .action(async (chosen: Parameters<typeof runExport>[0]) => {
      const { runExport } = await import('./export-command.ts');
      await runExport(chosen, { paths: paths(), parts });
    });
  addSourceOptions(
    program
      .command('import')
      .argument('[file]', 'the same as --from-yaml')
      .description('put a configuration of APISIX or Weir into a running Weir, and say what cannot be taken over'),
    'import',
  )
    .option('--to-admin <url>', 'Admin API of the gateway (default: that of the prefix)')
    .addOption(new Option('--to-key <key>', 'its key (default: that of the prefix)').env('WEIR_TO_KEY'))
    .option('--dry-run', 'only say what would be done')
    .option('--prune', 'delete from the gateway what the configuration does not have')
    .option('--allow-partial', 'leave out what cannot be taken over; that is no failure')
    .action(async (file: string | undefined, chosen: Parameters<typeof runImport>[0]) => {
      if (file !== undefined && chosen.fromYaml !== undefined) throw new UsageError('name one file');
      const { runImport } = await import('./import-command.ts');
      const source = file === undefined ? chosen : { ...chosen, fromYaml: file };
      await runImport(source, { paths: paths(), parts }, print);
    });
  program
    .command('version')
    .description('print the version')
    .action(() => print(`weir ${parts.version}`));
  return program;
}

/** Credentials may also come from the environment: a command line can be read by every user of the machine. */
function addSourceOptions(command: Command, verb: string): Command {
  return command
    .option('--from-admin <url>', `${verb} what an Admin API tells, of APISIX or Weir`)
    .addOption(new Option('--from-key <key>', 'its key').env('WEIR_FROM_KEY'))
    .option('--from-yaml <file>', `${verb} a file in the form of apisix.yaml or apisix.json`)
    .option('--from-etcd <urls>', `${verb} what is in etcd; what follows is that of config.yaml by default`)
    .option('--etcd-prefix <prefix>', 'what its keys begin with')
    .option('--etcd-user <name>', 'name of the user')
    .addOption(new Option('--etcd-password <password>', 'password of the user').env('WEIR_ETCD_PASSWORD'))
    .option('--etcd-ca <file>', 'who may vouch for it, in PEM format')
    .option('--etcd-cert <file>', 'client certificate')
    .option('--etcd-cert-key <file>', 'key of the client certificate')
    .addOption(new Option('--keyring <keys>', 'apisix.data_encryption.keyring, with commas').env('WEIR_KEYRING'));
}

function parsePort(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65535) return port;
  throw new InvalidArgumentError('Expected a port number, 0 to 65535.');
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** One line for what a user can mend; the whole stack for what only a developer can. */
function describeFailure(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const forUser = [CommandError, ConfigFileError, ListenError, StoreError].some((kind) => error instanceof kind);
  if (forUser || isSystemError(error) || isSystemError(error.cause)) return error.message;
  return error.stack ?? error.message;
}

/** A refusal of the operating system, such as no permission or no space: it names the file itself. */
function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
}
