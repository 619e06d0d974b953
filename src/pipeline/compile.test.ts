import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { silentLog } from '../base/log.ts';
import { compileConsumerPipeline, compileGlobalRules, compilePipeline, type PipelineParts } from './compile.ts';
import type { RequestContext } from './context.ts';
import { definePlugin, type Plugin, type PluginEnv } from './define-plugin.ts';
import { PluginInstances, type SharedEnv } from './plugin-instances.ts';
import { mergeLayers, type PluginLayer } from './plugin-layer.ts';
import { runSteps } from './run.ts';

/** What the plugins of a test did: `phase plugin owner tag`. */
let done: string[] = [];
let made: string[] = [];
let envs: PluginEnv[] = [];

function fakePlugin(name: string, priority: number, more: Partial<Parameters<typeof definePlugin>[0]> = {}): Plugin {
  return definePlugin({
    name,
    priority,
    version: 1,
    summary: '',
    schema: { type: 'object', properties: { tag: { type: 'string' } } },
    ...more,
    create(conf, env) {
      const { tag = '' } = conf as { tag?: string };
      made.push(`${name} ${env.owner} ${tag}`.trim());
      envs.push(env);
      const say = (phase: string) => (): undefined => void done.push(`${phase} ${name} ${env.owner} ${tag}`.trim());
      return { rewrite: say('rewrite'), access: say('access'), log: say('log') };
    },
  });
}

const plugins = new Map(
  [
    fakePlugin('first', 3000),
    fakePlugin('auth', 2000, { consumerSchema: { type: 'object' }, credentialKey: 'key' }),
    fakePlugin('middle', 1500),
    fakePlugin('last', 1000),
    definePlugin({
      name: 'refusing',
      priority: 100,
      version: 1,
      summary: '',
      schema: { type: 'object' },
      create: () => ({
        access: () => ({
          status: 401,
          fields: ['Content-Type', 'text/plain', 'WWW-Authenticate', 'x'],
          body: 'secret',
        }),
      }),
    }),
    fakePlugin('logger', 10, { isLogger: true, metadataSchema: { type: 'object', properties: { a: { default: 1 } } } }),
  ].map((plugin) => [plugin.name, plugin]),
);

function createParts(): PipelineParts {
  done = [];
  made = [];
  envs = [];
  const secrets = { get: () => assert.fail('no secret is meant') };
  const env = { llmLog: {}, logsResponseText: false, log: silentLog, configurationLog: silentLog };
  const instances = new PluginInstances({ env: env as unknown as SharedEnv, secrets });
  const globalNeeds = { takeEntries: false, printResponseText: false };
  return { findPlugin: (name) => plugins.get(name), instances, global: null, globalNeeds };
}

function layer(owner: string, configured: Readonly<Record<string, unknown>>): PluginLayer {
  return { owner, plugins: configured };
}

const ctx = {} as RequestContext;
const route = (...layers: PluginLayer[]) => ({ layers, chooseUpstream: null });

describe('layers', () => {
  test('give each plugin as a whole, the strongest first', () => {
    const strong = layer('routes/1', { a: { x: 1 }, b: {} });
    const weak = layer('services/1', { a: { y: 2 }, c: {} });
    assert.deepEqual(
      [...mergeLayers([strong, weak])],
      [
        ['a', strong],
        ['b', strong],
        ['c', weak],
      ],
    );
  });
});

describe('a pipeline', () => {
  test('runs its plugins by priority, opened up to the last one that authenticates', () => {
    const parts = createParts();
    const pipeline = compilePipeline(route(layer('routes/1', { last: {}, auth: {}, first: {}, middle: {} })), parts);
    void runSteps(pipeline.opening, ctx);
    assert.deepEqual(done, ['rewrite first routes/1', 'rewrite auth routes/1']);
    done = [];
    void runSteps(pipeline.steps, ctx);
    assert.deepEqual(done, [
      'rewrite middle routes/1',
      'rewrite last routes/1',
      'access first routes/1',
      'access auth routes/1',
      'access middle routes/1',
      'access last routes/1',
    ]);
  });

  test('has no opening where nothing authenticates', () => {
    assert.equal(compilePipeline(route(layer('routes/1', { first: {} })), createParts()).opening.length, 0);
  });

  test('leaves out what is disabled, though a weaker layer has it', () => {
    const parts = createParts();
    const layers = [layer('routes/1', { first: { _meta: { disable: true } } }), layer('services/1', { first: {} })];
    assert.equal(compilePipeline(route(...layers), parts).steps.length, 0);
    assert.deepEqual(made, []);
  });

  test('refuses a plugin that does not exist', () => {
    assert.throws(() => compilePipeline(route(layer('routes/1', { nothing: {} })), createParts()), /unknown plugin/);
  });

  test('shares what a service configures with the other routes of it', () => {
    const parts = createParts();
    const service = layer('services/1', { last: {} });
    compilePipeline(route(layer('routes/1', {}), service), parts);
    compilePipeline(route(layer('routes/2', {}), service), parts);
    assert.deepEqual(made, ['last services/1']);
  });

  test('goes to its upstream last of all', () => {
    const chooseUpstream = (): undefined => void done.push('upstream');
    const parts = createParts();
    const { steps } = compilePipeline({ layers: [layer('routes/1', { last: {} })], chooseUpstream }, parts);
    void runSteps(steps, ctx);
    assert.equal(done.at(-1), 'upstream');
  });

  test('makes its other plugins anew where a logger takes their entries', () => {
    const parts = createParts();
    const shared = layer('services/1', { last: {} });
    compilePipeline(route(shared), parts);
    compilePipeline(route(layer('routes/1', { logger: { tag: '$llm_response_text' } }), shared), parts);
    const [plain, logger, logged] = envs;
    assert.deepEqual(
      [plain?.llmLog, logger?.llmLog, logged?.llmLog].map((log) => log === null),
      [false, true, true],
    );
    assert.deepEqual([plain?.logsResponseText, logged?.logsResponseText], [false, true]);
  });

  test('gives plugins their metadata, and makes them anew when that changes', () => {
    const parts = createParts();
    const layers = route(layer('routes/1', { logger: {} }));
    compilePipeline(layers, parts);
    const value = { a: 2 };
    const resource = { kind: 'plugin_metadata', id: 'logger', value, createdIndex: 1, modifiedIndex: 1 };
    parts.instances.setMetadata(new Map([['logger', resource]]));
    compilePipeline(layers, parts);
    assert.deepEqual(
      envs.map(({ metadata }) => metadata),
      [{ a: 1 }, { a: 2 }],
    );
  });
});

describe('_meta', () => {
  test('decides by its filter once for all phases of a request, whatever plugins change', () => {
    const parts = createParts();
    const filter = [['http_x_a', '==', 'on']];
    const { steps, log } = compilePipeline(route(layer('routes/1', { last: { _meta: { filter } } })), parts);
    const phasesOf = (before: string, after: string): unknown[] => {
      done = [];
      let value = before;
      const changing = { header: () => value } as unknown as RequestContext;
      void runSteps(steps, changing);
      value = after;
      for (const write of log) write(changing);
      return done.map((line) => line.split(' ')[0]);
    };
    assert.deepEqual(phasesOf('on', 'off'), ['rewrite', 'access', 'log']);
    assert.deepEqual(phasesOf('off', 'on'), []);
  });

  test('filters by what only logs know, such as the status', () => {
    const parts = createParts();
    const conf = { _meta: { filter: [['status', '>=', 500]] } };
    assert.equal(plugins.get('logger')?.check(conf), null);
    const { log } = compilePipeline(route(layer('routes/1', { logger: conf })), parts);
    for (const loggedStatus of [200, 500]) for (const write of log) write({ loggedStatus } as RequestContext);
    assert.deepEqual(done, ['log logger routes/1']);
  });

  test('replaces the body of a refusal, and keeps its status and header', () => {
    const parts = createParts();
    const conf = { _meta: { error_response: { message: 'no' } } };
    const { steps } = compilePipeline(route(layer('routes/1', { refusing: conf })), parts);
    assert.deepEqual(runSteps(steps, ctx), {
      status: 401,
      fields: ['WWW-Authenticate', 'x', 'Content-Type', 'application/json'],
      body: '{"message":"no"}\n',
    });
  });
});

describe('the pipeline of a consumer', () => {
  const routeLayer = layer('routes/1', { first: { tag: 'r' }, auth: {}, middle: { tag: 'r' }, last: { tag: 'r' } });

  test('has its own plugins in place of those of the route, and runs nothing twice', () => {
    const parts = createParts();
    const overlay = [layer('consumers/jack', { middle: { tag: 'c' }, first: { tag: 'c' } })];
    void runSteps(compilePipeline(route(routeLayer), parts).opening, ctx);
    void runSteps(compileConsumerPipeline(overlay, route(routeLayer), parts).steps, ctx);
    assert.deepEqual(done, [
      'rewrite first routes/1 r',
      'rewrite auth routes/1',
      'rewrite middle consumers/jack c',
      'rewrite last routes/1 r',
      'access first consumers/jack c',
      'access auth routes/1',
      'access middle consumers/jack c',
      'access last routes/1 r',
    ]);
  });

  test('runs a plugin that only it has, though the opening is past its priority', () => {
    const parts = createParts();
    const overlay = [layer('consumer_groups/g', { first: {} })];
    const bare = route(layer('routes/1', { auth: {} }));
    void runSteps(compileConsumerPipeline(overlay, bare, parts).steps, ctx);
    assert.deepEqual(done.slice(0, 1), ['rewrite first consumer_groups/g']);
  });
});

describe('global rules', () => {
  test('run both phases before the route, and log before it', () => {
    const parts = createParts();
    const global = compileGlobalRules(
      [layer('global_rules/1', { last: {} }), layer('global_rules/2', { first: {} })],
      parts,
    );
    const pipeline = compilePipeline(route(layer('routes/1', { auth: {}, first: {} })), { ...parts, global });
    void runSteps(pipeline.opening, ctx);
    assert.deepEqual(done, [
      'rewrite first global_rules/2',
      'rewrite last global_rules/1',
      'access first global_rules/2',
      'access last global_rules/1',
      'rewrite first routes/1',
      'rewrite auth routes/1',
    ]);
    done = [];
    for (const log of pipeline.log) log(ctx);
    assert.deepEqual(
      done.map((line) => line.split(' ')[2]),
      ['global_rules/2', 'global_rules/1', 'routes/1', 'routes/1'],
    );
  });
});
