import { defineProvider } from './define-provider.ts';

/** https://platform.openai.com/docs/api-reference/introduction */
export const openai = defineProvider({
  name: 'openai',
  origin: 'https://api.openai.com',
  hosted: true,
  removesModel: false,
  protocols: {
    'openai-chat': {
      path: '/v1/chat/completions',
      maxTokensField: 'max_completion_tokens',
      maxTokensReplaces: 'max_tokens',
    },
    'openai-responses': { path: '/v1/responses', maxTokensField: 'max_output_tokens' },
    'openai-embeddings': { path: '/v1/embeddings' },
  },
});
