import { readFileSync, writeFileSync } from 'node:fs';
import { pluginMetaSchema } from '../src/config/plugin-meta.ts';
import { credentialNames } from '../src/llm/header-rules.ts';
import { providers } from '../src/llm/providers/index.ts';
import type { Plugin } from '../src/pipeline/define-plugin.ts';
import { pluginCatalogue, pluginFinder } from '../src/plugins/index.ts';
import { fillBlocks } from './marked-blocks.ts';
import { renderFields, renderPluginFacts, renderPluginList } from './plugin-page.ts';
import {
  renderConverters,
  renderProtocolMatrix,
  renderProviderFacts,
  renderProviderProtocols,
} from './provider-page.ts';

const docs = new URL('../docs/', import.meta.url);

const findPlugin = pluginFinder(undefined);
const plugins = pluginCatalogue(undefined)
  .names()
  .map((name) => findPlugin(name))
  .filter((plugin) => plugin !== undefined);

/** Generated parts that only one page has. */
const ownBlocks: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'ai-proxy': { 'credential-headers': credentialNames.map((name) => `\`${name}\``).join(', ') },
};

/**
 * The pages about plugins and providers, their generated parts made anew: path below docs/ -> text. What stands between
 * these parts is written by hand.
 *
 * @throws Error for a plugin or provider without a page, and for a page without an example or with one that is refused.
 */
export function renderReference(): ReadonlyMap<string, string> {
  return new Map([
    renderPage('plugins/README.md', () => ({
      list: renderPluginList(plugins),
      meta: renderFields(pluginMetaSchema),
    })),
    renderPage('providers/README.md', () => ({
      matrix: renderProtocolMatrix(providers),
      converters: renderConverters(),
    })),
    ...plugins.map((plugin) => renderPage(`plugins/${plugin.name}.md`, (page) => pluginBlocks(plugin, page))),
    ...providers.map((provider) =>
      renderPage(`providers/${provider.name}.md`, () => ({
        facts: renderProviderFacts(provider),
        protocols: renderProviderProtocols(provider),
      })),
    ),
  ]);
}

function renderPage(
  path: string,
  blocksFor: (page: string) => Readonly<Record<string, string>>,
): readonly [string, string] {
  try {
    const page = readFileSync(new URL(path, docs), 'utf8');
    return [path, fillBlocks(page, blocksFor(page))];
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`docs/${path}: ${reason}`, { cause });
  }
}

function pluginBlocks(plugin: Plugin, page: string): Readonly<Record<string, string>> {
  return {
    facts: renderPluginFacts(plugin, page),
    fields: renderOwnFields(plugin.schema),
    ...(plugin.consumer !== null && { 'consumer-fields': renderOwnFields(plugin.consumer.schema) }),
    ...ownBlocks[plugin.name],
  };
}

/** Without `_meta`, which every plugin has. */
function renderOwnFields(schema: object): string {
  const { properties, required } = schema as { properties: Record<string, unknown>; required?: string[] };
  const { _meta, ...own } = properties;
  return renderFields({ properties: own, required });
}

if (import.meta.main) {
  for (const [path, text] of renderReference()) writeFileSync(new URL(path, docs), text);
}
