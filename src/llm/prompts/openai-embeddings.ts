import type { JsonObject } from '../json.ts';
import { toMessages } from './message-text.ts';
import type { PromptFormat } from './prompt-format.ts';

/** Texts that are embedded are the user's; there is nothing to put before or behind them. */
export const openaiEmbeddingsPrompts: PromptFormat = {
  protocol: 'openai-embeddings',
  hasTurns: false,
  messages: (body) => toMessages('user', textsToEmbed(body)),
  lastUserText: (body) => textsToEmbed(body).join(' '),
  prepend: (body) => body,
  append: (body) => body,
};

function textsToEmbed({ input }: JsonObject): string[] {
  const texts: unknown[] = Array.isArray(input) ? input : [input];
  return texts.filter((text) => typeof text === 'string');
}
