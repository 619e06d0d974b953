import { randomUUID } from 'node:crypto';
import { renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { formatDocument } from '../config/store/format-document.ts';
import { CommandError } from './command-error.ts';
import { type LocalGateway, readSource, type SourceOptions } from './transfer/configuration-source.ts';
import { formatProblem } from './transfer/report.ts';

interface ExportOptions extends SourceOptions {
  /** Default `yaml`. */
  readonly format?: 'yaml' | 'json';
  /** Absent: standard output. */
  readonly output?: string;
  readonly allowPartial?: boolean;
}

/**
 * `weir export`: writes a whole configuration as one document, in the form of conf/apisix.yaml or apisix.json.
 *
 * @throws CommandError when it could not be read or written, or only a part of it.
 */
export async function runExport(options: ExportOptions, gateway: LocalGateway): Promise<void> {
  const { items, problems, notes } = await readSource(options, gateway);
  for (const note of notes) process.stderr.write(`note: ${note}\n`);
  for (const problem of problems) process.stderr.write(`left out: ${formatProblem(problem)}\n`);
  const text = formatDocument(items, options.format ?? 'yaml');
  if (options.output === undefined) process.stdout.write(text);
  else replaceFile(options.output, text);
  if (problems.length > 0 && options.allowPartial !== true) {
    throw new CommandError('the export is not complete, see above (--allow-partial: that is no failure)');
  }
}

/** A gateway that follows the file must never see half of it. A new one is for its owner alone: it holds credentials. */
function replaceFile(file: string, text: string): void {
  const mode = (statSync(file, { throwIfNoEntry: false })?.mode ?? 0o600) & 0o777;
  const draft = join(dirname(file), `.${randomUUID()}.new`);
  try {
    writeFileSync(draft, text, { flag: 'wx', mode, flush: true });
    renameSync(draft, file);
  } finally {
    rmSync(draft, { force: true });
  }
}
