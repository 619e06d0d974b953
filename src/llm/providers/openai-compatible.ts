import { defineProvider } from './define-provider.ts';

/** Any server with an API in OpenAI's style: vLLM, Ollama, llama.cpp, SGLang, another gateway, ... */
export const openaiCompatible = defineProvider({
  name: 'openai-compatible',
  origin: null,
  hosted: false,
  removesModel: false,
  protocols: {
    'openai-chat': {
      path: '/v1/chat/completions',
      maxTokensField: 'max_tokens',
      maxTokensReplaces: 'max_completion_tokens',
    },
    'openai-responses': { path: '/v1/responses', maxTokensField: 'max_output_tokens' },
    'openai-embeddings': { path: '/v1/embeddings' },
  },
});
