import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { describe, test } from 'node:test';
import { pluginFinder } from '../src/plugins/index.ts';

const docs = new URL('../docs/', import.meta.url);
const findPlugin = pluginFinder(undefined);

/** What a page need not repeat in each piece of a configuration. */
const base: Readonly<Record<string, object>> = {
  'ai-proxy-multi': { instances: [{ name: 'one', provider: 'openai', weight: 1, auth: {} }] },
};

const blocks = readdirSync(docs, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.md'))
  .flatMap((path) => {
    const page = readFileSync(new URL(path, docs), 'utf8');
    const found = page.matchAll(/^```json ?(\S*)\n([^]*?)^```$/gm);
    return Array.from(found, ([, plugin = '', text = '']) => ({ path, plugin, text }));
  });

describe('blocks of JSON in the pages', () => {
  test('are JSON', () => {
    for (const { path, text } of blocks) assert.doesNotThrow(() => void JSON.parse(text), `${path}: ${text}`);
  });

  test('are accepted by the plugin whose name stands behind "json", which knows all of their members', () => {
    const named = blocks.filter(({ plugin }) => plugin !== '');
    assert.ok(named.length > 0);
    for (const { path, plugin, text } of named) {
      const found = findPlugin(plugin);
      assert.ok(found, `${path}: there is no plugin ${plugin}`);
      const conf = JSON.parse(text) as object;
      assert.equal(found.check({ ...base[plugin], ...conf }), null, `${path}: ${text}`);
      const { properties = {} } = found.schema as { properties?: object };
      const unknown = Object.keys(conf).filter((name) => !Object.hasOwn(properties, name));
      assert.deepEqual(unknown, [], `${path}: ${text}`);
    }
  });
});
