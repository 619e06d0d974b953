import { isSecretReference } from '../config/secret-reference.ts';
import { addedField, withField } from '../http/field-list.ts';
import type { RequestContext } from '../pipeline/context.ts';
import { definePlugin } from '../pipeline/define-plugin.ts';
import type { Reply } from '../pipeline/reply.ts';
import { BoundedPattern, PatternTimeout } from '../router/bounded-pattern.ts';
import type { Infer, JsonSchema } from '../schema/infer.ts';

const originList = '^(\\*|\\*\\*|null|\\w+://[^,]+(,\\w+://[^,]+)*)$';
const patterns = { type: 'array', minItems: 1, items: { type: 'string', minLength: 1, maxLength: 4096 } } as const;

const schema = {
  type: 'object',
  properties: {
    allow_origins: {
      type: 'string',
      pattern: originList,
      default: '*',
      description:
        'Origins that may call, as `scheme://host:port`, separated by commas. `*`: all, without credentials. `**`: all, also with credentials, which is dangerous.',
    },
    allow_methods: {
      type: 'string',
      default: '*',
      description: 'Methods that they may use, separated by commas; `*` and `**` as above.',
    },
    allow_headers: {
      type: 'string',
      default: '*',
      description:
        'Headers that they may send, separated by commas. `*`: all, without credentials. `**`: those that the browser asks for.',
    },
    expose_headers: {
      type: 'string',
      description: 'Headers of the answer that they may read, separated by commas. `*`: all, without credentials.',
    },
    max_age: {
      type: 'integer',
      default: 5,
      description: 'Seconds for which browsers may keep the answer to a preflight; -1: not at all.',
    },
    allow_credential: {
      type: 'boolean',
      default: false,
      description: 'They may send credentials such as cookies. Then no `*` is allowed.',
    },
    allow_origins_by_regex: {
      ...patterns,
      description: 'PCRE patterns for origins that may call, in place of `allow_origins`.',
    },
    allow_origins_by_metadata: {
      ...patterns,
      description:
        'Names of lists of origins in `allow_origins` of the metadata of the plugin, which may call as well.',
    },
    timing_allow_origins: {
      type: 'string',
      pattern: originList,
      description: 'Origins that may see how long requests take, written like `allow_origins`.',
    },
    timing_allow_origins_by_regex: { ...patterns, description: 'PCRE patterns for such origins, in its place.' },
  },
} as const;

const metadataSchema = {
  type: 'object',
  properties: {
    allow_origins: {
      type: 'object',
      additionalProperties: { type: 'string', pattern: originList },
      description: 'Lists of origins by name, each written like `allow_origins` of the plugin.',
    },
  },
} as const satisfies JsonSchema;

type CorsConf = Infer<typeof schema>;
type CorsMetadata = Infer<typeof metadataSchema>;

/** What `**` stands for. */
const allMethods = 'GET,POST,PUT,DELETE,PATCH,HEAD,OPTIONS,CONNECT,TRACE';

const preflight: Reply = { status: 200, fields: [], body: '' };

/**
 * Tells browsers which pages of other origins may call.
 *
 * @see https://apisix.apache.org/docs/apisix/plugins/cors/
 */
export const cors = definePlugin({
  name: 'cors',
  priority: 4000,
  version: 0.1,
  summary: 'Lets pages of other origins call, and answers the preflight requests of browsers.',
  schema,
  metadataSchema,
  check: checkCors,
  create(conf, env) {
    const metadata = env.metadata as CorsMetadata;
    const allowed = compileAllowed(conf, metadata.allow_origins ?? {});
    const timed = compileOrigins(conf.timing_allow_origins ?? null, conf.timing_allow_origins_by_regex);
    const constant = constantFields(conf);
    return {
      rewrite: (ctx) => (ctx.method === 'OPTIONS' ? preflight : undefined),
      headerFilter(ctx, answer) {
        // Not that of `ctx.fields`, which may be rewritten for the upstream.
        const origin = ctx.exchange.head.fields.get('origin');
        const allowedOrigin = allowed(origin);
        if (allowedOrigin !== null) {
          answer.fields = withFields(answer.fields, ['Access-Control-Allow-Origin', allowedOrigin, ...constant]);
          if (allowedOrigin !== '*') answer.fields = addedField(answer.fields, 'Vary', 'Origin');
          const headers = conf.allow_headers === '**' ? requestedHeaders(ctx) : conf.allow_headers;
          if (headers !== undefined) answer.fields = withField(answer.fields, 'Access-Control-Allow-Headers', headers);
        }
        const timedOrigin = timed(origin);
        if (timedOrigin !== null) answer.fields = withField(answer.fields, 'Timing-Allow-Origin', timedOrigin);
      },
    };
  },
});

function checkCors(conf: CorsConf): string | null {
  const { allow_credential, allow_origins, allow_methods, allow_headers, expose_headers, timing_allow_origins } = conf;
  const stars = [allow_origins, allow_methods, allow_headers, expose_headers, timing_allow_origins];
  if (allow_credential && stars.includes('*')) {
    return "you can not set '*' for other option when 'allow_credential' is true";
  }
  for (const field of ['allow_origins_by_regex', 'timing_allow_origins_by_regex'] as const) {
    for (const pattern of conf[field] ?? []) {
      try {
        if (!isSecretReference(pattern)) compilePatterns([pattern]);
      } catch (error) {
        return `invalid ${field}: ${pattern} (${error instanceof Error ? error.message : String(error)})`;
      }
    }
  }
  return null;
}

/** Gives the origin to allow, null for none. */
type FindOrigin = (origin: string | undefined) => string | null;

function compileAllowed(conf: CorsConf, named: Readonly<Record<string, string>>): FindOrigin {
  const own = compileOrigins(conf.allow_origins, conf.allow_origins_by_regex);
  const lists = (conf.allow_origins_by_metadata ?? [])
    .map((name) => (Object.hasOwn(named, name) ? named[name] : undefined))
    .filter((list) => list !== undefined)
    .map((list) => compileOrigins(list, undefined));
  return (origin) => {
    let found = own(origin);
    for (const list of lists) found ??= list(origin);
    return found;
  };
}

function compileOrigins(list: string | null, regexes: readonly string[] | undefined): FindOrigin {
  if (regexes !== undefined) {
    const compiled = compilePatterns(regexes);
    return (origin) =>
      origin !== undefined && compiled.some((pattern) => matchesInTime(pattern, origin)) ? origin : null;
  }
  if (list === null) return () => null;
  if (list === '**') return (origin) => origin ?? '*';
  // A single origin is told to everybody: browsers compare it themselves.
  if (!list.includes(',')) return () => list;
  const origins = new Set(list.split(','));
  return (origin) => (origin !== undefined && origins.has(origin) ? origin : null);
}

/** @throws SyntaxError */
function compilePatterns(regexes: readonly string[]): readonly BoundedPattern[] {
  return regexes.map((regex) => new BoundedPattern(regex));
}

function matchesInTime(pattern: BoundedPattern, origin: string): boolean {
  try {
    return pattern.exec(origin) !== null;
  } catch (error) {
    if (error instanceof PatternTimeout) return false;
    throw error;
  }
}

/** Those that are the same for every request. */
function constantFields({ allow_methods, max_age, expose_headers = '', allow_credential }: CorsConf): string[] {
  return [
    'Access-Control-Allow-Methods',
    allow_methods === '**' ? allMethods : allow_methods,
    'Access-Control-Max-Age',
    String(max_age),
    ...(expose_headers === '' ? [] : ['Access-Control-Expose-Headers', expose_headers]),
    ...(allow_credential ? ['Access-Control-Allow-Credentials', 'true'] : []),
  ];
}

function requestedHeaders(ctx: RequestContext): string | undefined {
  return ctx.exchange.head.fields.getCombined('access-control-request-headers');
}

function withFields(fields: readonly string[], added: readonly string[]): readonly string[] {
  let changed = fields;
  for (let i = 0; i < added.length; i += 2) changed = withField(changed, added[i] ?? '', added[i + 1] ?? '');
  return changed;
}
