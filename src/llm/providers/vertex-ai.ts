import { escapeUri } from '../../cloud-auth/aws-sigv4.ts';
import { defineProvider, type ProviderConf } from './define-provider.ts';
import { modelSegment } from './model-segment.ts';

/**
 * Chat through its API in OpenAI's style, embeddings through `predict`.
 * https://cloud.google.com/vertex-ai/generative-ai/docs/start/openai,
 * https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api
 */
export const vertexAi = defineProvider({
  name: 'vertex-ai',
  origin: ({ region }) => (region === undefined ? null : `https://${hostOf(region)}`),
  hosted: true,
  removesModel: false,
  protocols: {
    'openai-chat': {
      path: ({ conf }) => locationPath('v1beta1', conf, 'endpoints/openapi/chat/completions'),
      maxTokensField: 'max_completion_tokens',
      maxTokensReplaces: 'max_tokens',
    },
    'vertex-predict': {
      path({ conf, model }) {
        const segment = modelSegment(model);
        return segment === null ? null : locationPath('v1', conf, `publishers/google/models/${segment}:predict`);
      },
      removes: ['model'],
    },
  },
  check({ conf, hasEndpoint }) {
    const isLocated = Boolean(conf.project_id) && conf.region !== undefined;
    return isLocated || hasEndpoint
      ? null
      : 'vertex-ai requires either provider_conf (project_id + region) or override.endpoint';
  },
});

/** The location `global` has no host of its own: https://cloud.google.com/vertex-ai/generative-ai/docs/learn/locations */
function hostOf(region: string): string {
  return region === 'global' ? 'aiplatform.googleapis.com' : `${region}-aiplatform.googleapis.com`;
}

function locationPath(version: string, conf: ProviderConf, rest: string): string | null {
  const { project_id: project, region } = conf;
  if (project === undefined || region === undefined) return null;
  return `/${version}/projects/${escapeUri(project)}/locations/${escapeUri(region)}/${rest}`;
}
