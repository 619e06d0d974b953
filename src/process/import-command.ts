import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { resources } from '../config/resources.ts';
import type { DocumentItem } from '../config/store/standalone-document.ts';
import { adminAddress } from './admin-endpoint.ts';
import { CommandError, UsageError } from './command-error.ts';
import { AdminClient, UnreachableError } from './transfer/admin-client.ts';
import {
  createPrivateKeyOpener,
  localConfiguration,
  type LocalGateway,
  readSource,
  type SourceOptions,
} from './transfer/configuration-source.ts';
import { applyPlan, planImport } from './transfer/import-plan.ts';
import { readAdmin } from './transfer/read-admin.ts';
import { formatProblem, formatSummary, toExpectedOutcome } from './transfer/report.ts';
import { translate } from './transfer/translate.ts';

export interface ImportOptions extends SourceOptions {
  /** Absent: the gateway of the prefix. */
  readonly toAdmin?: string;
  /** Absent: the key of the prefix's config.yaml. */
  readonly toKey?: string;
  readonly dryRun?: boolean;
  /** Deletes what the source does not have. */
  readonly prune?: boolean;
  readonly allowPartial?: boolean;
}

const wildcardAddresses: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '[::1]' };

/**
 * `weir import`: puts a configuration into a running Weir through its Admin API. A second time it changes nothing.
 *
 * @throws CommandError when something could not be read, was left out or was refused; what was done has been printed.
 */
export async function runImport(
  options: ImportOptions,
  gateway: LocalGateway,
  print: (line: string) => void,
): Promise<void> {
  const { dryRun = false, prune = false, allowPartial = false } = options;
  if (isWithoutSource(options)) {
    throw new UsageError('name what to import: a file, --from-admin, --from-etcd or --from-yaml');
  }
  const reading = await readSource(options, gateway);
  const { client, present } = await openTarget(options, gateway, print);

  const given = new Set([...reading.items, ...reading.problems].map(keyOf));
  const isSuperfluous = (item: DocumentItem): boolean => prune && !given.has(keyOf(item));
  const staying = new Set(present.filter((item) => !isSuperfluous(item)).map(keyOf));
  const unreadable = new Set(reading.problems.map(keyOf));
  const translation = translate(
    reading.items.filter((item) => !unreadable.has(keyOf(item))),
    {
      resources,
      catalogue: gateway.parts.catalogue(localConfiguration(gateway).plugins),
      checkVars: gateway.parts.checkVars,
      exists: (kind, id) => staying.has(keyOf({ kind, id })),
    },
  );
  const untranslatable = [...reading.problems, ...translation.problems];
  const plan = planImport({ items: translation.items, present, isSuperfluous });

  for (const note of reading.notes) print(`note: ${note}`);
  for (const problem of untranslatable) print(`left out: ${formatProblem(problem)}`);
  const isPlanOnly = client === null || dryRun || (untranslatable.length > 0 && !allowPartial);
  const outcome = isPlanOnly ? toExpectedOutcome(plan) : await applyPlan(plan, client);
  for (const problem of outcome.refused) print(`refused: ${formatProblem(problem)}`);
  const { done, refused, stopped } = outcome;
  print(formatSummary({ done, unchanged: plan.unchanged, leftOut: [...untranslatable, ...refused] }));
  if (isPlanOnly) print(`nothing was written: this is what would be done${dryRun ? '' : ' with --allow-partial'}`);

  if (stopped !== null) {
    const rest = plan.writes.length + plan.deletions.length - done.length - refused.length;
    throw new CommandError(`${stopped}; ${rest} resources were not tried: the same command goes on from there`);
  }
  if (refused.length > 0) throw new CommandError('the gateway has refused a part of it, see above');
  if (untranslatable.length > 0 && !allowPartial) {
    throw new CommandError('not everything can be taken over, see above (--allow-partial: take the rest)');
  }
}

function isWithoutSource({ fromAdmin, fromEtcd, fromYaml }: SourceOptions): boolean {
  return fromAdmin === undefined && fromEtcd === undefined && fromYaml === undefined;
}

/** The gateway and what it has now. A dry run can do without: then everything is new. */
async function openTarget(
  options: ImportOptions,
  gateway: LocalGateway,
  print: (line: string) => void,
): Promise<{ readonly client: AdminClient | null; readonly present: readonly DocumentItem[] }> {
  try {
    const client = toTarget(options, gateway);
    const opener = createPrivateKeyOpener(localConfiguration(gateway), gateway);
    return { client, present: (await readAdmin(client, opener)).items };
  } catch (error) {
    if (options.dryRun !== true || !(error instanceof UnreachableError)) throw error;
    print(`note: ${error.message}; everything counts as new`);
    return { client: null, present: [] };
  }
}

/** The Admin API that the options name, else that of the prefix. */
function toTarget({ toAdmin, toKey }: ImportOptions, gateway: LocalGateway): AdminClient {
  const { configFile, prefix } = gateway.paths;
  const config = existsSync(configFile) ? localConfiguration(gateway) : null;
  const keys = config?.deployment.admin.admin_key ?? [];
  const key = toKey ?? keys.find(({ role, key }) => role === 'admin' && key !== '')?.key ?? generatedKey(prefix);
  if (toAdmin !== undefined) return new AdminClient({ url: toAdmin, key });
  if (config === null) throw new UnreachableError(`there is no ${configFile}: name a gateway with -p or --to-admin`);
  const address = adminAddress(config);
  if (address === null || address.port === 0) {
    throw new UnreachableError(`${configFile} does not tell the port of an Admin API: name one with --to-admin`);
  }
  const ip = wildcardAddresses[address.ip] ?? (address.ip.includes(':') ? `[${address.ip}]` : address.ip);
  return new AdminClient({ url: `http://${ip}:${address.port}`, key });
}

/** Where a start has kept its key if config.yaml could not be written. */
function generatedKey(prefix: string): string | undefined {
  const file = join(prefix, 'data', 'admin.key');
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined;
}

function keyOf({ kind, id }: Pick<DocumentItem, 'kind' | 'id'>): string {
  return `${kind}/${id}`;
}
