import type { Infer, JsonSchema } from '../schema/infer.ts';
import { checkCredentialKeys } from './credential-keys.ts';
import { descriptionSchema, idSchema, labelsSchema, pluginsSchema, timestampSchema } from './resource-fields.ts';
import { defineResource } from './resource.ts';

const consumerSchema = {
  type: 'object',
  properties: {
    username: { type: 'string', minLength: 1, maxLength: 256, pattern: '^[a-zA-Z0-9_-]+$' },
    group_id: { ...idSchema, description: 'The consumer group that the consumer belongs to.' },
    plugins: pluginsSchema,
    desc: descriptionSchema,
    labels: labelsSchema,
    create_time: timestampSchema,
    update_time: timestampSchema,
  },
  required: ['username'],
  additionalProperties: false,
} as const satisfies JsonSchema;

/** A consumer as workers get it: checked, with the defaults filled in. */
export type Consumer = Infer<typeof consumerSchema>;

/** Who sends requests: recognized by an authentication plugin. Its id is its `username`. */
export const consumer = defineResource({
  kind: 'consumers',
  name: 'consumer',
  schema: consumerSchema,
  idField: 'username',
  pluginRole: 'consumer',
  filterFields: ['group_id'],
  unsupportedMethods: ['POST', 'PATCH'],
  references: [{ field: 'group_id', kind: 'consumer_groups', name: 'consumer group' }],
  checkAmong: checkCredentialKeys,
});
