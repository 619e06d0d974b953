import type { ProtocolName } from '../protocols/protocol.ts';
import { anthropicToOpenai } from './anthropic-to-openai/anthropic-to-openai.ts';
import type { Converter } from './converter.ts';
import { embeddingsToVertex } from './embeddings-to-vertex.ts';

/** Every converter. There is at most one a pair of protocols; the first one whose target the provider has is taken. */
export const converters: readonly Converter[] = [anthropicToOpenai, embeddingsToVertex];

/**
 * Finds the way from a client's protocol to one that the provider speaks. Meant for protocols that it does not speak itself.
 *
 * @param targets - Keyed by the protocols of the provider.
 * @returns null: there is none (the caller answers LLM_PROTOCOL_UNSUPPORTED).
 */
export function findConverter(
  from: ProtocolName,
  targets: Readonly<Partial<Record<ProtocolName, unknown>>>,
): Converter | null {
  return converters.find((converter) => converter.from === from && targets[converter.to] !== undefined) ?? null;
}
