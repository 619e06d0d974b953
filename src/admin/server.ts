import type { IncomingMessage } from 'node:http';
import fastify, { type FastifyReply, type FastifyRequest } from 'fastify';
import { compileIpMatcher } from '../base/ip.ts';
import type { Log } from '../base/log.ts';
import type { PluginCatalogue } from '../config/plugin-catalogue.ts';
import type { ResourceContext, ResourceDefinition } from '../config/resource.ts';
import type { StandaloneConfigs } from '../config/store/standalone-api.ts';
import { StoreError, type WritableStore } from '../config/store/store.ts';
import { type AdminReply, AdminRefusal, type AdminRequest } from './admin-reply.ts';
import { type AdminKey, createAuthorizer } from './authorize.ts';
import { registerConfigsValidate } from './configs-validate.ts';
import { createCrud } from './crud.ts';
import { readJsonBody } from './request-body.ts';
import { createRequestOrder } from './request-order.ts';
import { createPluginsEndpoint, createSchemaEndpoint } from './schema-endpoints.ts';
import { registerStandaloneConfigs } from './standalone-configs.ts';

/** What a reload of the configuration may change. */
export interface AdminSettings {
  readonly keys: readonly AdminKey[];
  /** False: everybody whom `allowAdmin` lets in may do everything. */
  readonly adminKeyRequired: boolean;
  /** IP addresses and CIDR ranges that may connect; `null`: all, an empty list: none. */
  readonly allowAdmin: readonly string[] | null;
  readonly enableCors: boolean;
}

export interface AdminServerOptions extends AdminSettings {
  readonly store: WritableStore;
  /** The configuration as a whole, when that is how this gateway takes it: then `/apisix/admin/configs` is served. */
  readonly configs?: StandaloneConfigs | undefined;
  readonly catalogue: PluginCatalogue;
  readonly resources: readonly ResourceDefinition[];
  /** Checks a `vars` expression: `null`, or what is wrong. */
  readonly checkVars: (vars: unknown) => string | null;
  /** Reads config.yaml anew, with its list of plugins. What is wrong with it goes to the log. */
  readonly reload: () => Promise<void>;
  readonly log: Log;
  /** Value of the Server header, such as `Weir/0.1.0`. */
  readonly serverHeader: string;
}

export interface AdminServer {
  /** @throws Error of the system (`EADDRINUSE`, `EACCES`) when the address cannot be had. Port 0: any free one. */
  listen(host: string, port: number): Promise<{ address: string; port: number }>;
  /** Stops accepting and waits for running requests, 2 s at most: a client that never ends its request is cut off. */
  close(): Promise<void>;
  /** Takes new settings for the next request on; those not named stay. @throws TypeError for a bad allowAdmin entry. */
  reconfigure(settings: Partial<AdminSettings>): void;
}

type Endpoint = (request: AdminRequest) => AdminReply | Promise<AdminReply>;

const prefix = '/apisix/admin';
const prefixSegments = 2;

/** For a request to come, whole: what Node allows when Fastify does not turn it off. */
const requestTimeoutMs = 300_000;
const closeTimeoutMs = 2000;
const methods = ['GET', 'PUT', 'POST', 'DELETE', 'PATCH'];

/** Makes the Admin API: `/apisix/admin/...` over the store, in the words and shapes of APISIX 3. */
export function createAdminServer(options: AdminServerOptions): AdminServer {
  const { store, log } = options;
  let gate = createGate(options);
  let settings: AdminSettings = options;
  const endpoints = createEndpoints(options);

  const app = fastify({
    exposeHeadRoutes: false,
    requestTimeout: requestTimeoutMs,
    frameworkErrors: (error, _request, reply) =>
      send(reply, new AdminRefusal(error.statusCode ?? 400, error.message).toReply()),
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request: FastifyRequest, payload: IncomingMessage) => readJsonBody(payload));

  const inOrder = createRequestOrder();

  app.addHook('onRequest', async (request, reply) => {
    await inOrder(request.raw.socket, reply.raw);
    // Some clients send none, a broken one, or `application/x-www-form-urlencoded` (curl): the body is JSON anyway.
    request.raw.headers['content-type'] = 'application/json';
    reply.header('Server', options.serverHeader);
    if (settings.enableCors) reply.headers(corsHeaders(request));
    if (!gate.admits(request.ip)) throw new AdminRefusal(403, `${request.ip} is not in deployment.admin.allow_admin`);
  });
  app.setNotFoundHandler((_request, reply) => send(reply, new AdminRefusal(404, 'not found').toReply()));
  app.setErrorHandler((error, request, reply) => send(reply, toReply(error, request)));

  app.head(prefix, (_request, reply) => send(reply, { status: 200 }));
  for (const url of [prefix, `${prefix}/*`]) {
    app.options(url, (_request, reply) => send(reply, { status: 200 }));
    app.route({
      url,
      method: methods,
      onRequest: authorize,
      handler: async (request, reply) => {
        reply.header('X-API-VERSION', 'v3');
        const [resource = '', ...path] = segmentsOf(request);
        const endpoint = endpoints.get(resource);
        if (endpoint === undefined) throw new AdminRefusal(404, `Unsupported resource type: ${resource}`);
        const { method, body } = request;
        return send(reply, await endpoint({ method, path, query: queryOf(request), body }));
      },
    });
  }

  registerConfigsValidate(app, { ...options, url: `${prefix}/configs/validate`, authorize });
  if (options.configs)
    registerStandaloneConfigs(app, { url: `${prefix}/configs`, configs: options.configs, authorize });

  async function authorize(request: FastifyRequest): Promise<void> {
    const { method, headers } = request;
    const refusal = gate.authorize({ method, headers, query: queryOf(request) });
    if (refusal === null) return;
    log.warn('the Admin API refused a request', { client: request.ip, method, reason: refusal });
    throw new AdminRefusal(401, 'failed to check token', { description: refusal });
  }

  function toReply(error: unknown, request: FastifyRequest): AdminReply {
    if (error instanceof AdminRefusal) return error.toReply();
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof StoreError && error.code === 'read-only') return new AdminRefusal(405, message).toReply();
    if (error instanceof StoreError) {
      log.error('the Admin API could not write to the store', { error: message });
      return new AdminRefusal(503, message).toReply();
    }
    const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500;
    if (status < 500) return new AdminRefusal(status, message).toReply();
    log.error('the Admin API failed', { method: request.method, path: pathOf(request), error: message });
    return new AdminRefusal(500, 'internal error of the gateway').toReply();
  }

  return {
    async listen(host, port) {
      await app.listen({ host, port });
      const bound = app.server.address();
      if (bound === null || typeof bound === 'string') throw new Error(`the Admin API has no port on ${host}`);
      return { address: bound.address, port: bound.port };
    },
    async close() {
      const timer = setTimeout(() => app.server.closeAllConnections(), closeTimeoutMs);
      try {
        await app.close();
      } finally {
        clearTimeout(timer);
      }
    },
    reconfigure(changes) {
      const next = { ...settings, ...changes };
      gate = createGate(next);
      settings = next;
    },
  };

  function createEndpoints({
    resources,
    catalogue,
    checkVars,
    reload,
  }: AdminServerOptions): ReadonlyMap<string, Endpoint> {
    const exists = (kind: string, id: string): boolean => store.get(kind, id) !== undefined;
    const context = { catalogue, checkVars, exists };
    const top = resources.filter(({ parent }) => parent === null);
    return new Map<string, Endpoint>([
      ...top.map((definition) => [definition.kind, createResourceEndpoint(definition, context)] as const),
      ['schema', createSchemaEndpoint({ resources, catalogue })],
      ['plugins', createPluginsEndpoint({ catalogue, reload })],
    ]);
  }

  /** A kind, and those that lie under each one of it. */
  function createResourceEndpoint(definition: ResourceDefinition, context: ResourceContext): Endpoint {
    const { resources } = options;
    const crud = createCrud(definition, { store, context, resources });
    const below = new Map(
      resources
        .filter(({ parent }) => parent === definition.kind)
        .map((child) => [child.kind, createCrud(child, { store, context, resources })]),
    );
    return (request) => {
      const [parentId = '', childKind = '', ...path] = request.path;
      const child = below.get(childKind);
      return child === undefined ? crud(request) : child({ ...request, parentId, path });
    };
  }
}

interface Gate {
  readonly admits: (address: string) => boolean;
  readonly authorize: ReturnType<typeof createAuthorizer>;
}

function createGate({ keys, adminKeyRequired, allowAdmin }: AdminSettings): Gate {
  return {
    admits: allowAdmin === null ? () => true : compileIpMatcher(allowAdmin),
    authorize: adminKeyRequired ? createAuthorizer(keys) : () => null,
  };
}

function corsHeaders(request: FastifyRequest): Record<string, string> {
  const headers = {
    'Access-Control-Allow-Origin': '*',
    'Access-Control-Allow-Credentials': 'true',
    'Access-Control-Expose-Headers': '*',
    'Access-Control-Max-Age': '3600',
  };
  if (request.method !== 'OPTIONS') return headers;
  return {
    ...headers,
    'Access-Control-Allow-Methods': [...methods, 'OPTIONS', 'HEAD'].join(', '),
    'Access-Control-Allow-Headers':
      request.headers['access-control-request-headers'] ?? 'Content-Type, X-API-KEY, Authorization',
  };
}

function send(reply: FastifyReply, { status, body, text = '' }: AdminReply): FastifyReply {
  reply.code(status).header('Content-Type', 'application/json');
  return reply.send(body === undefined ? text : `${JSON.stringify(body)}\n`);
}

/** Without what a client that takes the gateway for a proxy writes in front: `http://host`. */
function pathOf(request: FastifyRequest): string {
  return request.raw.url?.split('?', 1)[0]?.replace(/^https?:\/\/[^/]*/i, '') ?? '';
}

function queryOf(request: FastifyRequest): URLSearchParams {
  const url = request.raw.url ?? '';
  const mark = url.indexOf('?');
  return new URLSearchParams(mark === -1 ? '' : url.slice(mark));
}

/** The decoded segments after the prefix. Decoded one by one, so that an encoded slash stays part of its segment. */
function segmentsOf(request: FastifyRequest): string[] {
  const segments = pathOf(request)
    .split('/')
    .filter((segment) => segment !== '')
    .slice(prefixSegments)
    .map(decodeURIComponent);
  if (segments.some((segment) => segment === '.' || segment === '..')) throw new AdminRefusal(400, 'invalid path');
  return segments;
}
