import type { ErrorObject } from 'ajv';

/** Says that a string stands for another one, which is not known yet. */
export type IsDeferred = (text: string) => boolean;

/**
 * Drops the errors that only say that a deferred string does not look right. What stays is that it stands where no
 * string may be.
 *
 * @param errors - Of Ajv with `allErrors` and `verbose`.
 */
export function withoutDeferredStrings(errors: readonly ErrorObject[], isDeferred: IsDeferred): readonly ErrorObject[] {
  const excused = errors.filter((error) => isAboutDeferred(error, isDeferred) && canHoldString(error));
  // An `anyOf` that is excused takes the errors of its branches along.
  const paths = excused.map((error) => `${error.schemaPath}/`);
  return errors.filter(
    (error) =>
      !excused.includes(error) && !paths.some((path) => isBelow(error, path) && isAboutDeferred(error, isDeferred)),
  );
}

function isAboutDeferred({ data }: ErrorObject, isDeferred: IsDeferred): boolean {
  return typeof data === 'string' && isDeferred(data);
}

function isBelow({ schemaPath }: ErrorObject, path: string): boolean {
  return schemaPath.startsWith(path);
}

function canHoldString({ keyword, schema }: ErrorObject): boolean {
  if (keyword === 'type' || keyword === 'false schema') return false;
  if (keyword !== 'anyOf' && keyword !== 'oneOf') return true;
  return Array.isArray(schema) && schema.some(admitsStrings);
}

function admitsStrings(branch: unknown): boolean {
  if (typeof branch !== 'object' || branch === null) return branch === true;
  const { type = 'string' } = branch as { readonly type?: unknown };
  return Array.isArray(type) ? type.includes('string') : type === 'string';
}
