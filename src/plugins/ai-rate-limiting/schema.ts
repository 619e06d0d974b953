import { isSecretReference } from '../../config/secret-reference.ts';
import { ArithmeticSyntaxError } from '../../rate-limit/arithmetic.ts';
import { compileCostExpression } from '../../rate-limit/cost-expression.ts';
import { limitNumberSchema } from '../../rate-limit/limit-number.ts';
import { checkPolicy, policyCredentials, policyFields } from '../../rate-limit/policy-schema.ts';
import type { Infer, JsonSchema } from '../../schema/infer.ts';
import { rejectionFields } from '../limit-answers.ts';
import { checkLimitNumbers, ruleFields } from '../limit-rules.ts';

/** Configuration of `ai-rate-limiting`, with the names, defaults and limits of APISIX 3.18. */
export const aiRateLimitingSchema = {
  type: 'object',
  properties: {
    limit: {
      ...limitNumberSchema,
      description: 'Tokens that all instances together may use in a window. May have variables.',
    },
    time_window: {
      ...limitNumberSchema,
      description:
        'Length of the window in seconds. It begins with the first tokens that are used. May have variables.',
    },
    instances: {
      type: 'array',
      minItems: 1,
      items: {
        type: 'object',
        properties: {
          name: { type: 'string', description: 'The instance: of `ai-proxy` it is `ai-proxy-` and the provider.' },
          limit: {
            oneOf: [{ type: 'integer', minimum: 1 }, { type: 'string' }],
            description: 'Tokens that this instance may use in a window.',
          },
          time_window: {
            oneOf: [{ type: 'integer', minimum: 1 }, { type: 'string' }],
            description: 'Length of its window in seconds.',
          },
        },
        required: ['name', 'limit', 'time_window'],
      },
      description: 'Instances with a limit of their own, in place of the one of all.',
    },
    rules: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          count: { ...limitNumberSchema, description: 'Tokens in a window. May have variables.' },
          ...ruleFields,
          header_prefix: {
            type: 'string',
            description: 'Name of the rule in the headers of answers. Not set: its number, counted from 1.',
          },
        },
        required: ['count', 'time_window', 'key'],
      },
      description: 'Limits by client rather than by instance. A request is subject to all of them that apply to it.',
    },
    limit_strategy: {
      type: 'string',
      enum: ['total_tokens', 'prompt_tokens', 'completion_tokens', 'expression'],
      default: 'total_tokens',
      description: 'What is counted.',
    },
    cost_expr: {
      type: 'string',
      minLength: 1,
      description: 'What an answer costs, for the strategy `expression`: arithmetic over the usage of the provider.',
    },
    show_limit_quota_header: {
      type: 'boolean',
      default: true,
      description: 'Tell clients limit, rest and end of the window in headers.',
    },
    ...rejectionFields,
    ...policyFields,
  },
  dependencies: { limit: ['time_window'], time_window: ['limit'] },
  oneOf: [{ anyOf: [{ required: ['limit', 'time_window'] }, { required: ['instances'] }] }, { required: ['rules'] }],
  encrypt_fields: policyCredentials,
} as const satisfies JsonSchema;

/** A valid configuration, defaults filled in. */
export type AiRateLimitingConf = Infer<typeof aiRateLimitingSchema>;

/** @returns What the schema cannot say, in one sentence that names the field; null if all is well. */
export function checkAiRateLimiting(conf: AiRateLimitingConf): string | null {
  return checkPolicy(conf) ?? checkCost(conf) ?? checkLimitNumbers(conf);
}

function checkCost({ limit_strategy: strategy, cost_expr: text }: AiRateLimitingConf): string | null {
  if (strategy !== 'expression') return null;
  if (text === undefined) return "cost_expr is required when limit_strategy is 'expression'";
  if (isSecretReference(text)) return null;
  try {
    compileCostExpression(text);
    return null;
  } catch (error) {
    if (error instanceof ArithmeticSyntaxError) return `invalid cost_expr: ${error.message}`;
    throw error;
  }
}
