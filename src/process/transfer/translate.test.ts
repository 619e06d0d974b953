import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { resources } from '../../config/resources.ts';
import { pluginCatalogue } from '../../plugins/index.ts';
import { checkVars } from '../../router/expression.ts';
import { readLists } from './reading.ts';
import { formatProblem } from './report.ts';
import { translate } from './translate.ts';

const ai = { 'ai-proxy': { provider: 'openai', auth: {} } };

/** The lines for a person, and what is taken. */
function translated(
  document: Readonly<Record<string, unknown>>,
  present: readonly string[] = [],
): { readonly lines: string[]; readonly taken: string[] } {
  const { items, problems } = translate(readLists(document).items, {
    resources,
    catalogue: pluginCatalogue(undefined),
    checkVars,
    exists: (kind, id) => present.includes(`${kind}/${id}`),
  });
  return { lines: problems.map(formatProblem), taken: items.map(({ kind, id }) => `${kind}/${id}`) };
}

describe('of a configuration of APISIX', () => {
  const rows: readonly [
    what: string,
    document: Readonly<Record<string, unknown>>,
    lines: readonly (string | RegExp)[],
  ][] = [
    [
      'all Lua code and all unknown plugins of a resource are named at once',
      {
        routes: [
          {
            id: 1,
            uri: '/a',
            filter_func: 'function(vars) return vars.arg_a == "1" end',
            plugins: { 'serverless-pre-function': {}, ...ai, 'openid-connect': { client_secret: 'sk-canary' } },
          },
        ],
      },
      [
        'routes/1 filter_func: it is Lua code',
        'routes/1 plugins.serverless-pre-function: Weir has no such plugin',
        'routes/1 plugins.openid-connect: Weir has no such plugin',
      ],
    ],
    [
      'a script is Lua',
      { routes: [{ id: 's', uri: '/a', script: 'return function() end' }] },
      ['routes/s script: it is Lua code'],
    ],
    [
      'so is the function before a plugin',
      {
        routes: [
          { id: 'f', uri: '/a', plugins: { 'ai-proxy': { ...ai['ai-proxy'], _meta: { pre_function: 'return 1' } } } },
        ],
      },
      ['routes/f plugins.ai-proxy._meta.pre_function: it is Lua code'],
    ],
    [
      'a field that a plugin refuses is named with its path',
      { routes: [{ id: 'p', uri: '/a', plugins: { 'ai-proxy': { ...ai['ai-proxy'], options: { model: 7 } } } }] },
      [/^routes\/p plugins\.ai-proxy\.options\.model: failed to check .*wrong type: expected string, got number$/],
    ],
    [
      'a kind that Weir does not serve',
      { protos: [{ id: '1', content: 'syntax = "proto3";' }], stream_routes: [{ id: '1', server_port: 9100 }] },
      [/^protos\/1: protos are not supported/, /^stream_routes\/1: stream_routes are not supported/],
    ],
    [
      'metadata of a plugin that Weir does not have',
      { plugin_metadata: [{ id: 'kafka-logger', log_format: {} }] },
      ['plugin_metadata/kafka-logger: Weir has no such plugin'],
    ],
    [
      'what refers to something that is left out is left out as well',
      {
        routes: [{ id: 'r', uri: '/a', service_id: 's' }],
        services: [{ id: 's', plugins: { 'no-such-plugin': {} } }],
      },
      [
        'services/s plugins.no-such-plugin: Weir has no such plugin',
        'routes/r: it refers to services/s, which is left out',
      ],
    ],
    [
      'so is what refers to nothing',
      { routes: [{ id: 'r', uri: '/a', upstream_id: 9 }], consumers: [{ id: 'jack/credentials/one', plugins: {} }] },
      [
        'credentials/jack/one: it refers to consumers/jack, which does not exist',
        'routes/r: it refers to upstreams/9, which does not exist',
      ],
    ],
  ];
  for (const [what, document, lines] of rows) {
    test(what, () => {
      const { lines: found, taken } = translated(document);
      assert.equal(found.length, lines.length, found.join('\n'));
      for (const [index, line] of lines.entries()) {
        if (typeof line === 'string') assert.equal(found[index], line);
        else assert.match(found[index] ?? '', line);
      }
      assert.deepEqual(taken, []);
      assert.doesNotMatch(found.join('\n'), /canary/);
    });
  }

  test('what is taken comes behind what it refers to, and routes come last', () => {
    const { taken, lines } = translated({
      routes: [{ id: 'r', uri: '/a', plugins: ai, service_id: 's', plugin_config_id: 'p' }],
      consumers: [
        { id: 'jack/credentials/one', plugins: {} },
        { username: 'jack', group_id: 'g' },
      ],
      consumer_groups: [{ id: 'g', plugins: {} }],
      plugin_configs: [{ id: 'p', plugins: {} }],
      services: [{ id: 's', upstream_id: 'u' }],
      upstreams: [{ id: 'u', nodes: { '127.0.0.1:80': 1 } }],
    });
    assert.deepEqual(lines, []);
    assert.deepEqual(taken, [
      'upstreams/u',
      'services/s',
      'plugin_configs/p',
      'consumer_groups/g',
      'consumers/jack',
      'credentials/jack/one',
      'routes/r',
    ]);
  });

  test('a reference to what only the gateway has is good, unless the source has a bad one of that name', () => {
    const routes = [{ id: 'r', uri: '/a', plugins: ai, service_id: 's' }];
    assert.deepEqual(translated({ routes }, ['services/s']).taken, ['routes/r']);
    const services = [{ id: 's', script: 'return function() end' }];
    assert.deepEqual(translated({ routes, services }, ['services/s']).taken, []);
  });
});
