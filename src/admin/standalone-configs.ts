import type { FastifyInstance, FastifyReply, onRequestAsyncHookHandler } from 'fastify';
import { stringify } from 'yaml';
import { DocumentRefusal, type StandaloneConfigs } from '../config/store/standalone-api.ts';
import { AdminRefusal } from './admin-reply.ts';
import { addDocumentParser, parseDocumentBody } from './document-body.ts';

interface StandaloneConfigsOptions {
  /** `/apisix/admin/configs` */
  readonly url: string;
  readonly configs: StandaloneConfigs;
  /** Throws when the client may not. */
  readonly authorize: onRequestAsyncHookHandler;
}

/**
 * GET, HEAD and PUT of the configuration as a whole, as APISIX has them in its API-driven standalone mode.
 * https://apisix.apache.org/docs/apisix/deployment-modes/#api-driven
 */
export function registerStandaloneConfigs(app: FastifyInstance, options: StandaloneConfigsOptions): void {
  const { url, configs, authorize } = options;
  void app.register(async (scope) => {
    addDocumentParser(scope);
    scope.route({
      url,
      method: ['GET', 'HEAD'],
      onRequest: authorize,
      handler: async (request, reply) => {
        const { document, digest, lastModified } = configs.read();
        withVersion(reply, configs);
        if (request.method === 'HEAD') return reply.send('');
        const body = digest === null ? document : { ...document, 'X-Digest': digest, 'X-Last-Modified': lastModified };
        if (request.headers.accept?.startsWith('application/yaml')) {
          return reply.header('Content-Type', 'application/yaml').send(stringify(body));
        }
        return reply.header('Content-Type', 'application/json').send(`${JSON.stringify(body)}\n`);
      },
    });
    scope.route({
      url,
      method: 'PUT',
      onRequest: authorize,
      handler: async (request, reply) => {
        const digest = request.headers['x-digest'];
        if (typeof digest !== 'string' || digest === '') throw new AdminRefusal(400, 'missing digest header');
        const document = parseDocumentBody(request.body);
        const outcome = await replace(configs, document, digest);
        withVersion(reply, configs);
        return reply.code(outcome === 'unchanged' ? 204 : 202).send('');
      },
    });
  });
}

async function replace(
  configs: StandaloneConfigs,
  document: Readonly<Record<string, unknown>>,
  digest: string,
): ReturnType<StandaloneConfigs['replace']> {
  try {
    return await configs.replace(document, digest);
  } catch (error) {
    if (error instanceof DocumentRefusal) throw new AdminRefusal(400, error.message);
    throw error;
  }
}

/** Not Last-Modified, which caches would act upon. */
function withVersion(reply: FastifyReply, configs: StandaloneConfigs): void {
  const { digest, lastModified } = configs.read();
  reply.header('X-API-VERSION', 'v3');
  if (digest !== null) reply.headers({ 'X-Digest': digest, 'X-Last-Modified': String(lastModified) });
}
