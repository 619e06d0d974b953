import { isJsonObject, type JsonObject } from '../json.ts';

/** The objects of an array in somebody else's JSON; none if it is no array. */
export function objectsIn(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}
