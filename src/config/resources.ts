import { consumerGroup } from './consumer-group.ts';
import { consumer } from './consumer.ts';
import { credential } from './credential.ts';
import { globalRule } from './global-rule.ts';
import { pluginConfig } from './plugin-config.ts';
import { pluginMetadata } from './plugin-metadata.ts';
import type { ResourceDefinition } from './resource.ts';
import { route } from './route.ts';
import { secret } from './secret.ts';
import { service } from './service.ts';
import { ssl } from './ssl.ts';
import { proto, streamRoute } from './unsupported-resources.ts';
import { upstream } from './upstream.ts';

/** Every kind of configuration object. The only list of them. */
export const resources: readonly ResourceDefinition[] = [
  route,
  service,
  upstream,
  consumer,
  credential,
  consumerGroup,
  pluginConfig,
  globalRule,
  pluginMetadata,
  secret,
  ssl,
  proto,
  streamRoute,
];
