import { isJsonContainer } from '../json.ts';
import { anthropicMessages } from './anthropic-messages.ts';
import { bedrockConverse, bedrockConverseStream } from './bedrock-converse.ts';
import { openaiChat } from './openai-chat.ts';
import { openaiEmbeddings } from './openai-embeddings.ts';
import { openaiResponses } from './openai-responses.ts';
import { passthrough } from './passthrough.ts';
import type { Protocol, ProtocolName } from './protocol.ts';
import { vertexPredict } from './vertex-predict.ts';

/**
 * Every protocol, in the order in which they are asked whether a request is theirs. The first match wins. `passthrough`
 * takes whatever is left; what stands behind it is no client's protocol but what a converter converts to.
 */
export const protocols: readonly Protocol[] = [
  bedrockConverse,
  bedrockConverseStream,
  anthropicMessages,
  openaiResponses,
  openaiChat,
  openaiEmbeddings,
  passthrough,
  vertexPredict,
];

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

/** The protocol of that name, as a provider is spoken to in it. */
export function findProtocol(name: ProtocolName): Protocol {
  const protocol = protocols.find((candidate) => candidate.name === name);
  if (protocol === undefined) throw new Error(`there is no protocol ${name}`);
  return protocol;
}

function isEmpty(body: object): boolean {
  for (const key in body) if (Object.hasOwn(body, key)) return false;
  return true;
}
