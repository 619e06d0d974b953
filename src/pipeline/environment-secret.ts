import type { EnvironmentReference } from '../config/secret-reference.ts';
import type { SecretState } from './secret.ts';

/** Environment variables by name: `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Reads `$env://NAME` or `$env://NAME/key`. An empty value counts as none: that is how an unset one is passed on. */
export function readEnvironment({ variable, member }: EnvironmentReference, environment: Environment): SecretState {
  const text = Object.hasOwn(environment, variable) ? environment[variable] : undefined;
  if (text === undefined) return { failure: 'the environment variable is not set' };
  if (text === '') return { failure: 'the environment variable is empty' };
  return member === null ? { value: text } : readMember(text, member);
}

function readMember(text: string, member: string): SecretState {
  let value: unknown;
  try {
    const parsed: unknown = JSON.parse(text);
    value =
      typeof parsed === 'object' && parsed !== null && Object.hasOwn(parsed, member)
        ? Reflect.get(parsed, member)
        : undefined;
  } catch {
    // Without the parser's own words: they quote the text.
    return { failure: 'the environment variable does not hold JSON' };
  }
  if (typeof value === 'number' || typeof value === 'boolean') return { value: String(value) };
  if (typeof value === 'string' && value !== '') return { value };
  return { failure: `the JSON in the environment variable has no text under this key` };
}
