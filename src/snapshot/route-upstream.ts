import type { Route } from '../config/route.ts';
import type { Service } from '../config/service.ts';
import { clientKeyPairOf } from '../config/ssl.ts';
import type { StoredResource } from '../config/store/store.ts';
import { compileUpstream, type UpstreamOptions } from '../forward/compile-upstream.ts';
import type { Step } from '../pipeline/define-plugin.ts';
import type { ResourceSet } from './resource-set.ts';

/** Where the upstream of a route is configured. */
interface UpstreamPlace {
  /** `upstreams/1`, or the route or service in which it stands. */
  readonly owner: string;
  readonly conf: unknown;
}

interface RouteResources {
  readonly route: StoredResource;
  readonly service: StoredResource | null;
}

/**
 * The resources outside of the route and its service that its upstream is made of.
 *
 * @throws Error when one does not exist.
 */
export function upstreamDependencies(resources: RouteResources, all: ResourceSet): readonly StoredResource[] {
  const place = findUpstream(resources, all);
  if (place === null) return [];
  const upstream = all.of('upstreams').get(place.owner.slice('upstreams/'.length));
  const certificateId = certificateIdOf(place.conf);
  const certificate = certificateId === null ? undefined : all.of('ssls').get(certificateId);
  return [
    ...(upstream !== undefined && place.conf === upstream.value ? [upstream] : []),
    ...(certificate === undefined ? [] : [certificate]),
  ];
}

/**
 * Makes the step that goes to the upstream of a route: its own, or that of its service. A target that a plugin has chosen
 * stays.
 *
 * @returns Null when there is none.
 * @throws Error when it cannot be used.
 */
export function compileUpstreamStep(
  resources: RouteResources,
  all: ResourceSet,
  env: UpstreamOptions['env'],
): Step | null {
  const place = findUpstream(resources, all);
  if (place === null) return null;
  const { timeout, enable_websocket: ofRoute } = resources.route.value as Route;
  const { enable_websocket: ofService } = (resources.service?.value ?? {}) as Service;
  const upstream = compileUpstream(place.conf, {
    owner: place.owner,
    ...(timeout !== undefined && { timeout }),
    allowsWebSocket: ofRoute ?? ofService ?? false,
    findClientCertificate: (id) => clientKeyPairOf(all.of('ssls').get(id)),
    env,
  });
  return (ctx) => {
    ctx.target ??= upstream.chooseTarget(ctx);
    return undefined;
  };
}

/** What a route says wins over what its service says; an id wins over what stands beside it, as in APISIX. */
function findUpstream({ route, service }: RouteResources, all: ResourceSet): UpstreamPlace | null {
  for (const resource of [route, service]) {
    if (resource === null) continue;
    const { upstream, upstream_id: id } = resource.value as Route | Service;
    if (id !== undefined) {
      const named = all.of('upstreams').get(String(id));
      if (named === undefined) throw new Error(`there is no upstream with the id ${id}`);
      return { owner: `upstreams/${id}`, conf: named.value };
    }
    if (upstream !== undefined) return { owner: `${resource.kind}/${resource.id}`, conf: upstream };
  }
  return null;
}

function certificateIdOf(conf: unknown): string | null {
  const { tls } = conf as { readonly tls?: { readonly client_cert_id?: string | number } };
  return tls?.client_cert_id === undefined ? null : String(tls.client_cert_id);
}
