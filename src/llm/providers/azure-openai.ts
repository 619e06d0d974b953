import { defineProvider } from './define-provider.ts';

/**
 * The endpoint names resource and deployment, and with the deployment the model:
 * `https://RESOURCE.openai.azure.com/openai/deployments/DEPLOYMENT/chat/completions?api-version=VERSION`.
 * https://learn.microsoft.com/azure/ai-services/openai/reference
 */
export const azureOpenai = defineProvider({
  name: 'azure-openai',
  origin: null,
  hosted: true,
  removesModel: true,
  protocols: {
    // Only for an endpoint without a path, kept as APISIX has it.
    'openai-chat': { path: '/completions', maxTokensField: 'max_tokens', maxTokensReplaces: 'max_completion_tokens' },
  },
});
