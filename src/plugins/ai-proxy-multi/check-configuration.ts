import { isSecretReference } from '../../config/secret-reference.ts';
import { parseEndpoint } from '../../llm/endpoint.ts';
import { checkInstance } from '../../llm/instance-schema.ts';
import { hashKeyPatterns } from '../../upstream/balancer/hash-key-pattern.ts';
import { checkProbeRequest } from '../../upstream/health/check-schema.ts';
import type { AiProxyMultiConf, MultiInstanceConf } from './schema.ts';

/** What the URL of an instance has to begin with: as much as APISIX asks for. */
const endpointSyntax = /^https?:\/\/[^\s/?#]/i;

/**
 * What the schema cannot say about a configuration that fits it, in APISIX's words. A reference to a secret passes for
 * any value.
 *
 * @returns One sentence, without any value of `auth`; null if all is well.
 */
export function checkConfiguration(conf: AiProxyMultiConf): string | null {
  return checkNames(conf) ?? checkEach(conf.instances) ?? checkHash(conf) ?? checkSemantic(conf);
}

function checkNames({ instances }: AiProxyMultiConf): string | null {
  const places = new Map<string, number>();
  for (const [index, { name }] of instances.entries()) {
    const first = places.get(name);
    if (first !== undefined) {
      return `duplicate instance name '${name}' at instances[${first + 1}] and instances[${index + 1}]`;
    }
    places.set(name, index);
  }
  return null;
}

function checkEach(instances: readonly MultiInstanceConf[]): string | null {
  for (const instance of instances) {
    const endpoint = instance.override?.endpoint;
    const isUrl = endpoint === undefined || isSecretReference(endpoint) || endpointSyntax.test(endpoint);
    if (!isUrl) return 'invalid endpoint';
    const wrong = checkInstance(instance) ?? checkProbes(instance);
    if (wrong !== null) return `instance '${instance.name}': ${wrong}`;
  }
  return null;
}

function checkProbes({ checks }: MultiInstanceConf): string | null {
  return checks === undefined ? null : checkProbeRequest(checks, isSecretReference);
}

function checkHash({ balancer: { algorithm, hash_on: hashOn, key } }: AiProxyMultiConf): string | null {
  if (algorithm !== 'chash' || hashOn === 'consumer') return null;
  if (key === undefined) return 'must configure `hash_key` when balancer `hash_on` is not set to cookie';
  const pattern = hashKeyPatterns[hashOn];
  if (pattern === undefined || isSecretReference(key) || new RegExp(pattern).test(key)) return null;
  return `invalid configuration: failed to match pattern ${quoted(pattern)} with ${quoted(key)}`;
}

function checkSemantic({ balancer, semantic_opts: options, instances }: AiProxyMultiConf): string | null {
  if (balancer.algorithm !== 'semantic') return null;
  if (options === undefined) return 'must configure `semantic_opts.embeddings` when balancer algorithm is semantic';
  const { provider, endpoint } = options.embeddings;
  if (endpoint === undefined) {
    if (provider === 'azure-openai') return '`semantic_opts.embeddings.endpoint` is required for azure-openai';
  } else if (!isSecretReference(endpoint)) {
    const parsed = parseEndpoint(endpoint);
    if (typeof parsed === 'string') return 'invalid `semantic_opts.embeddings.endpoint`';
    if (provider === 'azure-openai' && (parsed.path ?? '/') === '/') {
      return '`semantic_opts.embeddings.endpoint` must include a path for azure-openai';
    }
  }
  const withoutExamples = instances.find(({ examples = [''] }) => examples.some((text) => text.trim() === ''));
  if (withoutExamples !== undefined) {
    return `instance '${withoutExamples.name}': must configure non-empty \`examples\` for the semantic algorithm`;
  }
  const { fallback } = options;
  if (fallback === undefined || instances.some(({ name }) => name === fallback)) return null;
  const unknown = `\`semantic_opts.fallback\` names unknown instance '${fallback}'`;
  return isSecretReference(fallback) ? null : unknown;
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
