import type { ProtocolName } from '../protocols/protocol.ts';

/** `provider_conf`: which part of a provider's service is called. */
export interface ProviderConf {
  readonly project_id?: string;
  readonly region?: string;
}

/** What a path may depend on. */
interface PathValues {
  readonly conf: ProviderConf;
  /** The model in effect; `''` if none. Chosen by the client, so it has to be escaped. */
  readonly model: string;
  readonly stream: boolean;
}

/** How a provider serves one protocol. An absent protocol is an absent capability. */
export interface Capability {
  /**
   * Path of the API at the provider's origin, or below an endpoint that is given without a path. A function where it
   * depends on the configuration or on the request; null: a value that it needs is missing.
   */
  readonly path: string | ((values: PathValues) => string | null);
  /** The member of the request body that limits the length of the answer; a dot leads into a nested object. */
  readonly maxTokensField?: string;
  /** Another name of that member: taken out when the limit is configured, or the client could choose its own. */
  readonly maxTokensReplaces?: string;
  /** Members of the body that the API does not take; removed last. */
  readonly removes?: readonly string[];
}

/** The parts of a configuration that a provider may have requirements about. */
interface ProviderSettings {
  readonly conf: ProviderConf;
  readonly hasEndpoint: boolean;
  readonly hasAwsCredential: boolean;
}

/** Facts about one provider. Whatever differs between providers is a field here, never a test of a name elsewhere. */
export interface Provider<Name extends string = string> {
  readonly name: Name;
  /**
   * `https://host` of its public API. A function where it depends on `provider_conf`, null if a value is missing there.
   * null: there is none, `override.endpoint` must be configured.
   */
  readonly origin: string | null | ((conf: ProviderConf) => string | null);
  /** It is a commercial service that answers nobody without a credential. */
  readonly hosted: boolean;
  /** The model is part of the endpoint: `model` is not sent in the body, not even with `passthrough`. */
  readonly removesModel: boolean;
  /** Protocols that it speaks itself. `passthrough` needs no entry: any path of any provider can be called. */
  readonly protocols: Readonly<Partial<Record<ProtocolName, Capability>>>;
  /** The service that its AWS signatures are made for; absent: it takes none, and `auth.aws` has no effect. */
  readonly awsService?: string;
  /** Gives a path out of `override.endpoint` or of a passthrough request the one spelling that the provider expects. */
  readonly normalizePath?: (path: string) => string;
  /** What it requires of a configuration: one sentence about what is missing, or null. */
  readonly check?: (settings: ProviderSettings) => string | null;
}

/** Declares a provider; exists so that the name keeps its literal type. */
export function defineProvider<const Name extends string>(provider: Provider<Name>): Provider<Name> {
  return provider;
}

/** `https://host` of the provider's public API with this configuration; null if there is none. */
export function originOf(provider: Provider, conf: ProviderConf): string | null {
  return typeof provider.origin === 'function' ? provider.origin(conf) : provider.origin;
}
