import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AdminServer, type AdminServerOptions, createAdminServer } from '../../src/admin/server.ts';
import { silentLog } from '../../src/base/log.ts';
import type { PluginCatalogue, PluginConfiguration, PluginSpec } from '../../src/config/plugin-catalogue.ts';
import { withPluginMeta } from '../../src/config/plugin-meta.ts';
import { resources } from '../../src/config/resources.ts';
import { openEmbeddedStore } from '../../src/config/store/embedded.ts';
import type { WritableStore } from '../../src/config/store/store.ts';
import { createValidator } from '../../src/schema/validator.ts';

export const adminKey = 'edit-key-0123456789';
export const viewerKey = 'view-key-0123456789';
type Schema = Readonly<Record<string, unknown>>;

function fakePlugin(
  name: string,
  priority: number,
  schemas: { readonly own?: Schema; readonly consumer?: Schema; readonly metadata?: Schema },
): PluginSpec {
  const toConfiguration = (schema: Schema): PluginConfiguration => ({ schema, ...createValidator(schema) });
  const own = toConfiguration(withPluginMeta({ type: 'object', ...schemas.own }));
  return {
    name,
    priority,
    version: 0.1,
    summary: name,
    schema: own.schema,
    check: (conf) => own.check(conf),
    consumer: schemas.consumer === undefined ? null : toConfiguration(schemas.consumer),
    credentialKey: schemas.consumer === undefined ? null : 'key',
    metadata: schemas.metadata === undefined ? null : toConfiguration(schemas.metadata),
  };
}

export const aiProxy = fakePlugin('ai-proxy', 1040, {
  own: {
    properties: {
      provider: { type: 'string', enum: ['openai', 'deepseek'] },
      auth: {
        type: 'object',
        properties: {
          header: { type: 'object', patternProperties: { '.*': { type: 'string', pattern: '^[^\\r\\n]+$' } } },
        },
        additionalProperties: false,
      },
      options: { type: 'object' },
      timeout: { type: 'integer', minimum: 1, maximum: 600_000, default: 30_000 },
    },
    required: ['provider', 'auth'],
  },
});
export const decorator = fakePlugin('ai-prompt-decorator', 1070, {
  own: { properties: { prepend: { type: 'string' } } },
});

export const keyAuth = fakePlugin('key-auth', 2500, {
  own: { properties: { header: { type: 'string' } } },
  consumer: { type: 'object', properties: { key: { type: 'string' } }, required: ['key'] },
});
export const httpLogger = fakePlugin('http-logger', 410, {
  metadata: { type: 'object', properties: { log_format: { type: 'object' } }, additionalProperties: false },
});
const plugins = new Map([keyAuth, decorator, aiProxy, httpLogger].map((plugin) => [plugin.name, plugin]));
export const catalogue: PluginCatalogue = {
  get: (name) => plugins.get(name),
  names: () => [...plugins.keys()],
};

export interface StoredRoute {
  readonly id: string;
  readonly create_time: number;
  readonly update_time: number;
  readonly uri: string;
  readonly desc: string;
  readonly status: number;
  readonly methods: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly plugins: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** Every field that some answer of the Admin API has. */
interface AnswerBody {
  readonly key: string;
  readonly value: StoredRoute;
  readonly total: number;
  readonly list: readonly AnswerBody[];
  readonly error_msg: string;
  readonly description: string;
  readonly req_body: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly json: AnswerBody;
}

export interface Call {
  readonly headers?: Record<string, string>;
  readonly key?: string | null;
  /** Sent as JSON; a string is sent as it is. */
  readonly body?: unknown;
}

/** The Admin API on a free port over a store in a directory of its own. */
export async function startAdmin(
  changes: Partial<AdminServerOptions> & { wrapStore?: (store: WritableStore) => WritableStore } = {},
) {
  const directory = mkdtempSync(join(tmpdir(), 'weir-admin-'));
  const store = await openEmbeddedStore({ file: join(directory, 'weir.db'), log: silentLog });
  const { wrapStore = (same: WritableStore) => same, ...options } = changes;
  const server: AdminServer = createAdminServer({
    store: wrapStore(store),
    catalogue,
    resources,
    keys: [
      { name: 'admin', key: adminKey, role: 'admin' },
      { name: 'viewer', key: viewerKey, role: 'viewer' },
      { name: 'unset', key: '', role: 'admin' },
    ],
    adminKeyRequired: true,
    allowAdmin: ['127.0.0.0/24'],
    enableCors: true,
    checkVars: (vars) => (JSON.stringify(vars).includes('"="') ? "invalid operator '='" : null),
    reload: async () => {},
    log: silentLog,
    serverHeader: 'Weir/0.1.0',
    ...options,
  });
  const { port } = await server.listen('127.0.0.1', 0);
  const origin = `http://127.0.0.1:${port}`;

  async function call(
    method: string,
    path: string,
    { headers = {}, key = adminKey, body }: Call = {},
  ): Promise<Answer> {
    const response = await fetch(`${origin}/apisix/admin${path}`, {
      method,
      headers: { ...(key === null ? {} : { 'X-API-KEY': key }), ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const json: AnswerBody = JSON.parse(text === '' ? 'null' : text);
    return { status: response.status, headers: response.headers, text, json };
  }

  return {
    server,
    store,
    port,
    origin,
    call,
    async [Symbol.asyncDispose]() {
      await server.close();
      await store.close();
      rmSync(directory, { recursive: true });
    },
  };
}

/** The status and the `error_msg` must be these, with nothing beside. */
export function assertRefused(answer: Answer, status: number, message: string): void {
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.text, `${JSON.stringify({ error_msg: message })}\n`);
}
