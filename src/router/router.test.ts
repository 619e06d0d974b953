import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fakeRequest } from './request-view.fixture.ts';
import { compileEntry, type RouteEntry, type RouterMode } from './route-entry.ts';
import { createRouter, type Router } from './router.ts';

type Route = Partial<RouteEntry<string>> & { readonly uris: readonly string[] };

/** A router over routes whose values are their ids. */
function routerOf(routes: Readonly<Record<string, Route>>, mode: RouterMode = 'radixtree_host_uri'): Router<string> {
  const entries = Object.entries(routes).map(([id, route]) => ({ id, value: id, priority: 0, ...route }));
  return createRouter(entries.map((entry) => compileEntry(entry, mode)));
}

test('an exact path comes before prefixes, a longer prefix before a shorter one', () => {
  const router = routerOf({
    root: { uris: ['/*'], priority: 9 },
    foo: { uris: ['/blog/foo/*'] },
    a: { uris: ['/blog/foo/a/*'] },
    c: { uris: ['/blog/foo/c/*'] },
    bar: { uris: ['/blog/foo/bar'] },
    open: { uris: ['/open*'] },
  });
  const expected = {
    '/blog/foo/bar': 'bar',
    '/blog/foo/a/b/c': 'a',
    '/blog/foo/c/d': 'c',
    '/blog/foo/gloo': 'foo',
    '/blog/foo/': 'foo',
    '/blog/foo': 'root',
    '/blog/bar': 'root',
    '/': 'root',
    '/open': 'open',
    '/opening/x': 'open',
    '/ope': 'root',
  };
  for (const [path, id] of Object.entries(expected)) assert.equal(router.match(fakeRequest({ path })), id, path);
});

test('nothing matches where no route fits', () => {
  assert.equal(routerOf({}).match(fakeRequest()), null);
  assert.equal(routerOf({ a: { uris: ['/a'] } }).match(fakeRequest({ path: '/a/' })), null);
  assert.equal(routerOf({ a: { uris: ['/a'] } }).match(fakeRequest({ path: '/A' })), null);
});

test('on one path the larger priority comes first, then the earlier route', () => {
  const router = routerOf({
    low: { uris: ['/x'], priority: -1 },
    first: { uris: ['/x'], priority: 3 },
    second: { uris: ['/x'], priority: 3 },
    other: { uris: ['/x'], priority: 2 },
  });
  assert.equal(router.match(fakeRequest({ path: '/x' })), 'first');
});

test('on one prefix the longer uri comes first', () => {
  const router = routerOf({ short: { uris: ['/x/*'] }, long: { uris: ['/x/*rest'] } });
  assert.equal(router.match(fakeRequest({ path: '/x/1' })), 'long');
});

test('a route whose conditions do not hold is passed over, down to shorter prefixes', () => {
  const router = routerOf({
    method: { uris: ['/a/b'], methods: ['POST', 'PUT'], priority: 3 },
    address: { uris: ['/a/b'], remoteAddresses: ['10.0.0.0/8', '::1'], priority: 2 },
    vars: { uris: ['/a/b'], vars: [['arg_v', '==', '2']], priority: 1 },
    prefix: { uris: ['/a/*'], methods: ['GET'] },
    root: { uris: ['/*'], methods: [], hosts: [], remoteAddresses: [], vars: [] },
  });
  const path = '/a/b';
  assert.equal(router.match(fakeRequest({ path, method: 'POST' })), 'method');
  assert.equal(router.match(fakeRequest({ path, method: 'post', queryString: 'v=2' })), 'vars');
  assert.equal(router.match(fakeRequest({ path, remoteAddress: '::ffff:10.0.0.1' })), 'address');
  assert.equal(router.match(fakeRequest({ path, queryString: 'v=2' })), 'vars');
  assert.equal(router.match(fakeRequest({ path })), 'prefix');
  assert.equal(router.match(fakeRequest({ path, method: 'DELETE' })), 'root');
});

const hosts = {
  any: { uris: ['/exact', '/*'], priority: 100 },
  exact: { uris: ['/*'], hosts: ['A.example.com:9080', 'other.org'] },
  wide: { uris: ['/*'], hosts: ['*.example.com'] },
  narrow: { uris: ['/*'], hosts: ['*.b.example.com'] },
  only: { uris: ['/only'], hosts: ['a.example.com'] },
  six: { uris: ['/*'], hosts: ['[::1]:80'] },
};

test('with hosts first, the exact host comes before stars, the longest star first, hostless routes at last', () => {
  const router = routerOf(hosts);
  const expected: readonly [host: string, path: string, id: string][] = [
    ['a.example.com', '/exact', 'exact'],
    ['a.example.com', '/only', 'only'],
    ['other.org', '/', 'exact'],
    ['c.example.com', '/only', 'wide'],
    ['x.b.example.com', '/', 'narrow'],
    ['b.example.com', '/', 'wide'],
    ['example.com', '/', 'any'],
    ['notexample.com', '/', 'any'],
    ['[::1]', '/', 'six'],
    ['', '/', 'any'],
  ];
  for (const [host, path, id] of expected) assert.equal(router.match(fakeRequest({ host, path })), id, host + path);
});

test('a star host whose routes do not fit is left for a shorter one', () => {
  const router = routerOf({
    wide: { uris: ['/a'], hosts: ['*.com'] },
    narrow: { uris: ['/b'], hosts: ['*.example.com'] },
    exact: { uris: ['/c'], hosts: ['x.example.com'] },
  });
  assert.equal(router.match(fakeRequest({ host: 'x.example.com', path: '/a' })), 'wide');
  assert.equal(router.match(fakeRequest({ host: 'x.example.com', path: '/b' })), 'narrow');
  assert.equal(router.match(fakeRequest({ host: 'x.example.com', path: '/d' })), null);
});

test('with paths first, the host is one condition of many', () => {
  for (const mode of ['radixtree_uri', 'radixtree_uri_with_parameter'] as const) {
    const router = routerOf(hosts, mode);
    assert.equal(router.match(fakeRequest({ host: 'a.example.com', path: '/exact' })), 'any');
    assert.equal(router.match(fakeRequest({ host: 'a.example.com', path: '/only' })), 'only');
    assert.equal(router.match(fakeRequest({ host: 'c.example.com', path: '/only' })), 'any');
    const hosted = routerOf({ star: { uris: ['/*'], hosts: ['x.org', '*.Example.com'] } }, mode);
    assert.equal(hosted.match(fakeRequest({ host: 'a.example.com' })), 'star');
    assert.equal(hosted.match(fakeRequest({ host: 'example.com' })), null);
  }
});

test('path parameters are left on the request, for conditions and for later', () => {
  const routes = {
    cat: { uris: ['/blog/:name'], vars: [['uri_param_name', '==', 'cat']], priority: 1 },
    post: { uris: ['/blog/:name/:post'] },
    any: { uris: ['/blog/:name'], methods: ['GET'] },
    rest: { uris: ['/blog/*rest'] },
    fixed: { uris: ['/blog/fixed'] },
  };
  const expected: readonly [path: string, id: string, params: object][] = [
    ['/blog/cat', 'cat', { name: 'cat' }],
    ['/blog/dog', 'any', { name: 'dog' }],
    ['/blog/dog/1', 'post', { name: 'dog', post: '1' }],
    ['/blog/dog/1/x', 'rest', { rest: 'dog/1/x' }],
    ['/blog/fixed', 'fixed', {}],
    ['/none', 'no match', {}],
  ];
  const router = routerOf(routes, 'radixtree_uri_with_parameter');
  for (const [path, id, params] of expected) {
    const request = fakeRequest({ path, pathParams: { stale: 'value' } });
    assert.equal(router.match(request) ?? 'no match', id, path);
    assert.deepEqual(request.pathParams, params);
  }
});

test('parameters are plain text in the other modes', () => {
  for (const mode of ['radixtree_host_uri', 'radixtree_uri'] as const) {
    const router = routerOf({ a: { uris: ['/blog/:name'] } }, mode);
    assert.equal(router.match(fakeRequest({ path: '/blog/dog' })), null);
    assert.equal(router.match(fakeRequest({ path: '/blog/:name' })), 'a');
  }
});

test('parameters of a candidate that was passed over are forgotten', () => {
  const router = routerOf(
    { a: { uris: ['/blog/:name'], vars: [['arg_x', '==', '1']] }, b: { uris: ['/*'], methods: ['GET'] } },
    'radixtree_uri_with_parameter',
  );
  const request = fakeRequest({ path: '/blog/dog' });
  assert.equal(router.match(request), 'b');
  assert.deepEqual(request.pathParams, {});
  const post = fakeRequest({ path: '/blog/dog', method: 'POST' });
  assert.equal(router.match(post), null);
  assert.deepEqual(post.pathParams, {});
});

const byModel = {
  model: { uris: ['/chat'], methods: ['POST'], vars: [['post_arg.model', '==', 'a']], priority: 1 },
  plain: { uris: ['/chat', '/plain'], vars: [['arg_x', '==', '1']], priority: 2 },
  rest: { uris: ['/*'] },
};

test('the body is needed only where a route with body conditions could win', () => {
  const router = routerOf(byModel);
  const chat = { method: 'POST', path: '/chat' };
  assert.equal(router.needsBody(fakeRequest(chat)), true);
  assert.equal(router.needsBody(fakeRequest({ ...chat, method: 'GET' })), false);
  assert.equal(router.needsBody(fakeRequest({ ...chat, path: '/plain' })), false);
  assert.equal(router.needsBody(fakeRequest({ ...chat, queryString: 'x=1' })), false);
  assert.equal(routerOf({ rest: byModel.rest }).needsBody(fakeRequest(chat)), false);

  const headers = { 'content-type': 'application/json' };
  assert.equal(router.match(fakeRequest({ ...chat, headers, body: '{"model":"a"}' })), 'model');
  assert.equal(router.match(fakeRequest({ ...chat, headers, body: '{"model":"b"}' })), 'rest');
  assert.equal(router.match(fakeRequest(chat)), 'rest');
});

test('a route that cannot be compiled is refused by name', () => {
  const bad: readonly [Route, RegExp][] = [
    [{ uris: ['/'], vars: [['arg_x', '=', '1']] }, /^route "bad": invalid operator '='$/],
    [{ uris: ['/'], vars: {} }, /^route "bad": expected an array$/],
    [{ uris: ['/'], remoteAddresses: ['10.0.0.0/99'] }, /^route "bad": invalid IP address "10\.0\.0\.0\/99"/],
  ];
  for (const [route, message] of bad) assert.throws(() => routerOf({ bad: route }), { name: 'TypeError', message });
});

const routeArbitrary = fc.record({
  uris: fc.uniqueArray(
    fc
      .tuple(fc.array(fc.constantFrom('/', '/a', '/b', '/ab', '/a/a'), { minLength: 1, maxLength: 3 }), fc.boolean())
      .map(([parts, star]) => parts.join('').replaceAll('//', '/') + (star ? '*' : '')),
    { minLength: 1, maxLength: 2 },
  ),
  hosts: fc.uniqueArray(fc.constantFrom('x.com', 'y.x.com', '*.x.com', '*.com', '*.y.x.com', '*x.com'), {
    maxLength: 2,
  }),
  methods: fc.uniqueArray(fc.constantFrom('GET', 'POST'), { maxLength: 2 }),
  priority: fc.integer({ min: 0, max: 2 }),
  vars: fc.constantFrom([], [['arg_v', '==', '1']], [['post_arg.m', '==', 'a']], [['post_arg.m', '!', '==', 'a']]),
});

const requestArbitrary = fc.record({
  path: fc
    .array(fc.constantFrom('/', '/a', '/b', '/ab', 'a'), { minLength: 1, maxLength: 5 })
    .map((parts) => `/${parts.join('')}`.replaceAll(/\/+/g, '/')),
  host: fc.constantFrom('x.com', 'y.x.com', 'z.y.x.com', 'other.com', 'org', 'ax.com'),
  method: fc.constantFrom('GET', 'POST', 'HEAD'),
  queryString: fc.constantFrom('', 'v=1'),
  model: fc.constantFrom('a', 'b'),
});

type RandomRoute = Readonly<typeof routeArbitrary extends fc.Arbitrary<infer R> ? R : never>;
type RandomRequest = Readonly<typeof requestArbitrary extends fc.Arbitrary<infer R> ? R : never>;

/** The specification, read literally: rank every route that fits, take the best. */
function referenceMatch(routes: readonly RandomRoute[], request: RandomRequest, mode: RouterMode): string | null {
  const fitting = routes.flatMap((route, order) => {
    const { methods, hosts: names, uris, priority, vars } = route;
    const [condition] = vars;
    const holds =
      condition === undefined ||
      (condition[0] === 'arg_v' ? request.queryString === 'v=1' : (condition[1] === '==') === (request.model === 'a'));
    if (!holds || (methods.length > 0 && !methods.some((method) => method === request.method))) return [];
    const hostRanks = names.length === 0 ? [0] : names.map((name) => rankText(name.split('').reverse().join(''), true));
    return hostRanks.flatMap((hostRank) =>
      uris.map((uri) => ({ order, priority, hostRank, pathRank: rankText(uri, false), uriLength: uri.length })),
    );

    /** 0: does not fit. Otherwise the longer the better, and the whole text best. */
    function rankText(pattern: string, backwards: boolean): number {
      const text = backwards ? request.host.split('').reverse().join('') : request.path;
      const prefix = pattern.replaceAll('*', '');
      if (pattern.includes('*')) return text.startsWith(prefix) ? prefix.length : -1;
      return text === pattern ? 1000 : -1;
    }
  });
  const ranked = fitting
    .filter(({ hostRank, pathRank }) => hostRank >= 0 && pathRank >= 0)
    .sort(
      (left, right) =>
        (mode === 'radixtree_host_uri' ? right.hostRank - left.hostRank : 0) ||
        right.pathRank - left.pathRank ||
        right.priority - left.priority ||
        right.uriLength - left.uriLength ||
        left.order - right.order,
    );
  return ranked[0] === undefined ? null : String(ranked[0].order);
}

for (const mode of ['radixtree_host_uri', 'radixtree_uri', 'radixtree_uri_with_parameter'] as const) {
  test(`${mode} agrees with a linear reference on random routes and requests`, () => {
    const property = fc.property(
      fc.array(routeArbitrary, { maxLength: 12 }),
      fc.array(requestArbitrary, { minLength: 1, maxLength: 10 }),
      (routes, requests) => {
        const router = routerOf(Object.fromEntries(routes.entries()), mode);
        for (const { model, ...request } of requests) {
          const headers = { 'content-type': 'application/json' };
          const whole = fakeRequest({ ...request, headers, body: JSON.stringify({ m: model }) });
          const matched = router.match(whole);
          assert.equal(matched, referenceMatch(routes, { model, ...request }, mode));
          const head = fakeRequest({ ...request, headers });
          if (!router.needsBody(head)) assert.equal(router.match(head), matched);
        }
      },
    );
    fc.assert(property, { numRuns: 500 });
  });
}

test('10,000 routes are compiled quickly, and hostile paths and hosts stay cheap', () => {
  const routes = Object.fromEntries(
    Array.from({ length: 10_000 }, (_, n) => [
      String(n),
      { uris: [`/route/${n}/*`, `/exact/${n}`], hosts: n % 2 === 0 ? [`h${n}.example.com`] : [], methods: ['GET'] },
    ]),
  );
  const start = performance.now();
  const router = routerOf(routes);
  const built = performance.now() - start;
  assert.equal(router.match(fakeRequest({ path: '/exact/9999' })), '9999');
  assert.equal(router.match(fakeRequest({ path: '/route/9998/x', host: 'h9998.example.com' })), '9998');
  for (const path of ['/'.repeat(32768), '/route/1'.repeat(4096), `/${'a'.repeat(32767)}`]) {
    for (let round = 0; round < 100; round++) router.match(fakeRequest({ path, host: 'a.'.repeat(16384) }));
  }
  assert.ok(built < 1000, `${built} ms`);
  assert.ok(performance.now() - start - built < 1000);
});
