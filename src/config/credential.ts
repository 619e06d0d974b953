import type { JsonSchema } from '../schema/infer.ts';
import { checkCredentialKeys } from './credential-keys.ts';
import { commonFields, pluginsSchema } from './resource-fields.ts';
import { defineResource } from './resource.ts';

const credentialSchema = {
  type: 'object',
  properties: { ...commonFields, plugins: { ...pluginsSchema, maxProperties: 1 } },
  additionalProperties: false,
} as const satisfies JsonSchema;

/**
 * One of the ways in which a consumer may be recognized: the configuration of one authentication plugin. Its id is that of the
 * consumer, a slash, and a name: `jack/one`; the field `id` holds only the name.
 */
export const credential = defineResource({
  kind: 'credentials',
  name: 'credential',
  schema: credentialSchema,
  pluginRole: 'consumer',
  parent: 'consumers',
  unsupportedMethods: ['POST', 'PATCH'],
  checkRules({ plugins = {} }, { catalogue }) {
    const other = Object.keys(plugins as object).find((name) => catalogue.get(name)?.consumer === null);
    return other === undefined ? null : `only supports auth type plugins in consumer credential, got ${other}`;
  },
  checkAmong: checkCredentialKeys,
});
