import { redactLlmLog } from '../observability/llm-log.ts';
import { bodyText } from '../pipeline/body-capture.ts';
import type { RequestContext } from '../pipeline/context.ts';
import type { PluginEnv } from '../pipeline/define-plugin.ts';
import { compileLogEntryFormat } from '../pipeline/log-entry-format.ts';
import { defaultLogEntry, type LoggedBodies } from '../pipeline/log-entry.ts';
import { logVariable } from '../pipeline/variables.ts';
import { checkVars, compileVars, type Expression } from '../router/expression.ts';
import type { Infer } from '../schema/infer.ts';

const exprSchema = { type: 'array', minItems: 1, items: { type: 'array' } } as const;

const logFormatSchema = {
  type: 'object',
  description:
    'Members of an entry: a text that begins with `$` is a variable of the access log, `$request_body` or `$resp_body`; objects are read likewise, up to five levels; other values are printed as they are. Absent: that of `plugin_metadata`, without one all that is known of the request.',
} as const;

/** What `plugin_metadata` may say to a logger. */
export const loggerMetadataSchema = { type: 'object', properties: { log_format: logFormatSchema } } as const;

/** The fields of every logger that say what an entry holds. */
export const loggerEntryFields = {
  log_format: logFormatSchema,
  include_req_body: { type: 'boolean', default: false, description: 'Log the body of the request.' },
  include_req_body_expr: { ...exprSchema, description: 'Only when this vars expression holds.' },
  include_resp_body: { type: 'boolean', default: false, description: 'Log the body of the answer.' },
  include_resp_body_expr: { ...exprSchema, description: 'Only when this vars expression holds.' },
  max_req_body_bytes: {
    type: 'integer',
    minimum: 1,
    default: 524288,
    description: 'How much of the body of a request is logged.',
  },
  max_resp_body_bytes: {
    type: 'integer',
    minimum: 1,
    default: 524288,
    description: 'How much of the body of an answer is logged.',
  },
} as const;

/** A configuration with {@link loggerEntryFields}, its defaults filled in. */
export interface LoggerEntryConf {
  readonly log_format?: Readonly<Record<string, unknown>>;
  readonly include_req_body: boolean;
  readonly include_req_body_expr?: readonly unknown[];
  readonly include_resp_body: boolean;
  readonly include_resp_body_expr?: readonly unknown[];
  readonly max_req_body_bytes: number;
  readonly max_resp_body_bytes: number;
}

/** What the schema cannot say of {@link loggerEntryFields}: null, or what is wrong. */
export function checkLoggerEntry(conf: LoggerEntryConf): string | null {
  return (
    checkLogVars('include_req_body_expr', conf.include_req_body_expr) ??
    checkLogVars('include_resp_body_expr', conf.include_resp_body_expr)
  );
}

/** Checks an expression that is evaluated when a request is logged: null, or what is wrong, naming the field. */
export function checkLogVars(field: string, vars: readonly unknown[] | undefined): string | null {
  const wrong = vars === undefined ? null : checkVars(vars, { extend: logVariable });
  return wrong === null ? null : `failed to validate the '${field}' expression: ${wrong}`;
}

/** Compiles an expression over the variables of requests and logs (`status`, `llm_model`, ...). Undefined: holds always. */
export function compileLogVars(vars: readonly unknown[] | undefined): Pick<Expression, 'matches'> {
  return vars === undefined ? { matches: () => true } : compileVars(vars, { extend: logVariable });
}

/** Compiles what a logger writes of a request: one line of JSON without a newline, without credentials. */
export function compileLoggerEntry(
  conf: LoggerEntryConf,
  { metadata, configurationLog }: Pick<PluginEnv, 'metadata' | 'configurationLog'>,
): (ctx: RequestContext) => string {
  const { log_format: logFormat } = { ...(metadata as Infer<typeof loggerMetadataSchema>), ...conf };
  const format = logFormat === undefined ? null : compileLogEntryFormat(logFormat);
  if (format !== null && format.unknownVariables.length > 0) {
    configurationLog.warn('log_format uses variables that do not exist; entries are written without them', {
      variables: format.unknownVariables.join(', '),
    });
  }
  const readBodies = compileBodies(conf, format?.usesRequestBody ?? false);
  return (ctx) => {
    const bodies = readBodies(ctx);
    return JSON.stringify({
      ...(format === null ? defaultLogEntry(ctx, bodies) : { ...format.entry(ctx, bodies), route_id: ctx.route?.id }),
      ...(ctx.llmLog !== null && redactLlmLog(ctx.llmLog)),
    });
  };
}

function compileBodies(conf: LoggerEntryConf, printsRequestBody: boolean): (ctx: RequestContext) => LoggedBodies {
  const requestExpr = compileLogVars(conf.include_req_body_expr);
  const responseExpr = compileLogVars(conf.include_resp_body_expr);
  const wantsRequest = (ctx: RequestContext): boolean =>
    printsRequestBody || (conf.include_req_body && requestExpr.matches(ctx));
  const wantsResponse = (ctx: RequestContext): boolean => conf.include_resp_body && responseExpr.matches(ctx);
  return (ctx) => ({
    request: ctx.body !== null && wantsRequest(ctx) ? bodyText(ctx.body, conf.max_req_body_bytes) : undefined,
    response: wantsResponse(ctx) ? ctx.responseCapture?.text(conf.max_resp_body_bytes) : undefined,
  });
}
