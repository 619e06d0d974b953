import { messagesIn, textsIn, toMessages } from './message-text.ts';
import { openaiChatPrompts } from './openai-chat.ts';
import type { PromptFormat } from './prompt-format.ts';

/**
 * Messages are put in as in OpenAI's chat, as APISIX does: a system message stays in `messages` and keeps its role.
 * https://docs.anthropic.com/en/api/messages
 */
export const anthropicMessagesPrompts: PromptFormat = {
  ...openaiChatPrompts,
  protocol: 'anthropic-messages',
  messages: (body) => [...toMessages('system', textsIn(body['system'])), ...messagesIn(body)],
};
