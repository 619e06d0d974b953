import type { LlmCall } from '../../pipeline/context.ts';
import { compileCostExpression, toWholeTokens } from '../../rate-limit/cost-expression.ts';
import type { AiRateLimitingConf } from './schema.ts';

/** @returns What a call takes from its limits, 0 if its usage is not known; null: the expression gives no finite number. */
export type TokenCost = (call: LlmCall) => number | null;

/** @throws ArithmeticSyntaxError for a `cost_expr` that is none. */
export function compileTokenCost({ limit_strategy: strategy, cost_expr: text }: AiRateLimitingConf): TokenCost {
  switch (strategy) {
    case 'total_tokens':
      return ({ usage }) => toWholeTokens(usage.totalTokens);
    case 'prompt_tokens':
      return ({ usage }) => toWholeTokens(usage.promptTokens);
    case 'completion_tokens':
      return ({ usage }) => toWholeTokens(usage.completionTokens);
    case 'expression': {
      const { evaluate } = compileCostExpression(text ?? '');
      return ({ rawUsage }) => (rawUsage === null ? 0 : evaluate(rawUsage));
    }
  }
}
