import { WeirError } from '../base/errors.ts';
import { Fields } from '../http/fields.ts';
import type { RequestContext } from '../pipeline/context.ts';
import { definePlugin } from '../pipeline/define-plugin.ts';
import { refusal, type Reply } from '../pipeline/reply.ts';
import { resolvePluginVariable } from '../pipeline/variables.ts';
import { PatternTimeout } from '../router/bounded-pattern.ts';
import { compileTemplate } from '../router/template.ts';
import type { VariableValue } from '../router/variables.ts';
import type { Infer } from '../schema/infer.ts';
import { checkHeaderActions, compileHeaderActions } from './header-actions.ts';
import { checkRegexUri, compileRegexUri } from './regex-uri.ts';
import { encodePath, toSafeUri, withQuery } from './uri-text.ts';

const methods = [
  'GET',
  'POST',
  'PUT',
  'HEAD',
  'DELETE',
  'OPTIONS',
  'MKCOL',
  'COPY',
  'MOVE',
  'PROPFIND',
  'LOCK',
  'UNLOCK',
  'PATCH',
  'TRACE',
] as const;

const schema = {
  type: 'object',
  properties: {
    uri: {
      type: 'string',
      minLength: 1,
      maxLength: 4096,
      pattern: '^/',
      description: 'The path for the upstream, not percent-encoded, perhaps with a query. May hold variables.',
    },
    method: { type: 'string', enum: methods, description: 'The method for the upstream.' },
    regex_uri: {
      type: 'array',
      minItems: 2,
      items: { type: 'string' },
      description:
        'Pairs of a PCRE pattern for the path and what takes the place of its match, with `$1` and so on. The first that matches counts. Without effect beside `uri`.',
    },
    host: {
      type: 'string',
      pattern: '^[0-9a-zA-Z-.]+(:\\d{1,5})?$',
      description: 'The header Host for the upstream.',
    },
    headers: {
      type: 'object',
      minProperties: 1,
      description:
        'Changes of the header: `{"add": {...}, "remove": [...], "set": {...}}`, done in this order, or `{"name": "value"}`, which sets. Values may hold variables and, with `regex_uri`, `$1` and so on, and may be lists. An empty value removes.',
    },
    use_real_request_uri_unsafe: {
      type: 'boolean',
      default: false,
      description:
        "The upstream gets the client's own URI, as it was sent. false: its path decoded, normalised and encoded anew.",
    },
  },
} as const;

type ProxyRewriteConf = Infer<typeof schema>;

/**
 * Changes what the upstream gets of a request.
 *
 * @see https://apisix.apache.org/docs/apisix/plugins/proxy-rewrite/
 */
export const proxyRewrite = definePlugin({
  name: 'proxy-rewrite',
  priority: 1008,
  version: 0.1,
  summary: 'Changes path, method, host and header of requests on their way to the upstream.',
  schema,
  check: (conf) =>
    (conf.regex_uri === undefined ? null : checkRegexUri(conf.regex_uri)) ??
    (conf.headers === undefined ? null : checkHeaderActions(conf.headers)),
  create(conf) {
    const rewrite = new ProxyRewrite(conf);
    return { rewrite: (ctx) => rewrite.run(ctx) };
  },
});

class ProxyRewrite {
  readonly #conf: ProxyRewriteConf;
  readonly #uri: ((ctx: RequestContext) => string) | null;
  readonly #regexUri: ReturnType<typeof compileRegexUri> | null;
  readonly #headers: ReturnType<typeof compileHeaderActions> | null;
  /** Of the pattern that has matched the path of the request at hand. */
  #groups: readonly (string | undefined)[] = [];

  constructor(conf: ProxyRewriteConf) {
    this.#conf = conf;
    this.#uri = conf.uri === undefined ? null : compileUri(conf.uri);
    this.#regexUri = conf.uri !== undefined || conf.regex_uri === undefined ? null : compileRegexUri(conf.regex_uri);
    this.#headers =
      conf.headers === undefined ? null : compileHeaderActions(conf.headers, (name) => this.#findVariable(name));
  }

  run(ctx: RequestContext): Reply | undefined {
    const { method, host } = this.#conf;
    this.#groups = [];
    try {
      ctx.forward = {
        ...ctx.forward,
        uri: this.#uriFor(ctx),
        ...(method !== undefined && { method }),
        ...(host !== undefined && { host }),
      };
    } catch (error) {
      if (error instanceof PatternTimeout) return refusal(ctx, new WeirError('PATTERN_UNDECIDED', ['regex_uri']));
      throw error;
    }
    if (this.#headers !== null) ctx.fields = new Fields([...this.#headers(ctx.fields.flat, ctx)]);
    return undefined;
  }

  #uriFor(ctx: RequestContext): string {
    const isRaw = this.#conf.use_real_request_uri_unsafe;
    if (this.#uri !== null) return withQuery(this.#uri(ctx), isRaw ? '' : ctx.queryString);
    const path = isRaw ? rawUri(ctx) : ctx.path;
    const rewritten = this.#regexUri?.(path) ?? null;
    if (rewritten !== null) this.#groups = rewritten.groups;
    const uri = withSlash(rewritten?.path ?? path);
    if (isRaw) return toSafeUri(uri);
    return withQuery(encodeRewritten(path, uri), ctx.queryString);
  }

  #findVariable(name: string): ((ctx: RequestContext) => VariableValue) | null {
    return /^\d+$/.test(name) ? () => this.#groups[Number(name)] : resolvePluginVariable(name);
  }
}

/** A question mark of the template begins the query; one that a variable brings along is a character of the path. */
function compileUri(uri: string): (ctx: RequestContext) => string {
  const question = uri.indexOf('?');
  const path = compileTemplate(question === -1 ? uri : uri.slice(0, question), resolvePluginVariable);
  if (question === -1) return (ctx) => encodePath(path.resolve(ctx).text);
  const query = compileTemplate(uri.slice(question), resolvePluginVariable);
  return (ctx) => encodePath(path.resolve(ctx).text) + toSafeQuery(query.resolve(ctx).text);
}

/** Without one a client could name another host: `GET http://other/ HTTP/1.1`. */
function withSlash(uri: string): string {
  return uri.startsWith('/') ? uri : `/${uri}`;
}

/** A path may become one with a query, unless it holds a question mark itself: then nobody can tell which is meant. */
function encodeRewritten(path: string, rewritten: string): string {
  const question = path.includes('?') ? -1 : rewritten.indexOf('?');
  if (question === -1) return encodePath(rewritten);
  return encodePath(rewritten.slice(0, question)) + toSafeQuery(rewritten.slice(question));
}

/** A request line has no fragment. */
function toSafeQuery(query: string): string {
  return toSafeUri(query).replaceAll('#', '%23');
}

/** The client's target in origin form. */
function rawUri({ requestUri }: RequestContext): string {
  if (requestUri.startsWith('/')) return requestUri;
  return requestUri.replace(/^https?:\/\/[^/?#]*/i, '').replace(/^(?!\/)/, '/');
}
