import type { PluginCatalogue } from '../config/plugin-catalogue.ts';
import type { ResourceDefinition } from '../config/resource.ts';
import { type AdminReply, AdminRefusal, type AdminRequest } from './admin-reply.ts';

interface SchemaSources {
  readonly resources: readonly ResourceDefinition[];
  readonly catalogue: PluginCatalogue;
}

interface PluginSources {
  readonly catalogue: PluginCatalogue;
  /** Reads the list of plugins anew. */
  readonly reload: () => Promise<void>;
}

/** `/apisix/admin/schema/...`: GET of a resource's or plugin's schema, POST of a configuration to validate. */
export function createSchemaEndpoint({ resources, catalogue }: SchemaSources): (request: AdminRequest) => AdminReply {
  return ({ method, path, query, body }) => {
    const [name = '', rest = ''] = path;
    if (method === 'POST' && name === 'validate') return validate(resources, rest, body);
    if (method !== 'GET') throw new AdminRefusal(404, 'not found');
    if (name === 'plugins') return pluginSchema(catalogue, rest, query);
    const definition = resources.find((resource) => resource.name === name);
    if (definition === undefined) throw new AdminRefusal(400, `not found schema: ${name}`);
    return { status: 200, body: definition.schema };
  };
}

/** `/apisix/admin/plugins/...`: names, all plugins at once, the schema of one; PUT of `reload`. */
export function createPluginsEndpoint({ catalogue, reload }: PluginSources): (request: AdminRequest) => AdminReply {
  return ({ method, path, query }) => {
    const [name] = path;
    if (method === 'PUT' && name === 'reload') {
      // Not waited for, as in APISIX: it may move the Admin API, which waits for its running requests.
      void reload();
      return { status: 200, text: 'done\n' };
    }
    if (method !== 'GET') throw new AdminRefusal(404, 'not found');
    const names = subsystemOf(query) === 'http' ? catalogue.names() : [];
    if (name === 'list') return { status: 200, body: names };
    if (name !== undefined) return pluginSchema(catalogue, name, query);
    if (query.get('all') !== 'true') throw new AdminRefusal(400, 'missing plugin name');
    return { status: 200, body: Object.fromEntries(names.map((each) => [each, describePlugin(catalogue, each)])) };
  };
}

/** A plugin with all its schemas, as the Admin API and the control API list it; `undefined`: there is none. */
export function describePlugin(catalogue: PluginCatalogue, name: string): object | undefined {
  const plugin = catalogue.get(name);
  if (plugin === undefined) return undefined;
  const { version, priority, schema, consumer, metadata } = plugin;
  return {
    version,
    priority,
    schema,
    ...(consumer && { type: 'auth', consumer_schema: consumer.schema }),
    ...(metadata && { metadata_schema: metadata.schema }),
  };
}

function pluginSchema(catalogue: PluginCatalogue, name: string, query: URLSearchParams): AdminReply {
  const subsystem = subsystemOf(query);
  const plugin = subsystem === 'http' ? catalogue.get(name) : undefined;
  if (plugin === undefined) throw new AdminRefusal(404, `plugin not found in subsystem ${subsystem}`);
  const { schema, consumer, metadata } = plugin;
  const type = query.get('schema_type');
  const asked = type === 'consumer' ? consumer?.schema : type === 'metadata' ? metadata?.schema : schema;
  if (asked === undefined) throw new AdminRefusal(400, 'not found schema');
  return { status: 200, body: asked };
}

function subsystemOf(query: URLSearchParams): string {
  const subsystem = query.get('subsystem') ?? 'http';
  if (subsystem !== 'http' && subsystem !== 'stream') {
    throw new AdminRefusal(400, `unsupported subsystem: ${subsystem}`);
  }
  return subsystem;
}

/** Only the resource's own schema: plugin configurations and references are not looked at, as in APISIX. */
function validate(resources: readonly ResourceDefinition[], kind: string, body: unknown): AdminReply {
  const definition = resources.find((resource) => resource.kind === kind);
  if (definition === undefined) throw new AdminRefusal(404, `Unsupported resource type: ${kind}`);
  if (body === undefined) throw new AdminRefusal(400, 'missing configurations');
  const wrong = definition.checkSchema(body);
  if (wrong !== null) throw new AdminRefusal(400, wrong);
  return { status: 200 };
}
