import type * as RouterModule from '../../src/router/router.ts';
import type * as RouteEntryModule from '../../src/router/route-entry.ts';
import type { RequestView } from '../../src/router/request-view.ts';
import type { MicroBench } from './micro-bench.ts';

const routeCount = 10_000;

/** The choice among many routes, with and without hosts, exact and by prefix. */
export const router: MicroBench = {
  name: 'router, 10,000 routes',
  async prepare(importSource) {
    const { createRouter } = await importSource<typeof RouterModule>('router/router.ts');
    const { compileEntry } = await importSource<typeof RouteEntryModule>('router/route-entry.ts');
    const entries = Array.from({ length: routeCount }, (_, i) =>
      compileEntry(
        {
          id: `r${i}`,
          value: i,
          uris: [i % 4 === 0 ? `/team-${i}/*` : `/team-${i}/v1/chat/completions`],
          methods: ['POST'],
          hosts: i % 2 === 0 ? [`team-${i}.example.com`] : [],
          priority: 0,
        },
        'radixtree_host_uri',
      ),
    );
    const compiled = createRouter(entries);
    const requests = [0, 1, 4998, 4999, 9998, 9999].map(requestFor);
    let turn = 0;
    return () => {
      const request = requests[turn++ % requests.length];
      const found = request === undefined ? null : compiled.match(request);
      if (found === null) throw new Error('the router found nothing');
      return found;
    };
  },
};

function requestFor(route: number): RequestView {
  const path = `/team-${route}/v1/chat/completions`;
  return {
    method: 'POST',
    path,
    requestUri: path,
    queryString: '',
    host: `team-${route}.example.com`,
    scheme: 'http',
    httpVersion: '1.1',
    remoteAddress: '127.0.0.1',
    remotePort: 40_000,
    serverAddress: '127.0.0.1',
    serverPort: 9080,
    consumer: null,
    pathParams: {},
    header: () => undefined,
    body: null,
    jsonBody: () => undefined,
  };
}
