import { compileLlmTarget } from '../../llm/target.ts';
import type { PluginEnv } from '../../pipeline/define-plugin.ts';
import type { Balancer } from '../../upstream/balancer/balancer.ts';
import { createBalancer } from '../../upstream/balancer/create-balancer.ts';
import type { TargetHealth } from '../../upstream/health/target-health.ts';
import { createInstance, type LlmInstance } from '../ai-proxy/llm-instance.ts';
import { compileFallbackRules, type FallbackRules } from './fallback-rules.ts';
import type { AiProxyMultiConf } from './schema.ts';
import { SemanticBalancer } from './semantic-balancer.ts';

/** An instance, and whether it can be used. */
export interface GroupMember {
  readonly llm: LlmInstance;
  readonly health: TargetHealth;
}

/** The instances of one route, with all that it takes to choose among them. */
export interface InstanceGroup {
  /** In the order of the configuration; the balancer knows them by their index. */
  readonly members: readonly GroupMember[];
  readonly balancer: Balancer;
  readonly rules: FallbackRules;
}

/** @param conf - Valid by the schema and by `checkConfiguration`. */
export function createInstanceGroup(conf: AiProxyMultiConf, env: PluginEnv): InstanceGroup {
  const members = conf.instances.map((instance): GroupMember => {
    const { name, checks } = instance;
    const target = compileLlmTarget({ ...conf, ...instance }, name);
    const health = env.health.of(env.owner, name, checks);
    const subject = `ai-proxy-multi: instance '${name}'`;
    return { health, llm: createInstance(target, env, { subject, ...(checks !== undefined && { health }) }) };
  });
  return { members, balancer: createInstanceBalancer(conf, env), rules: compileFallbackRules(conf) };
}

function createInstanceBalancer(conf: AiProxyMultiConf, env: PluginEnv): Balancer {
  const { algorithm, ...hash } = conf.balancer;
  if (algorithm !== 'semantic') {
    const { cells, running } = env.shared;
    const parts = { name: `${env.owner} ai-proxy-multi`, cells, running, log: env.log };
    return createBalancer(conf.instances, { algorithm, ...hash }, parts);
  }
  if (conf.semantic_opts === undefined) throw new Error('semantic_opts is missing');
  return new SemanticBalancer(conf, conf.semantic_opts, env);
}
