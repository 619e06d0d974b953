import { arrayIn, lastUserTextIn, messagesIn } from './message-text.ts';
import type { PromptFormat } from './prompt-format.ts';

/** https://platform.openai.com/docs/api-reference/chat/create */
export const openaiChatPrompts: PromptFormat = {
  protocol: 'openai-chat',
  hasTurns: true,
  messages: messagesIn,
  lastUserText: (body) => lastUserTextIn(arrayIn(body, 'messages')),
  prepend: (body, added) => ({ ...body, messages: [...added, ...arrayIn(body, 'messages')] }),
  append: (body, added) => ({ ...body, messages: [...arrayIn(body, 'messages'), ...added] }),
};
