import { defineProvider } from './define-provider.ts';

/** https://openrouter.ai/docs/api-reference/overview */
export const openrouter = defineProvider({
  name: 'openrouter',
  origin: 'https://openrouter.ai',
  hosted: true,
  removesModel: false,
  protocols: {
    'openai-chat': {
      path: '/api/v1/chat/completions',
      maxTokensField: 'max_tokens',
      maxTokensReplaces: 'max_completion_tokens',
    },
  },
});
