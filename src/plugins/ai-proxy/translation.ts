import { WeirError } from '../../base/errors.ts';
import type { Conversion, Converter } from '../../llm/converters/converter.ts';
import { findConverter } from '../../llm/converters/index.ts';
import { findProtocol } from '../../llm/protocols/index.ts';
import type { Protocol } from '../../llm/protocols/protocol.ts';
import type { Provider } from '../../llm/providers/define-provider.ts';
import { bodyFromJson, type RequestBody } from '../../llm/request-body.ts';
import type { LlmRequest } from './llm-request.ts';

/** A client's request in a protocol that the provider speaks. */
export interface Translation {
  readonly protocol: Protocol;
  readonly body: RequestBody;
  /** How it came to that; null: it is the client's own protocol. */
  readonly conversion: (Conversion & { readonly converter: Converter }) | null;
}

/**
 * Converts a request if the provider does not speak the client's protocol.
 *
 * @returns A WeirError (400): LLM_PROTOCOL_UNSUPPORTED without a way from one to the other, LLM_CONVERSION for what cannot
 *   be said in the provider's protocol.
 */
export function translate({ protocol, body }: LlmRequest, provider: Provider): Translation | WeirError {
  if (protocol.keepsRequestLine || provider.protocols[protocol.name] !== undefined) {
    return { protocol, body, conversion: null };
  }
  const converter = findConverter(protocol.name, provider.protocols);
  if (converter === null) {
    const spoken = Object.keys(provider.protocols).join(', ');
    return new WeirError('LLM_PROTOCOL_UNSUPPORTED', [provider.name, protocol.name, spoken]);
  }
  const conversion = converter.convertRequest(body.json);
  if (conversion instanceof WeirError) return conversion;
  return {
    protocol: findProtocol(converter.to),
    body: bodyFromJson(conversion.body),
    conversion: { ...conversion, converter },
  };
}
