import type { Plugin, PluginEnv } from '../src/pipeline/define-plugin.ts';
import { createSharedRegion, SharedMemory } from '../src/shared-memory/shared-memory.ts';
import { alwaysHealthy } from '../src/upstream/health/target-health.ts';
import { table } from './marked-blocks.ts';
import { adminExamples } from './page-examples.ts';

/** The part of JSON Schema that plugin definitions use. */
interface FieldSchema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly minItems?: number;
  readonly items?: FieldSchema;
  readonly properties?: Readonly<Record<string, FieldSchema>>;
  readonly patternProperties?: Readonly<Record<string, FieldSchema>>;
  readonly required?: readonly string[];
  readonly oneOf?: readonly FieldSchema[];
  readonly anyOf?: readonly FieldSchema[];
  readonly encrypt_fields?: readonly string[];
}

/**
 * What a page about a plugin does not say by hand.
 *
 * @param page - The text of the page: the configurations that it shows tell in which phases the plugin runs.
 * @throws Error when the page shows no configuration of the plugin, or one that the plugin refuses.
 */
export function renderPluginFacts(plugin: Plugin, page: string): string {
  const examples = adminExamples(page);
  const shown = examples
    .filter(({ path }) => !isOfConsumer(path))
    .flatMap(({ body }) => pluginsOf(body)[plugin.name] ?? []);
  if (shown.length === 0) throw new Error(`the page of ${plugin.name} has no example: a curl that configures it`);
  for (const conf of shown) {
    const wrong = plugin.check(conf);
    if (wrong !== null) throw new Error(`the page of ${plugin.name} has an example that is refused: ${wrong}`);
  }
  for (const { path, body } of examples) {
    const conf = isOfConsumer(path) ? pluginsOf(body)[plugin.name] : undefined;
    const wrong = conf === undefined ? null : (plugin.consumer ?? plugin).check(conf);
    if (wrong !== null) throw new Error(`the page of ${plugin.name} has a consumer that is refused: ${wrong}`);
  }
  const hooks = shown.flatMap((conf) => Object.entries(plugin.create(conf, nobody)));
  const phases = new Set(hooks.filter(([, hook]) => typeof hook === 'function').map(([phase]) => phase));
  const schemas = [plugin.schema, plugin.consumer?.schema ?? {}] as FieldSchema[];
  const credentials = schemas.flatMap(({ encrypt_fields = [] }) => encrypt_fields);
  return `${plugin.summary}\n\n${table(
    ['priority', 'version', 'phases', 'credential fields'],
    [[String(plugin.priority), String(plugin.version), codes([...phases]), codes(credentials)]],
  )}`;
}

/** A table of all fields below a schema, nested ones by their path. */
export function renderFields(schema: object): string {
  return table(['field', 'type', 'default', 'meaning'], rowsOf(schema, ''));
}

/** The list of all plugins, each with a link to its page. */
export function renderPluginList(plugins: readonly Plugin[]): string {
  const rows = plugins.map(({ name, priority, summary }) => [`[${name}](${name}.md)`, String(priority), summary]);
  return table(['plugin', 'priority', ''], rows);
}

function rowsOf(schema: FieldSchema, prefix: string): string[][] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const path = prefix + name;
    const required = schema.required?.includes(name) === true ? '**required**' : '';
    const fallback = field.default === undefined ? required : `\`${JSON.stringify(field.default)}\``;
    const nested = [...rowsOf(field, `${path}.`), ...rowsOf(field.items ?? {}, `${path}[].`)];
    // An object that is nothing but the place of its members needs no words.
    if (field.description === undefined && nested.length > 0) return nested;
    return [[`\`${path}\``, typeText(field), fallback, field.description ?? ''], ...nested];
  });
}

function typeText(field: FieldSchema): string {
  if (field.enum) return codes(field.enum);
  const forms = field.oneOf ?? field.anyOf;
  if (forms) return forms.map(typeText).join(' or ');
  if (field.patternProperties) return 'object of strings';
  const { type = '', minimum, maximum, items } = field;
  if (type === 'array') return `${items?.type === undefined ? 'array' : `array of ${items.type}s`}${leastSize(field)}`;
  if (type === 'string') return `string${leastSize(field)}`;
  if (minimum === undefined) return type;
  return maximum === undefined ? `${type}, at least ${minimum}` : `${type}, ${minimum} to ${maximum}`;
}

function leastSize({ minLength = 0, minItems = 0 }: FieldSchema): string {
  if (minItems > 1) return `, at least ${minItems}`;
  return minLength > 0 || minItems > 0 ? ', not empty' : '';
}

function codes(values: readonly unknown[]): string {
  return values.length === 0 ? 'none' : values.map((value) => `\`${String(value)}\``).join(', ');
}

/** Where plugins that authenticate have another configuration. */
function isOfConsumer(path: string): boolean {
  return /^consumers(?:$|\/)/.test(path);
}

function pluginsOf(body: unknown): Readonly<Record<string, unknown>> {
  return (body as { readonly plugins?: Readonly<Record<string, unknown>> }).plugins ?? {};
}

const silent = { error: () => {}, warn: () => {}, notice: () => {}, info: () => {}, debug: () => {} };

/** Stands in for a worker: a plugin that is made and never run only keeps what it gets. */
const nobody = {
  pools: { get: () => ({}) },
  batchQueues: { create: () => ({}) },
  logFiles: { get: () => ({}) },
  windowStores: { get: () => ({}) },
  health: { of: () => alwaysHealthy },
  shared: new SharedMemory(createSharedRegion({ counterBytes: 0 })),
  metrics: { extraLabels: {} },
  httpsPort: 443,
  metadata: {},
  llmLog: null,
  log: silent,
  configurationLog: silent,
  logsResponseText: false,
} as unknown as PluginEnv;
