import { limitKeyTypes } from '../../rate-limit/limit-key.ts';
import { limitNumberSchema } from '../../rate-limit/limit-number.ts';
import { checkPolicy, policyCredentials, policyFields } from '../../rate-limit/policy-schema.ts';
import type { Infer, JsonSchema } from '../../schema/infer.ts';
import { rejectionFields } from '../limit-answers.ts';
import { checkLimitNumbers, ruleFields } from '../limit-rules.ts';

/**
 * Configuration of `limit-count`, with the names, defaults and limits of APISIX 3.18.
 *
 * @see https://apisix.apache.org/docs/apisix/plugins/limit-count/
 */
export const limitCountSchema = {
  type: 'object',
  properties: {
    count: { ...limitNumberSchema, description: 'Requests that may pass in a window. May have variables.' },
    time_window: {
      ...limitNumberSchema,
      description: 'Length of the window in seconds. It begins with its first request. May have variables.',
    },
    window_type: {
      type: 'string',
      enum: ['fixed'],
      default: 'fixed',
      description: 'A window ends all at once. Sliding windows do not exist here and are refused.',
    },
    key_type: {
      type: 'string',
      enum: limitKeyTypes,
      default: 'var',
      description: 'What `key` is: the name of a variable, a text with variables, or a text that is the same for all.',
    },
    key: {
      type: 'string',
      default: 'remote_addr',
      description: 'Every value has its own window. Without a value it is the address of the client.',
    },
    rules: {
      type: 'array',
      minItems: 1,
      items: {
        type: 'object',
        properties: {
          count: { ...limitNumberSchema, description: 'Requests in a window. May have variables.' },
          ...ruleFields,
          header_prefix: {
            type: 'string',
            minLength: 1,
            description: 'Name of the rule in the headers of answers. Not set: its number, counted from 1.',
          },
        },
        required: ['count', 'time_window', 'key'],
      },
      description: 'Several limits in place of one. A request is subject to all of them that apply to it.',
    },
    group: {
      type: 'string',
      minLength: 1,
      description: 'Routes with the same group share their counters. They should have the same configuration.',
    },
    ...rejectionFields,
    show_limit_quota_header: {
      type: 'boolean',
      default: true,
      description: 'Tell clients limit, rest and end of the window in headers.',
    },
    ...policyFields,
  },
  oneOf: [{ required: ['count', 'time_window'] }, { required: ['rules'] }],
  encrypt_fields: policyCredentials,
} as const satisfies JsonSchema;

/** A valid configuration, defaults filled in. */
export type LimitCountConf = Infer<typeof limitCountSchema>;

/** @returns What the schema cannot say, in one sentence that names the field; null if all is well. */
export function checkLimitCount(conf: LimitCountConf): string | null {
  return checkPolicy(conf) ?? checkLimitNumbers(conf) ?? checkRuleKeys(conf);
}

function checkRuleKeys({ rules = [] }: LimitCountConf): string | null {
  const keys = new Set<string>();
  for (const { key } of rules) {
    if (keys.has(key)) return `duplicate key '${key}' in rules`;
    keys.add(key);
  }
  return null;
}
