import { readFileSync, writeFileSync } from 'node:fs';
import { pluginMetaSchema } from '../src/config/plugin-meta.ts';
import { aiProxySchema, notYetSupported } from '../src/llm/ai-proxy-schema.ts';
import { credentialNames } from '../src/llm/header-rules.ts';
import { providers } from '../src/llm/providers/index.ts';
import { pluginFinder } from '../src/plugins/index.ts';
import { fillBlocks, table } from './marked-blocks.ts';

const target = new URL('../docs/ai-proxy.md', import.meta.url);

/** The part of JSON Schema that plugin definitions use. */
interface FieldSchema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, FieldSchema>>;
  readonly patternProperties?: Readonly<Record<string, FieldSchema>>;
  readonly required?: readonly string[];
  readonly oneOf?: readonly FieldSchema[];
}

/** The text of docs/ai-proxy.md, its generated parts made anew. */
export function renderPluginReference(): string {
  return fillBlocks(readFileSync(target, 'utf8'), {
    facts: renderFacts(),
    fields: renderFields(aiProxySchema),
    'not-yet-supported': notYetSupported.map((field) => `- \`${field}\``).join('\n'),
    meta: renderFields(pluginMetaSchema),
    providers: renderProviders(),
    'credential-headers': credentialNames.map((name) => `\`${name}\``).join(', '),
  });
}

function renderFacts(): string {
  const plugin = pluginFinder(undefined)('ai-proxy');
  return `${plugin?.summary} Priority ${plugin?.priority}, version ${plugin?.version}.`;
}

function renderFields(schema: FieldSchema): string {
  return table(['field', 'type', 'default', 'meaning'], rowsOf(schema, ''));
}

function rowsOf(schema: FieldSchema, prefix: string): string[][] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const path = prefix + name;
    const required = schema.required?.includes(name) === true ? '**required**' : '';
    const fallback = field.default === undefined ? required : `\`${JSON.stringify(field.default)}\``;
    const own = field.description === undefined ? [] : [[`\`${path}\``, typeText(field), fallback, field.description]];
    return [...own, ...rowsOf(field, `${path}.`)];
  });
}

function typeText(field: FieldSchema): string {
  if (field.enum) return field.enum.map((value) => `\`${String(value)}\``).join(', ');
  if (field.oneOf) return field.oneOf.map(typeText).join(' or ');
  if (field.patternProperties) return 'object of strings';
  const { type = '', minimum, maximum } = field;
  if (minimum === undefined) return type;
  return maximum === undefined ? `${type}, at least ${minimum}` : `${type}, ${minimum} to ${maximum}`;
}

function renderProviders(): string {
  const rows = providers.map(({ name, origin, removesModel, protocols }) => {
    const urlOf = (capability: { readonly path: string } | undefined): string =>
      capability === undefined ? 'no' : `\`${origin ?? 'ENDPOINT'}${capability.path}\``;
    return [
      `\`${name}\``,
      urlOf(protocols['openai-chat']),
      urlOf('openai-embeddings' in protocols ? protocols['openai-embeddings'] : undefined),
      origin === null ? 'required' : 'optional',
      removesModel ? 'no' : 'yes',
    ];
  });
  return table(['provider', 'chat', 'embeddings', '`override.endpoint`', '`model` is sent'], rows);
}

if (import.meta.main) writeFileSync(target, renderPluginReference());
