import { escapeUri } from '../../cloud-auth/aws-sigv4.ts';

/**
 * A model, chosen by the client, as one segment of a path.
 *
 * @returns null if there is none (`''`), or one that would be read as a step up the path (`.` and `..`).
 */
export function modelSegment(model: string): string | null {
  return /^\.{0,2}$/.test(model) ? null : escapeUri(model);
}
