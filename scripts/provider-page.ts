import { converters, findConverter } from '../src/llm/converters/index.ts';
import { protocols } from '../src/llm/protocols/index.ts';
import { passthrough } from '../src/llm/protocols/passthrough.ts';
import type { ProtocolName } from '../src/llm/protocols/protocol.ts';
import { originOf, type Capability, type Provider } from '../src/llm/providers/define-provider.ts';
import { table } from './marked-blocks.ts';

/** Stand for what a configuration fills in. */
const conf = { project_id: 'PROJECT', region: 'REGION' };
const model = 'MODEL';

/** What clients can speak, in the order of detection. Behind passthrough stands what only providers speak. */
const clientProtocols = [...new Set(protocols.slice(0, protocols.indexOf(passthrough)).map(({ name }) => name))];

/** What a page about a provider does not say by hand. */
export function renderProviderFacts(provider: Provider): string {
  const origin = originOf(provider, conf);
  return table(
    ['address', 'needs a credential'],
    [
      [
        origin === null ? '`override.endpoint`, which is required' : `\`${origin}\`, or \`override.endpoint\``,
        provider.hosted ? 'yes' : 'depends on the server',
      ],
    ],
  );
}

/** How each protocol of a client reaches a provider. */
export function renderProviderProtocols(provider: Provider): string {
  const rows = clientProtocols.map((name) => {
    const target = targetOf(provider, name);
    const capability = target === null ? undefined : provider.protocols[target];
    if (target === null || capability === undefined) return [`\`${name}\``, 'not served: 400', '', '', ''];
    return [
      `\`${name}\``,
      target === name ? 'as it is' : `converted to \`${target}\``,
      urlsOf(provider, capability),
      codes(capability.maxTokensField === undefined ? [] : [capability.maxTokensField]),
      codes([...(provider.removesModel ? ['model'] : []), ...(capability.removes ?? [])]),
    ];
  });
  const origin = originOf(provider, conf) ?? 'ENDPOINT';
  return table(
    [
      'the client speaks',
      'the provider gets it',
      'URL',
      '`llm_options.max_tokens` is sent as',
      'taken out of the body',
    ],
    [
      ...rows,
      [
        `\`${passthrough.name}\``,
        'as it is',
        `\`${origin}\` and the path of the client`,
        '',
        codes(provider.removesModel ? ['model'] : []),
      ],
    ],
  );
}

/** Which provider can be called by clients of which protocol. */
export function renderProtocolMatrix(providers: readonly Provider[]): string {
  const rows = providers.map((provider) => [
    `[${provider.name}](${provider.name}.md)`,
    ...clientProtocols.map((name) => {
      const target = targetOf(provider, name);
      if (target === null) return '-';
      return target === name ? 'yes' : `as \`${target}\``;
    }),
  ]);
  return table(['provider', ...clientProtocols.map((name) => `\`${name}\``)], rows);
}

/** The conversions that exist. */
export function renderConverters(): string {
  return table(
    ['the client speaks', 'the provider speaks'],
    converters.map(({ from, to }) => [`\`${from}\``, `\`${to}\``]),
  );
}

/** @returns The protocol in which the provider is called; null: it cannot be. */
function targetOf(provider: Provider, client: ProtocolName): ProtocolName | null {
  if (provider.protocols[client] !== undefined) return client;
  return findConverter(client, provider.protocols)?.to ?? null;
}

function urlsOf(provider: Provider, { path }: Capability): string {
  const origin = originOf(provider, conf) ?? 'ENDPOINT';
  const paths = [false, true].map((stream) => (typeof path === 'string' ? path : path({ conf, model, stream })));
  return [...new Set(paths)].map((one) => `\`${origin}${one}\``).join(', streamed ');
}

function codes(values: readonly string[]): string {
  return values.map((value) => `\`${value}\``).join(', ');
}
