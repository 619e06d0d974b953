import type { PluginCatalogue } from '../config/plugin-catalogue.ts';
import type { Plugin } from '../pipeline/define-plugin.ts';
import { aiPromptDecorator } from './ai-prompt-decorator.ts';
import { aiPromptGuard } from './ai-prompt-guard/index.ts';
import { aiPromptTemplate } from './ai-prompt-template/index.ts';
import { aiProxy } from './ai-proxy/index.ts';
import { aiProxyMulti } from './ai-proxy-multi/index.ts';
import { aiRateLimiting } from './ai-rate-limiting/index.ts';
import { aiRequestRewrite } from './ai-request-rewrite/index.ts';
import { cors } from './cors.ts';
import { authPlugins } from './auth/auth-plugins.ts';
import { multiAuth } from './auth/multi-auth.ts';
import { consumerRestriction } from './consumer-restriction.ts';
import { fileLogger } from './file-logger.ts';
import { httpLogger } from './http-logger.ts';
import { ipRestriction } from './ip-restriction.ts';
import { limitCount } from './limit-count/index.ts';
import { limitReq } from './limit-req.ts';
import { prometheus } from './prometheus/index.ts';
import { proxyRewrite } from './proxy-rewrite.ts';
import { redirect } from './redirect.ts';
import { requestId } from './request-id/index.ts';
import { responseRewrite } from './response-rewrite/index.ts';

/** Every plugin that Weir has: the only list. */
const plugins: readonly Plugin[] = [
  ...authPlugins,
  multiAuth,
  consumerRestriction,
  aiProxy,
  aiProxyMulti,
  aiRateLimiting,
  httpLogger,
  limitCount,
  limitReq,
  requestId,
  cors,
  ipRestriction,
  proxyRewrite,
  redirect,
  responseRewrite,
  prometheus,
  fileLogger,
  aiRequestRewrite,
  aiPromptGuard,
  aiPromptTemplate,
  aiPromptDecorator,
];

const byName = new Map(plugins.map((plugin) => [plugin.name, plugin]));
const names = [...byName.values()].sort((a, b) => b.priority - a.priority).map((plugin) => plugin.name);

/**
 * Finds plugins by name, among those that may be used.
 *
 * @param enabled - `plugins` of config.yaml; undefined: all. Names that Weir does not have are no error: the lists of
 *   APISIX name many.
 */
export function pluginFinder(enabled: readonly string[] | undefined): (name: string) => Plugin | undefined {
  return (name) => (enabled === undefined || enabled.includes(name) ? byName.get(name) : undefined);
}

/** The plugins as configuration and the Admin API see them. `enabled` as in {@link pluginFinder}. */
export function pluginCatalogue(enabled: readonly string[] | undefined): PluginCatalogue {
  const get = pluginFinder(enabled);
  return { get, names: () => names.filter((name) => get(name) !== undefined) };
}
