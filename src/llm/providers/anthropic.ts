import { defineProvider } from './define-provider.ts';

/**
 * Its own Messages API, and beside it one in OpenAI's style.
 * https://docs.anthropic.com/en/api/messages, https://docs.anthropic.com/en/api/openai-sdk
 */
export const anthropic = defineProvider({
  name: 'anthropic',
  origin: 'https://api.anthropic.com',
  hosted: true,
  removesModel: false,
  protocols: {
    'openai-chat': {
      path: '/v1/chat/completions',
      maxTokensField: 'max_tokens',
      maxTokensReplaces: 'max_completion_tokens',
    },
    'anthropic-messages': { path: '/v1/messages', maxTokensField: 'max_tokens' },
  },
});
