import type { RequestContext } from '../../pipeline/context.ts';
import { definePlugin, type Plugin, type Step, type StepResult } from '../../pipeline/define-plugin.ts';
import { refusal, type Reply } from '../../pipeline/reply.ts';
import { authPlugins } from './auth-plugins.ts';
import { unauthorized } from './authentication.ts';

const byName: ReadonlyMap<string, Plugin> = new Map(authPlugins.map((plugin) => [plugin.name, plugin]));

/** Configurations of plugins by their names, in the order in which they are tried; of one object, in the order of its members. */
type AuthPlugins = readonly Readonly<Record<string, unknown>>[];

/**
 * Recognizes consumers by whichever of several authentication plugins recognizes them first.
 *
 * @see https://apisix.apache.org/docs/apisix/plugins/multi-auth/
 */
export const multiAuth = definePlugin({
  name: 'multi-auth',
  priority: 2600,
  version: 0.1,
  summary: 'Recognizes consumers by one of several authentication plugins.',
  schema: {
    type: 'object',
    properties: {
      auth_plugins: {
        type: 'array',
        minItems: 2,
        items: { type: 'object' },
        description:
          'Authentication plugins, each as `{"name": {configuration}}`, in the order in which they are tried.',
      },
    },
    required: ['auth_plugins'],
  },
  authenticates: true,
  check: ({ auth_plugins }) => checkAuthPlugins(auth_plugins as AuthPlugins),
  create(conf, env) {
    const hooks = (conf.auth_plugins as AuthPlugins)
      .flatMap((configured) => Object.entries(configured))
      .map(([name, own]) => byName.get(name)?.create(own, env) ?? {});
    const steps = hooks.map(({ rewrite }) => rewrite).filter((rewrite) => rewrite !== undefined);
    return {
      credentialPlaces: hooks.flatMap(({ credentialPlaces = [] }) => credentialPlaces),
      rewrite: (ctx) => authenticate(ctx, steps, []),
    };
  },
});

function checkAuthPlugins(authPluginConfs: AuthPlugins): string | null {
  for (const [name, conf] of authPluginConfs.flatMap((configured) => Object.entries(configured))) {
    const plugin = byName.get(name);
    if (plugin === undefined) return `${name} plugin is not supported`;
    const wrong = hasMeta(conf) ? '_meta is not supported here' : plugin.check(conf);
    if (wrong !== null) return `plugin ${name} check schema failed: ${wrong}`;
  }
  return null;
}

/** Nothing here would act on it: to switch one off, for example, would be without effect. */
function hasMeta(conf: unknown): boolean {
  return typeof conf === 'object' && conf !== null && Object.hasOwn(conf, '_meta');
}

/** @param refusals - Those of the plugins that were tried before. */
function authenticate(ctx: RequestContext, [step, ...others]: readonly Step[], refusals: readonly Reply[]): StepResult {
  if (step === undefined) return refuse(ctx, refusals);
  const settle = (reply: Reply | undefined): StepResult => {
    if (reply !== undefined) return authenticate(ctx, others, [...refusals, reply]);
    // Those before it have noted theirs.
    ctx.errorCode = null;
    return undefined;
  };
  const result = step(ctx);
  return result instanceof Promise ? result.then(settle) : settle(result);
}

/** With the challenges of all of them. */
function refuse(ctx: RequestContext, refusals: readonly Reply[]): Reply {
  const reply = refusal(ctx, unauthorized('Authorization Failed'));
  const challenges = refusals.flatMap(({ fields }) => fieldsNamed(fields, 'WWW-Authenticate'));
  return { ...reply, fields: [...reply.fields, ...challenges] };
}

function fieldsNamed(fields: readonly string[], name: string): readonly string[] {
  const start = fields.indexOf(name);
  return start === -1 ? [] : fields.slice(start, start + 2);
}
