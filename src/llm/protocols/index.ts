import { isJsonContainer } from '../json.ts';
import { openaiChat } from './openai-chat.ts';
import { openaiEmbeddings } from './openai-embeddings.ts';
import { passthrough } from './passthrough.ts';
import type { Protocol } from './protocol.ts';

/** Every protocol, in the order in which they are asked whether a request is theirs. The first match wins. */
export const protocols: readonly Protocol[] = [openaiChat, openaiEmbeddings, passthrough];

/**
 * Tells which protocol a client's request speaks.
 *
 * @param path - Path of the request, without query.
 * @param body - Its parsed JSON.
 * @returns null for `{}`, `[]` and scalars: no protocol (the caller answers LLM_NO_PROTOCOL).
 */
export function detectProtocol(path: string, body: unknown): Protocol | null {
  if (!isJsonContainer(body) || isEmpty(body)) return null;
  for (const protocol of protocols) if (protocol.matches(path, body)) return protocol;
  return null;
}

function isEmpty(body: object): boolean {
  for (const key in body) if (Object.hasOwn(body, key)) return false;
  return true;
}
