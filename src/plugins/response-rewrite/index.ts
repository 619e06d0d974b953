import { definePlugin, type PluginEnv } from '../../pipeline/define-plugin.ts';
import { resolvePluginVariable } from '../../pipeline/variables.ts';
import { compileVars } from '../../router/expression.ts';
import { mediaType } from '../../router/form-fields.ts';
import { compileHeaderActions } from '../header-actions.ts';
import { findLogVariable } from './answer-variables.ts';
import { compileBodyFilters, withoutBodyFields } from './body-filters.ts';
import { checkResponseRewrite, responseRewriteSchema } from './schema.ts';

/**
 * Changes answers, those of the upstream and those of the gateway itself.
 *
 * @see https://apisix.apache.org/docs/apisix/plugins/response-rewrite/
 */
export const responseRewrite = definePlugin({
  name: 'response-rewrite',
  priority: 899,
  version: 0.1,
  summary: 'Changes status, header and body of answers.',
  schema: responseRewriteSchema,
  check: checkResponseRewrite,
  create(conf, env) {
    const { status_code } = conf;
    const condition = conf.vars === undefined ? null : compileVars(conf.vars, { extend: findLogVariable });
    const changeHeaders = conf.headers === undefined ? null : compileHeaderActions(conf.headers, resolvePluginVariable);
    const body = conf.body === undefined ? null : Buffer.from(conf.body, conf.body_base64 ? 'base64' : 'utf8');
    const filterBody =
      conf.filters === undefined ? null : compileBodyFilters(conf.filters, (reason) => warn(env, reason));
    return {
      headerFilter(ctx, answer) {
        // What follows is no HTTP.
        if (answer.status === 101) return;
        if (condition !== null && !condition.matches(ctx)) return;
        if (status_code !== undefined) answer.status = status_code;
        if (body !== null) {
          answer.fields = withoutBodyFields(answer.fields);
          // The tokens of an LLM call stand at the end of its answer.
          answer.replaceBody(body, { waitsForEnd: ctx.llm !== null });
        } else if (filterBody !== null && mediaType(answer.field('content-type') ?? '') !== 'text/event-stream') {
          // A stream has no end that could be waited for.
          answer.rewriteBody(filterBody);
        }
        if (changeHeaders !== null) answer.fields = changeHeaders(answer.fields, ctx);
      },
    };
  },
});

function warn(env: PluginEnv, reason: string): void {
  env.log.warn(`response-rewrite: an answer passes without its filters: ${reason}`, { owner: env.owner });
}
