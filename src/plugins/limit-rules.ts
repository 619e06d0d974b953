import { isSecretReference } from '../config/secret-reference.ts';
import { isNeverNumber, limitNumberSchema } from '../rate-limit/limit-number.ts';

/** Fields of a rule, which has a window for each value of its key. */
export const ruleFields = {
  time_window: { ...limitNumberSchema, description: 'Length of the window in seconds. May have variables.' },
  key: {
    type: 'string',
    description:
      'Every value of this text has its own window. A request for which none of its variables has a value is not subject to the rule.',
  },
} as const;

/** The numbers of a limit in the configuration. */
interface Numbers {
  readonly limit?: number | string;
  readonly count?: number | string;
  readonly time_window?: number | string;
}

interface NumbersConf extends Numbers {
  readonly instances?: readonly Numbers[];
  readonly rules?: readonly Numbers[];
}

/**
 * A text without variables that is no number would refuse every request.
 *
 * @returns One sentence that names the field; null if all is well. References to secrets pass.
 */
export function checkLimitNumbers({ instances = [], rules = [], ...own }: NumbersConf): string | null {
  const places: readonly (readonly [prefix: string, numbers: Numbers])[] = [
    ['', own],
    ...instances.map((instance, index) => [`instances[${index}].`, instance] as const),
    ...rules.map((rule, index) => [`rules[${index}].`, rule] as const),
  ];
  for (const [prefix, numbers] of places) {
    for (const name of ['limit', 'count', 'time_window'] as const) {
      const value = numbers[name];
      if (value === undefined || isSecretReference(value) || !isNeverNumber(value)) continue;
      return `property "${prefix}${name}" validation failed: expected a whole number above 0 or a text with variables, got ${JSON.stringify(value)}`;
    }
  }
  return null;
}
