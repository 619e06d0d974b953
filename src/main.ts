#!/usr/bin/env node
import { version } from './base/version.ts';
import { runCommandLine } from './command-line.ts';
import { pluginCatalogue } from './plugins/index.ts';
import { checkAccessLogFormat } from './proxy/access-log.ts';
import { checkVars } from './router/expression.ts';

const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';

process.exitCode = await runCommandLine(process.argv.slice(2), {
  version,
  workerUrl: new URL(`./worker.${extension}`, import.meta.url),
  catalogue: pluginCatalogue(undefined),
  checkVars,
  checkAccessLogFormat,
});
