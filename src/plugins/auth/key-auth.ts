import type { Credential } from '../../pipeline/consumer.ts';
import type { RequestContext } from '../../pipeline/context.ts';
import { definePlugin } from '../../pipeline/define-plugin.ts';
import { compileVariable } from '../../router/variables.ts';
import { authenticationFields, createAuthentication, headerText, realmField, unauthorized } from './authentication.ts';

const name = 'key-auth';

/**
 * Recognizes consumers by a key in a header or in the query.
 *
 * @see https://apisix.apache.org/docs/apisix/plugins/key-auth/
 */
export const keyAuth = definePlugin({
  name,
  priority: 2500,
  version: 0.1,
  summary: 'Recognizes consumers by an API key.',
  schema: {
    type: 'object',
    properties: {
      header: { type: 'string', minLength: 1, default: 'apikey', description: 'Header that holds the key.' },
      query: {
        type: 'string',
        minLength: 1,
        default: 'apikey',
        description: 'Argument of the query that holds the key, for requests without the header.',
      },
      ...authenticationFields,
      realm: realmField('key'),
    },
  },
  consumerSchema: {
    type: 'object',
    properties: {
      key: { type: 'string', minLength: 1, description: 'The key. Every consumer has another one.' },
    },
    required: ['key'],
    encrypt_fields: ['key'],
  },
  credentialKey: 'key',
  create(conf, env) {
    const header = conf.header.toLowerCase();
    const argument = conf.query;
    const readArgument = compileVariable(`arg_${argument}`);
    const place = { header, argument, cookie: null };

    function keyOf(ctx: RequestContext): string | undefined {
      const sent = ctx.header(header);
      if (sent !== undefined) return headerText(sent);
      const value = readArgument?.(ctx);
      return typeof value === 'string' ? value : undefined;
    }

    return createAuthentication(
      {
        plugin: name,
        scheme: 'apikey',
        conf,
        place,
        recognize(ctx) {
          const key = keyOf(ctx);
          if (key === undefined) return unauthorized('Missing API key in request');
          const found = ctx.consumers.find(name, key);
          return found instanceof Promise ? found.then(orInvalid) : orInvalid(found);
        },
        hide(ctx) {
          ctx.removeHeader(header);
          ctx.removeArgument(argument);
        },
      },
      env,
    );
  },
});

function orInvalid(found: Credential | undefined): Credential | ReturnType<typeof unauthorized> {
  return found ?? unauthorized('Invalid API key in request');
}
