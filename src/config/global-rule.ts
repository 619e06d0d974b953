import type { JsonSchema } from '../schema/infer.ts';
import { idSchema, pluginsSchema, timestampSchema } from './resource-fields.ts';
import { defineResource } from './resource.ts';

const globalRuleSchema = {
  type: 'object',
  properties: { id: idSchema, create_time: timestampSchema, update_time: timestampSchema, plugins: pluginsSchema },
  required: ['id', 'plugins'],
  additionalProperties: false,
} as const satisfies JsonSchema;

/** Plugins for all requests. Each plugin may stand in one rule only. */
export const globalRule = defineResource({
  kind: 'global_rules',
  name: 'global_rule',
  title: 'global rule',
  schema: globalRuleSchema,
  unsupportedMethods: ['POST'],
  checkAmong({ value: { plugins = {} } }, { list }) {
    for (const { id, value } of list('global_rules')) {
      const { plugins: taken = {} } = value;
      const twice = Object.keys(plugins as object).find((name) => Object.hasOwn(taken as object, name));
      if (twice !== undefined) return `plugin '${twice}' already exists in global rule with id '${id}'`;
    }
    return null;
  },
});
