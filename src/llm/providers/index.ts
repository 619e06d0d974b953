import { aimlapi } from './aimlapi.ts';
import { anthropic } from './anthropic.ts';
import { azureOpenai } from './azure-openai.ts';
import { bedrock } from './bedrock.ts';
import { deepseek } from './deepseek.ts';
import type { Provider } from './define-provider.ts';
import { gemini } from './gemini.ts';
import { openai } from './openai.ts';
import { openaiCompatible } from './openai-compatible.ts';
import { openrouter } from './openrouter.ts';
import { vertexAi } from './vertex-ai.ts';

/** Every provider. */
export const providers = [
  openai,
  deepseek,
  aimlapi,
  anthropic,
  openaiCompatible,
  azureOpenai,
  openrouter,
  gemini,
  vertexAi,
  bedrock,
] as const;

export type ProviderName = (typeof providers)[number]['name'];

/** In the order of the list above: the enum of the configuration schema. */
export const providerNames: readonly ProviderName[] = providers.map((provider) => provider.name);

const byName: ReadonlyMap<string, Provider> = new Map(providers.map((provider) => [provider.name, provider]));

/** The provider of that name, or undefined. */
export function findProvider(name: string): Provider | undefined {
  return byName.get(name);
}
