import { defineProvider } from './define-provider.ts';

/** https://docs.aimlapi.com/quickstart/setting-up */
export const aimlapi = defineProvider({
  name: 'aimlapi',
  origin: 'https://api.aimlapi.com',
  hosted: true,
  removesModel: false,
  protocols: {
    'openai-chat': {
      path: '/v1/chat/completions',
      maxTokensField: 'max_tokens',
      maxTokensReplaces: 'max_completion_tokens',
    },
  },
});
