import type { JsonObject } from '../json.ts';

/**
 * The user of OpenAI's client: `safety_identifier`, or `user`, which it replaces; `''` if neither is a string.
 * https://platform.openai.com/docs/guides/safety-best-practices
 */
export function openaiEndUserId(body: JsonObject): string {
  if (typeof body['safety_identifier'] === 'string') return body['safety_identifier'];
  return typeof body['user'] === 'string' ? body['user'] : '';
}
