import type { FastifyInstance, onRequestAsyncHookHandler } from 'fastify';
import type { Log } from '../base/log.ts';
import type { PluginCatalogue } from '../config/plugin-catalogue.ts';
import type { ResourceDefinition } from '../config/resource.ts';
import { createResourceCheck } from '../config/store/resource-check.ts';
import { type DocumentProblem, readDocument } from '../config/store/standalone-document.ts';
import { addDocumentParser, parseDocumentBody } from './document-body.ts';

interface ConfigsValidateOptions {
  /** `/apisix/admin/configs/validate` */
  readonly url: string;
  readonly resources: readonly ResourceDefinition[];
  readonly catalogue: PluginCatalogue;
  readonly checkVars: (vars: unknown) => string | null;
  readonly log: Log;
  /** Throws when the client may not. */
  readonly authorize: onRequestAsyncHookHandler;
}

/**
 * POST of a configuration as a whole, JSON or YAML, that is only checked. References are not: the document may be a part of
 * the configuration.
 */
export function registerConfigsValidate(app: FastifyInstance, options: ConfigsValidateOptions): void {
  const { url, authorize } = options;
  const check = createResourceCheck(options);
  void app.register(async (scope) => {
    addDocumentParser(scope);
    scope.route({
      url,
      method: 'POST',
      onRequest: authorize,
      handler: async (request, reply) => {
        const { problems } = readDocument(parseDocumentBody(request.body), check, false);
        const body =
          problems.length === 0
            ? {}
            : { error_msg: 'Configuration validation failed', errors: problems.map((problem) => toError(problem)) };
        reply
          .code(problems.length === 0 ? 200 : 400)
          .headers({ 'X-API-VERSION': 'v3', 'Content-Type': 'application/json' });
        return reply.send(`${JSON.stringify(body)}\n`);
      },
    });
  });
}

function toError({ resource, id, index, reason }: DocumentProblem): object {
  return { resource_type: resource, resource_id: id, index, error: reason };
}
