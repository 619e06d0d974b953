import type { Infer } from '../schema/infer.ts';
import { callFields } from './call-schema.ts';
import { checkInstance, instanceCredentials, instanceFields } from './instance-schema.ts';

/** JSON Schema of the plugin `ai-proxy`, with the fields, defaults and limits of APISIX 3.18. Times are in ms, sizes in bytes. */
export const aiProxySchema = {
  type: 'object',
  properties: { ...instanceFields, ...callFields },
  required: ['provider', 'auth'],
  encrypt_fields: instanceCredentials,
} as const;

/** A valid configuration of `ai-proxy`, defaults filled in. */
export type AiProxyConf = Infer<typeof aiProxySchema>;

/** What the schema cannot say: see {@link checkInstance}. */
export const checkAiProxy: (conf: AiProxyConf) => string | null = checkInstance;
