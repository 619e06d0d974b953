import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createValidator } from '../schema/validator.ts';
import { checkPlugins, type PluginCatalogue, type PluginSpec } from './plugin-catalogue.ts';
import { withPluginMeta } from './plugin-meta.ts';

const schema = withPluginMeta({ type: 'object', properties: { count: { type: 'integer' } }, required: ['count'] });
const validator = createValidator(schema);
const check = (conf: unknown): string | null => validator.check(conf);
const consumerValidator = createValidator({ type: 'object', required: ['key'] });
const plugins: Readonly<Record<string, Pick<PluginSpec, 'consumer'>>> = {
  limit: { consumer: null },
  auth: { consumer: { schema: {}, ...consumerValidator } },
};
const catalogue: PluginCatalogue = {
  get: (name) =>
    Object.hasOwn(plugins, name)
      ? {
          name,
          priority: 1,
          version: 1,
          summary: '',
          schema,
          check,
          metadata: null,
          consumer: null,
          credentialKey: null,
          ...plugins[name],
        }
      : undefined,
  names: () => Object.keys(plugins),
};

const failed = 'failed to check the configuration of plugin limit err: ';

describe('checkPlugins', () => {
  const rows: readonly [about: string, plugins: unknown, expected: string | null][] = [
    ['accepts a valid configuration', { limit: { count: 1 } }, null],
    ['accepts no plugin at all', {}, null],
    ['accepts an invalid configuration of a disabled plugin', { limit: { _meta: { disable: true } } }, null],
    ['names an unknown plugin', { xyz: {} }, 'unknown plugin [xyz]'],
    ['names an unknown plugin even when disabled', { xyz: { _meta: { disable: true } } }, 'unknown plugin [xyz]'],
    ['does not take a method of Object for a plugin', { toString: {} }, 'unknown plugin [toString]'],
    ['repeats a scalar configuration', { limit: 5 }, 'invalid plugin conf 5 for plugin [limit]'],
    ['repeats no text, which could be a key', { limit: 'sk-01' }, 'invalid plugin conf "***" for plugin [limit]'],
    ['refuses null', { limit: null }, 'invalid plugin conf null for plugin [limit]'],
    ['refuses an array', { limit: [1] }, `${failed}wrong type: expected object, got table`],
    ['wraps what the plugin says', { limit: {} }, `${failed}property "count" is required`],
    [
      'checks _meta',
      { limit: { count: 1, _meta: { disable: 'yes' } } },
      `${failed}property "_meta" validation failed: property "disable" validation failed: wrong type: expected boolean, got string`,
    ],
    [
      'refuses Lua code in _meta',
      { limit: { count: 1, _meta: { pre_function: 'return function() end' } } },
      `${failed}property "_meta" validation failed: additional properties forbidden, found pre_function`,
    ],
    ['refuses what is no object', 5, 'invalid configuration: "plugins" must be an object'],
  ];
  for (const [about, plugins, expected] of rows) {
    it(about, () => assert.equal(checkPlugins(plugins, catalogue), expected));
  }

  const ofConsumers: readonly [about: string, plugins: unknown, expected: string | null][] = [
    ['has the schema for consumers of a plugin that authenticates', { auth: { key: 'k' } }, null],
    ['has the schema for routes of the others', { limit: { count: 1 } }, null],
    [
      'says that it is about the plugins of a consumer',
      { auth: { count: 1 } },
      'invalid plugins configuration: failed to check the configuration of plugin auth err: property "key" is required',
    ],
    ['names an unknown plugin likewise', { xyz: {} }, 'invalid plugins configuration: unknown plugin [xyz]'],
  ];
  for (const [about, plugins, expected] of ofConsumers) {
    it(`of a consumer ${about}`, () => assert.equal(checkPlugins(plugins, catalogue, 'consumer'), expected));
  }
});
