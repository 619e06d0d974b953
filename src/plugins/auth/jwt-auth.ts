import type { WeirError } from '../../base/errors.ts';
import type { RequestContext } from '../../pipeline/context.ts';
import { definePlugin } from '../../pipeline/define-plugin.ts';
import { compileVariable } from '../../router/variables.ts';
import {
  authenticationFields,
  createAuthentication,
  realmField,
  unauthorized,
  type Recognition,
} from './authentication.ts';
import { checkJwtCredential, jwtCredentialSchema } from './jwt-credential.ts';
import { verifyToken, type Claims, type Jose } from './jwt-verification.ts';

const name = 'jwt-auth';

/**
 * Recognizes consumers by a JSON Web Token that they have signed, or had signed.
 *
 * @see https://apisix.apache.org/docs/apisix/plugins/jwt-auth/
 */
export const jwtAuth = definePlugin({
  name,
  priority: 2510,
  version: 0.1,
  summary: 'Recognizes consumers by a signed JSON Web Token.',
  schema: {
    type: 'object',
    properties: {
      header: {
        type: 'string',
        minLength: 1,
        default: 'authorization',
        description: 'Header that holds the token, with or without `Bearer` in front.',
      },
      query: {
        type: 'string',
        minLength: 1,
        default: 'jwt',
        description: 'Argument of the query that holds the token, for requests without the header.',
      },
      cookie: {
        type: 'string',
        minLength: 1,
        default: 'jwt',
        description: 'Cookie that holds the token, for requests with neither.',
      },
      ...authenticationFields,
      key_claim_name: {
        type: 'string',
        minLength: 1,
        default: 'key',
        description: 'Claim of the token that holds the `key` of the consumer.',
      },
      claims_to_verify: {
        type: 'array',
        items: { type: 'string', enum: ['exp', 'nbf'] },
        uniqueItems: true,
        default: ['exp', 'nbf'],
        description: 'Claims that are looked at, if the token has them: exp, its end, and nbf, its beginning.',
      },
      store_in_ctx: {
        type: 'boolean',
        default: false,
        description: 'Accepted without effect: it is for plugins written in Lua.',
      },
      realm: realmField('jwt'),
    },
  },
  consumerSchema: jwtCredentialSchema,
  credentialKey: 'key',
  checkConsumer: checkJwtCredential,
  create(conf, env) {
    const header = conf.header.toLowerCase();
    const readArgument = compileVariable(`arg_${conf.query}`);
    const readCookie = compileVariable(`cookie_${conf.cookie}`);
    const claimsToVerify = new Set(conf.claims_to_verify);

    function tokenOf(ctx: RequestContext): string | undefined {
      const sent = ctx.header(header);
      if (sent !== undefined) return sent.replace(/^bearer +/i, '');
      const value = readArgument?.(ctx) ?? readCookie?.(ctx);
      return typeof value === 'string' ? value : undefined;
    }

    const loading = import('jose');

    async function recognize(ctx: RequestContext, token: string): Promise<Recognition> {
      const jose = await loading;
      const key = keyOf(jose, token, conf.key_claim_name);
      if (typeof key !== 'string') return key;
      const credential = await ctx.consumers.find(name, key);
      if (credential === undefined) return unauthorized('Invalid user key in JWT token');
      const wrong = await verifyToken(jose, token, { credential, claimsToVerify });
      if (wrong === null) return credential;
      const consumer = credential.consumer.name;
      env.log.info('jwt-auth: a token is refused', { request_id: ctx.id, consumer, reason: wrong });
      return unauthorized('failed to verify jwt');
    }

    return createAuthentication(
      {
        plugin: name,
        scheme: 'Bearer',
        conf,
        place: { header, argument: conf.query, cookie: conf.cookie },
        recognize(ctx) {
          const token = tokenOf(ctx);
          return token === undefined ? unauthorized('Missing JWT token in request') : recognize(ctx, token);
        },
        hide(ctx) {
          ctx.removeHeader(header);
          ctx.removeArgument(conf.query);
          removeCookie(ctx, conf.cookie);
        },
      },
      env,
    );
  },
});

/** Who the token says that it belongs to. Nothing is verified yet. */
function keyOf({ decodeJwt }: Jose, token: string, claim: string): string | WeirError {
  let claims: Claims;
  try {
    claims = decodeJwt(token);
  } catch {
    return unauthorized('JWT token invalid');
  }
  const key = Object.hasOwn(claims, claim) ? claims[claim] : undefined;
  if (typeof key !== 'string' && typeof key !== 'number') return unauthorized('missing user key in JWT token');
  return String(key);
}

function removeCookie(ctx: RequestContext, name: string): void {
  const cookies = ctx.header('cookie');
  if (cookies === undefined) return;
  const kept = cookies.split(';').filter((cookie) => cookie.split('=', 1)[0]?.trim() !== name);
  if (kept.length === 0) ctx.removeHeader('cookie');
  else ctx.setHeader('cookie', kept.join(';').trim());
}
