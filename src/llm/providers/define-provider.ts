import type { ProtocolName } from '../protocols/protocol.ts';

/** How a provider serves one protocol. An absent protocol is an absent capability. */
interface Capability {
  /** Path of the API at the provider's origin, or below an endpoint that is given without a path. */
  readonly path: string;
  /** The member of the request body that limits the length of the answer. */
  readonly maxTokensField?: string;
}

/** Facts about one provider. Whatever differs between providers is a field here, never a test of a name elsewhere. */
export interface Provider<Name extends string = string> {
  readonly name: Name;
  /** `https://host` of its public API; null: there is none, `override.endpoint` must be configured. */
  readonly origin: string | null;
  /** It is a commercial service that answers nobody without a credential. */
  readonly hosted: boolean;
  /** The model is part of the endpoint: `model` is not sent in the body. */
  readonly removesModel: boolean;
  /** Protocols that it speaks itself. `passthrough` needs no entry: any path of any provider can be called. */
  readonly protocols: Readonly<Partial<Record<ProtocolName, Capability>>>;
}

/** Declares a provider; exists so that the name keeps its literal type. */
export function defineProvider<const Name extends string>(provider: Provider<Name>): Provider<Name> {
  return provider;
}
