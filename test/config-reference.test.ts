import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { renderConfigReference } from '../scripts/generate-config-reference.ts';
import { gatewayConfigSchema } from '../src/config/static/gateway-config.ts';
import { ignoredKeys } from '../src/config/static/ignored-keys.ts';
import type { SettingSchema } from '../src/config/static/setting-schema.ts';

test('docs/configuration.md is what the definitions say (node scripts/generate-config-reference.ts writes it)', () => {
  const written = readFileSync(new URL('../docs/configuration.md', import.meta.url), 'utf8');
  assert.equal(written, renderConfigReference());
});

test('every setting has a meaning, and none is both acting and ignored', () => {
  const walk = (schema: SettingSchema, path: string): void => {
    for (const [key, property] of Object.entries(schema.properties ?? {})) {
      const name = path === '' ? key : `${path}.${key}`;
      if (property.properties) walk(property, name);
      else assert.ok(property.description, `${name} has no description`);
      assert.equal(ignoredKeys.includes(name), false, `${name} acts and is ignored`);
    }
  };
  walk(gatewayConfigSchema, '');
});
