import { toMessages } from './message-text.ts';
import type { PromptFormat } from './prompt-format.ts';

/** Texts that are embedded are the user's; there is nothing to put before or behind them. */
export const openaiEmbeddingsPrompts: PromptFormat = {
  protocol: 'openai-embeddings',
  hasTurns: false,
  messages({ input }) {
    const texts: unknown[] = Array.isArray(input) ? input : [input];
    return toMessages(
      'user',
      texts.filter((text) => typeof text === 'string'),
    );
  },
  prepend: (body) => body,
  append: (body) => body,
};
