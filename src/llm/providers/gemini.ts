import { defineProvider } from './define-provider.ts';

/** Gemini through its API in OpenAI's style. https://ai.google.dev/gemini-api/docs/openai */
export const gemini = defineProvider({
  name: 'gemini',
  origin: 'https://generativelanguage.googleapis.com',
  hosted: true,
  removesModel: false,
  protocols: {
    'openai-chat': {
      path: '/v1beta/openai/chat/completions',
      maxTokensField: 'max_completion_tokens',
      maxTokensReplaces: 'max_tokens',
    },
  },
});
