import { defineProvider } from './define-provider.ts';

/** https://api-docs.deepseek.com */
export const deepseek = defineProvider({
  name: 'deepseek',
  origin: 'https://api.deepseek.com',
  hosted: true,
  removesModel: false,
  protocols: {
    'openai-chat': {
      path: '/chat/completions',
      maxTokensField: 'max_tokens',
      maxTokensReplaces: 'max_completion_tokens',
    },
  },
});
