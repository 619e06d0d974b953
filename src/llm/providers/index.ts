import { aimlapi } from './aimlapi.ts';
import { azureOpenai } from './azure-openai.ts';
import { deepseek } from './deepseek.ts';
import type { Provider } from './define-provider.ts';
import { openai } from './openai.ts';
import { openaiCompatible } from './openai-compatible.ts';

/** Every provider. */
export const providers = [openai, deepseek, aimlapi, openaiCompatible, azureOpenai] as const;

export type ProviderName = (typeof providers)[number]['name'];

/** In the order of the list above: the enum of the configuration schema. */
export const providerNames: readonly ProviderName[] = providers.map((provider) => provider.name);

const byName: ReadonlyMap<string, Provider> = new Map(providers.map((provider) => [provider.name, provider]));

/** The provider of that name, or undefined. */
export function findProvider(name: string): Provider | undefined {
  return byName.get(name);
}
