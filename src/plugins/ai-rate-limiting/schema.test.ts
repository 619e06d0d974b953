import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aiRateLimiting } from './index.ts';

const limit = { limit: 10, time_window: 60 };
const instance = { name: 'a', limit: 10, time_window: 60 };
const rule = { count: 10, time_window: 60, key: '$remote_addr' };
const expression = { ...limit, limit_strategy: 'expression' };

const accepted: readonly (readonly [what: string, conf: object])[] = [
  ['a limit of all', limit],
  ['limits of instances', { instances: [instance] }],
  ['both', { ...limit, instances: [instance] }],
  ['rules', { rules: [rule, { ...rule, header_prefix: 'x' }] }],
  ['no rule at all', { rules: [] }],
  ['numbers as text', { limit: '10', time_window: '60' }],
  ['variables', { rules: [{ ...rule, count: '${http_x_quota ?? 5}', time_window: '$arg_window' }] }],
  ['a reference to a secret as a number', { limit: '$env://LIMIT', time_window: 60 }],
  ['a reference to a secret as an expression', { ...expression, cost_expr: '$env://COST' }],
  ['an expression', { ...expression, cost_expr: 'input_tokens + cache_read_input_tokens*0.1 + output_tokens*5' }],
  ['an expression that is not used', { ...limit, cost_expr: '+' }],
  ['a Redis', { ...limit, policy: 'redis', redis_host: '127.0.0.1' }],
];

for (const [what, conf] of accepted) {
  test(`${what} is accepted`, () => {
    assert.equal(aiRateLimiting.check(conf), null);
  });
}

const refused: readonly (readonly [what: string, conf: object, message: string | RegExp])[] = [
  ['nothing', {}, 'value should match only one schema, but matches none'],
  [
    'rules beside a limit',
    { ...limit, rules: [rule] },
    'value should match only one schema, but matches both schemas 1 and 2',
  ],
  [
    'rules beside instances',
    { instances: [instance], rules: [rule] },
    'value should match only one schema, but matches both schemas 1 and 2',
  ],
  [
    'a limit without time_window',
    { limit: 10, instances: [instance] },
    'property "time_window" is required when "limit" is set',
  ],
  [
    'time_window without a limit',
    { time_window: 10, rules: [rule] },
    'property "limit" is required when "time_window" is set',
  ],
  ['a limit of 0', { limit: 0, time_window: 60 }, /^property "limit" validation failed: /],
  ['a fraction', { limit: 1.5, time_window: 60 }, /^property "limit" validation failed: /],
  ['no instance', { instances: [] }, 'property "instances" validation failed: expect array to have at least 1 items'],
  ['a rule without key', { rules: [{ count: 1, time_window: 1 }] }, /property "key" is required/],
  ['a rejected_code of 199', { ...limit, rejected_code: 199 }, /^property "rejected_code" validation failed: /],
  ['an empty rejected_msg', { ...limit, rejected_msg: '' }, /^property "rejected_msg" validation failed: /],
  ['an unknown strategy', { ...limit, limit_strategy: 'tokens' }, /^property "limit_strategy" validation failed: /],
  ['a Redis without host', { ...limit, policy: 'redis' }, 'property "redis_host" is required when policy is "redis"'],
  ['the strategy expression without one', expression, "cost_expr is required when limit_strategy is 'expression'"],
  [
    'an expression that is none',
    { ...expression, cost_expr: 'input_tokens > 5' },
    'invalid cost_expr: expected an operator or the end at position 14, got "> 5"',
  ],
  [
    'a text that can never be a limit',
    { limit: 'many', time_window: 60 },
    'property "limit" validation failed: expected a whole number above 0 or a text with variables, got "many"',
  ],
  [
    'a text that can never be a window, in a rule',
    { rules: [rule, { ...rule, time_window: '0' }] },
    'property "rules[1].time_window" validation failed: expected a whole number above 0 or a text with variables, got "0"',
  ],
];

for (const [what, conf, message] of refused) {
  test(`${what} is refused`, () => {
    const answer = aiRateLimiting.check(conf);
    if (typeof message === 'string') assert.equal(answer, message);
    else assert.match(answer ?? '', message);
  });
}
