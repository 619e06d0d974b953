import type { ProtocolName } from '../protocols/protocol.ts';
import { anthropicMessagesPrompts } from './anthropic-messages.ts';
import { bedrockConversePrompts } from './bedrock-converse.ts';
import { openaiChatPrompts } from './openai-chat.ts';
import { openaiEmbeddingsPrompts } from './openai-embeddings.ts';
import { openaiResponsesPrompts } from './openai-responses.ts';
import type { PromptFormat } from './prompt-format.ts';

/** Every protocol whose prompts Weir can read and change. */
export const promptFormats: readonly PromptFormat[] = [
  bedrockConversePrompts,
  anthropicMessagesPrompts,
  openaiResponsesPrompts,
  openaiChatPrompts,
  openaiEmbeddingsPrompts,
];

const byProtocol = new Map(promptFormats.map((format) => [format.protocol, format]));

/** @returns undefined for a protocol whose prompts nobody knows: passthrough. */
export function findPromptFormat(protocol: ProtocolName): PromptFormat | undefined {
  return byProtocol.get(protocol);
}
