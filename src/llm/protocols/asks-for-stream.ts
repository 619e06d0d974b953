import type { JsonObject } from '../json.ts';

/**
 * Does a body in which `stream` is a boolean ask for a stream? Anything but false and null counts as yes: lax providers take
 * `1` or `"on"` for true, and then nobody would ask for the usage by which such a stream is charged.
 */
export function asksForStream({ stream = null }: JsonObject): boolean {
  return stream !== null && stream !== false;
}
