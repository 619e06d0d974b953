import type { RequestView } from '../router/request-view.ts';
import type { VariableValue } from '../router/variables.ts';
import { compileLimitNumber } from './limit-number.ts';

/** How much may be used, and in which time. */
export interface LimitQuota {
  readonly limit: number;
  readonly windowMs: number;
}

/** A quota whose numbers may have variables, compiled. */
export interface CompiledQuota<R> {
  /** The quota if it is the same for every request; null if it has variables. */
  readonly constant: LimitQuota | null;
  /** @returns A text: a number of this request is none. It names the field. */
  readonly resolve: (request: R) => LimitQuota | string;
}

/** A number of the configuration with the name of its field, for errors. */
type NamedNumber = readonly [field: string, value: number | string];

/** 285,000 years, and still a whole number for every store. */
const longestWindowMs = Number.MAX_SAFE_INTEGER;
/** What a client has sent is not repeated in full. */
const maxShownLength = 64;

/**
 * Compiles what a limit allows.
 *
 * @param seconds - The length of its window.
 * @param find - Finds what reads a variable, see `compileTemplate`.
 */
export function compileLimitQuota<R extends RequestView>(
  [limitField, givenLimit]: NamedNumber,
  [secondsField, givenSeconds]: NamedNumber,
  find: (name: string) => ((request: R) => VariableValue) | null,
): CompiledQuota<R> {
  const limit = compileLimitNumber(givenLimit, find);
  const seconds = compileLimitNumber(givenSeconds, find);
  if (limit.constant !== null && seconds.constant !== null) {
    const constant = { limit: limit.constant, windowMs: toMilliseconds(seconds.constant) };
    return { constant, resolve: () => constant };
  }
  return {
    constant: null,
    resolve(request) {
      const amount = limit.resolve(request);
      if (typeof amount === 'string') return notNumber(limitField, amount);
      const time = seconds.resolve(request);
      return typeof time === 'string'
        ? notNumber(secondsField, time)
        : { limit: amount, windowMs: toMilliseconds(time) };
    },
  };
}

function toMilliseconds(seconds: number): number {
  return Math.min(seconds * 1000, longestWindowMs);
}

function notNumber(field: string, text: string): string {
  return `${field} is no whole number above 0 but ${JSON.stringify(text.slice(0, maxShownLength))}`;
}
