import { WeirError } from '../base/errors.ts';
import type { RequestContext } from '../pipeline/context.ts';
import { definePlugin } from '../pipeline/define-plugin.ts';
import { refusal, type Reply } from '../pipeline/reply.ts';
import { resolvePluginVariable } from '../pipeline/variables.ts';
import { PatternTimeout } from '../router/bounded-pattern.ts';
import { compileTemplate } from '../router/template.ts';
import { checkRegexUri, compileRegexUri } from './regex-uri.ts';
import { encodePath, toSafeUri, withQuery } from './uri-text.ts';

/** Goes without saying in an address. */
const defaultHttpsPort = 443;

/**
 * Sends clients to another address.
 *
 * @see https://apisix.apache.org/docs/apisix/plugins/redirect/
 */
export const redirect = definePlugin({
  name: 'redirect',
  priority: 900,
  version: 0.1,
  summary: 'Sends clients to another address, or from HTTP to HTTPS.',
  schema: {
    type: 'object',
    properties: {
      ret_code: {
        type: 'integer',
        minimum: 200,
        maximum: 599,
        default: 302,
        description: 'Status, but for `http_to_https`: that answers 301 to GET and HEAD, and 308 to all others.',
      },
      uri: { type: 'string', minLength: 2, description: 'Where to: a path or a URL. May hold variables.' },
      regex_uri: {
        type: 'array',
        minItems: 2,
        maxItems: 2,
        items: { type: 'string' },
        description:
          'A PCRE pattern for the path, and what takes the place of its match, with `$1` and so on. A request that does not match goes on.',
      },
      http_to_https: {
        type: 'boolean',
        description: 'Sends requests that came without TLS to the same host and URI with `https`.',
      },
      encode_uri: { type: 'boolean', default: false, description: 'Percent-encode the new address.' },
      append_query_string: {
        type: 'boolean',
        default: false,
        description: 'Append the query of the request. Not together with `http_to_https`.',
      },
    },
    oneOf: [{ required: ['uri'] }, { required: ['regex_uri'] }, { required: ['http_to_https'] }],
  },
  check({ http_to_https = false, append_query_string, regex_uri }) {
    if (http_to_https && append_query_string) {
      return 'only one of `http_to_https` and `append_query_string` can be configured.';
    }
    return regex_uri === undefined ? null : checkRegexUri(regex_uri);
  },
  create(conf, env) {
    const { ret_code, http_to_https = false, encode_uri, append_query_string } = conf;
    const uri = conf.uri === undefined ? null : compileTemplate(conf.uri, resolvePluginVariable);
    const regexUri = conf.regex_uri === undefined ? null : compileRegexUri(conf.regex_uri);

    const port = env.httpsPort === defaultHttpsPort ? '' : `:${env.httpsPort}`;
    const locationFor = (ctx: RequestContext): string | null => {
      const found = uri === null ? (regexUri?.(ctx.path)?.path ?? null) : uri.resolve(ctx).text;
      if (found === null) return null;
      // Browsers take a backslash for a slash: `/\other.test` would lead to another host.
      const encoded = encode_uri ? encodePath(found) : toSafeUri(found).replaceAll('\\', '%5C');
      return append_query_string ? withQuery(encoded, ctx.queryString) : encoded;
    };
    const redirectTo = (ctx: RequestContext): Reply | undefined => {
      if (http_to_https) return isPlain(ctx) ? toHttps(ctx, port) : undefined;
      const location = locationFor(ctx);
      return location === null ? undefined : { status: ret_code, fields: ['Location', location], body: '' };
    };
    return {
      rewrite(ctx) {
        try {
          return redirectTo(ctx);
        } catch (error) {
          if (error instanceof PatternTimeout) return refusal(ctx, new WeirError('PATTERN_UNDECIDED', ['regex_uri']));
          throw error;
        }
      },
    };
  },
});

/** A trusted proxy in front may have ended TLS; what other clients say of it is not in the header any more. */
function isPlain(ctx: RequestContext): boolean {
  return (ctx.fields.getLast('x-forwarded-proto') ?? ctx.scheme) === 'http';
}

/** @param port - With its colon, '' for the usual one. */
function toHttps(ctx: RequestContext, port: string): Reply {
  const status = ctx.method === 'GET' || ctx.method === 'HEAD' ? 301 : 308;
  const uri = ctx.requestUri.startsWith('/') ? ctx.requestUri : withQuery(encodePath(ctx.path), ctx.queryString);
  return { status, fields: ['Location', `https://${ctx.host}${port}${uri}`], body: '' };
}
