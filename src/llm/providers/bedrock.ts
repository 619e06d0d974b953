import { escapePath } from '../../cloud-auth/aws-sigv4.ts';
import { defineProvider } from './define-provider.ts';
import { modelSegment } from './model-segment.ts';

/** https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html */
export const bedrock = defineProvider({
  name: 'bedrock',
  origin: ({ region }) => (region === undefined ? null : `https://bedrock-runtime.${region}.amazonaws.com`),
  hosted: true,
  removesModel: true,
  awsService: 'bedrock',
  protocols: {
    'bedrock-converse': {
      path({ model, stream }) {
        const segment = modelSegment(model);
        return segment === null ? null : `/model/${segment}/${stream ? 'converse-stream' : 'converse'}`;
      },
      maxTokensField: 'inferenceConfig.maxTokens',
      // A member that clients of the gateway set; Bedrock knows two operations instead.
      removes: ['stream'],
    },
  },
  normalizePath,
  check({ conf, hasAwsCredential }) {
    if (conf.region === undefined) return 'bedrock requires provider_conf.region';
    return hasAwsCredential ? null : 'bedrock requires auth.aws';
  },
});

/**
 * Escapes each segment once, whether it came escaped or not, so that the signature covers what AWS reads. The model,
 * which stands between `/model/` and the operation, is one segment even if it is an ARN with slashes.
 */
function normalizePath(path: string): string {
  const [, before, model, operation] = /^(.*?\/model\/)(.+)(\/[^/]+)$/.exec(path) ?? [];
  if (before === undefined || model === undefined || operation === undefined) return escapePath(path);
  return escapePath(before) + escapePath(model).replaceAll('/', '%2F') + escapePath(operation);
}
