import type { PluginCatalogue } from '../config/plugin-catalogue.ts';
import type { ResourceDefinition } from '../config/resource.ts';
import { toEtcdKey } from '../config/store/etcd/etcd-keys.ts';
import type { StoredResource } from '../config/store/store.ts';
import type { ControlEndpoint } from './control-server.ts';
import { redactResource } from './redact-resource.ts';
import { describePlugin } from './schema-endpoints.ts';

interface ConfigurationSource {
  readonly resources: readonly ResourceDefinition[];
  readonly catalogue: PluginCatalogue;
  /** What the gateway serves with, in order of creation. */
  readonly list: (kind: string) => readonly StoredResource[];
  readonly get: (kind: string, id: string) => StoredResource | undefined;
}

/** Kinds that the control API shows, by the name in its addresses. */
const shownKinds = [
  { kind: 'routes', name: 'route' },
  { kind: 'services', name: 'service' },
  { kind: 'upstreams', name: 'upstream' },
] as const;

/**
 * `GET /v1/schema`, `/v1/routes`, `/v1/route/{id}`, the same for services and upstreams, and `/v1/plugin_metadata(s)`. The
 * control API asks for no key, so no credential is in an answer.
 *
 * @see https://apisix.apache.org/docs/apisix/control-api/
 */
export function createConfigurationEndpoints(source: ConfigurationSource): readonly ControlEndpoint[] {
  const { catalogue, list, get } = source;
  const show = (resource: StoredResource): object => {
    const { kind, id, createdIndex, modifiedIndex } = resource;
    const value = redactResource(resource, catalogue);
    return { key: toEtcdKey('/apisix', kind, id), value, createdIndex, modifiedIndex };
  };
  const showMetadata = (resource: StoredResource): unknown => redactResource(resource, catalogue);
  return [
    { method: 'GET', url: '/v1/schema', answer: () => ({ status: 200, body: describeSchemas(source) }) },
    ...shownKinds.flatMap(({ kind, name }): ControlEndpoint[] => [
      { method: 'GET', url: `/v1/${kind}`, answer: () => ({ status: 200, body: list(kind).map(show) }) },
      {
        method: 'GET',
        url: `/v1/${name}/:id`,
        answer({ params: { id = '' } }) {
          const resource = get(kind, id);
          if (resource === undefined) return { status: 404, body: { error_msg: `${name}[${id}] not found` } };
          return { status: 200, body: show(resource) };
        },
      },
    ]),
    {
      method: 'GET',
      url: '/v1/plugin_metadatas',
      answer: () => ({ status: 200, body: list('plugin_metadata').map(showMetadata) }),
    },
    {
      method: 'GET',
      url: '/v1/plugin_metadata/:name',
      answer({ params: { name = '' } }) {
        const resource = get('plugin_metadata', name);
        if (resource !== undefined) return { status: 200, body: showMetadata(resource) };
        return { status: 404, body: { error_msg: `plugin metadata[${name}] not found` } };
      },
    },
  ];
}

function describeSchemas({ resources, catalogue }: ConfigurationSource): object {
  return {
    main: Object.fromEntries(resources.map(({ name, schema }) => [name, schema])),
    plugins: Object.fromEntries(catalogue.names().map((name) => [name, describePlugin(catalogue, name)])),
    'stream-plugins': {},
  };
}
