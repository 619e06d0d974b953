import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { eventually, startGateway, type TestGateway } from './support/gateway.ts';

const guard = '{"ai-prompt-guard":{"_meta":{"disable":true}}}';

/** A gateway's folder with conf/apisix.yaml or conf/apisix.json. */
class Place {
  readonly prefix: string;
  readonly #file: string;

  constructor(t: TestContext, name: string) {
    this.prefix = mkdtempSync(join(tmpdir(), 'weir-standalone-'));
    t.after(() => rmSync(this.prefix, { recursive: true, force: true }));
    this.#file = join(this.prefix, 'conf', name);
  }

  write(text: string): void {
    mkdirSync(join(this.prefix, 'conf'), { recursive: true });
    writeFileSync(`${this.#file}.new`, text);
    renameSync(`${this.#file}.new`, this.#file);
  }

  start(provider: 'yaml' | 'json', env: Readonly<Record<string, string>> = {}): Promise<TestGateway> {
    const deployment = { role: 'data_plane', role_data_plane: { config_provider: provider } };
    return startGateway({ prefix: this.prefix, config: { deployment }, env });
  }
}

async function statusOf(gateway: TestGateway, path: string): Promise<number> {
  const response = await fetch(gateway.url + path, { method: 'POST', body: '{}' });
  await response.arrayBuffer();
  return response.status;
}

async function untilServed(gateway: TestGateway, path: string): Promise<void> {
  const end = performance.now() + 10_000;
  while ((await statusOf(gateway, path)) === 404) {
    assert.ok(performance.now() < end, `${path} was not served within 10 s: ${gateway.output()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe('a configuration in a file', () => {
  test('conf/apisix.yaml is served, followed, and its last good state outlives bad ones and restarts', async (t) => {
    const place = new Place(t, 'apisix.yaml');
    place.write(`routes:
  - id: one
    uri: \${{ONE_PATH}}
    plugins: ${guard}
  - uri: /no-id
    plugins: ${guard}
  - id: bad
    uri: /bad
    plugins: {ai-proxy: {provider: none, auth: {header: {Authorization: sk-canary}}}}
  - id: dangling
    uri: /dangling
    upstream_id: "9"
upstreams:
  - id: u1
    nodes: {"127.0.0.1:1": 1}
#END
`);
    const variables = { ONE_PATH: '/one', TWO: 'two' };
    await using gateway = await place.start('yaml', variables);
    assert.match(gateway.output(), /Admin API +off/);
    assert.notEqual(await statusOf(gateway, '/one'), 404);
    assert.notEqual(await statusOf(gateway, '/no-id'), 404);
    assert.equal(await statusOf(gateway, '/bad'), 404);
    await gateway.untilErrorLog(/apisix\.yaml: routes\/bad is left out: failed to check .* plugin ai-proxy/);
    assert.match(
      gateway.errorLog(),
      /routes\/dangling is left out: failed to fetch upstream info by upstream id \[9\]/,
    );
    assert.doesNotMatch(gateway.errorLog(), /sk-canary/);

    place.write(`routes:\n  - {id: two, uri: "/\${{TWO}}", plugins: ${guard}}\n#END\n\n`);
    await untilServed(gateway, '/two');
    assert.equal(await statusOf(gateway, '/one'), 404);

    place.write('routes: []\n');
    await eventually(() => gateway.errorLog().includes('it does not end with a line #END'));
    place.write('routes: [\n#END\n');
    await eventually(() => gateway.errorLog().includes('invalid YAML'));
    place.write('routes:\n  - {id: x, uri: "${{NOT_SET}}"}\n#END\n');
    await eventually(() => gateway.errorLog().includes('the environment variable NOT_SET is not set'));
    assert.notEqual(await statusOf(gateway, '/two'), 404);
    assert.equal(await gateway.stop(), 0);

    // A value of the environment does not get onto the disk.
    assert.match(readFileSync(join(place.prefix, 'data', 'last-good.json'), 'utf8'), /\/\$\{\{TWO\}\}/);
    await using again = await place.start('yaml', variables);
    await again.untilErrorLog(/starts with the last configuration that was good.*saved_at/);
    assert.notEqual(await statusOf(again, '/two'), 404);
  });

  test('conf/apisix.json needs no last line; a start without a file waits for it', async (t) => {
    const place = new Place(t, 'apisix.json');
    const starting = place.start('json');
    const log = join(place.prefix, 'logs', 'error.log');
    await eventually(() => readOr(log).includes('the gateway waits for'), 10_000);
    place.write(`{"routes":[{"id":1,"uri":"/one","plugins":${guard}}]}`);
    await using gateway = await starting;
    assert.notEqual(await statusOf(gateway, '/one'), 404);
  });
});

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

async function configs(gateway: TestGateway, method: string, body?: string, headers: object = {}): Promise<Answer> {
  const response = await fetch(`${gateway.adminUrl}/apisix/admin/configs`, {
    method,
    headers: { 'X-API-KEY': gateway.adminKey, ...headers },
    ...(body !== undefined && { body }),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

describe('a configuration that is put as a whole', () => {
  const config = { deployment: { role_traditional: { config_provider: 'yaml' } } };
  const route = (id: string): object => ({ id, uri: `/${id}`, plugins: JSON.parse(guard) as object });

  test('is served at once, answers with digest and versions, and is there after a restart', async (t) => {
    const place = new Place(t, 'unused');
    mkdirSync(place.prefix, { recursive: true });
    await using gateway = await startGateway({ prefix: place.prefix, config });
    const empty = await configs(gateway, 'GET');
    assert.equal(empty.status, 200);
    assert.equal((JSON.parse(empty.text) as Record<string, unknown>)['routes_conf_version'], 0);
    assert.equal(empty.headers.get('x-digest'), null);

    const put = await configs(gateway, 'PUT', JSON.stringify({ routes: [route('a')] }), { 'X-Digest': 'd1' });
    assert.equal(put.status, 202, put.text);
    assert.equal(put.headers.get('x-digest'), 'd1');
    assert.match(put.headers.get('x-last-modified') ?? '', /^\d{10}$/);
    assert.notEqual(await statusOf(gateway, '/a'), 404);
    assert.equal((await configs(gateway, 'PUT', '{}', { 'X-Digest': 'd1' })).status, 204);
    const yaml = `routes_conf_version: 7\nroutes:\n  - ${JSON.stringify(route('b'))}\n`;
    assert.equal(
      (await configs(gateway, 'PUT', yaml, { 'X-Digest': 'd2', 'Content-Type': 'application/yaml' })).status,
      202,
    );
    assert.notEqual(await statusOf(gateway, '/b'), 404);
    assert.equal(await statusOf(gateway, '/a'), 404);

    // The same version: the list stays, whatever the document says.
    const same = JSON.stringify({ routes_conf_version: 7, routes: [] });
    assert.equal((await configs(gateway, 'PUT', same, { 'X-Digest': 'd3' })).status, 202);
    assert.notEqual(await statusOf(gateway, '/b'), 404);
    const head = await configs(gateway, 'HEAD');
    assert.deepEqual([head.status, head.headers.get('x-digest'), head.text], [200, 'd3', '']);
    assert.match(
      (await configs(gateway, 'GET', undefined, { Accept: 'application/yaml' })).text,
      /routes_conf_version: 7/,
    );
    assert.deepEqual((await gateway.admin('GET', '/routes/b')).status, 200);
    const huge = JSON.stringify({ routes_conf_version: 1e300, routes: [route('a')] });
    assert.equal((await configs(gateway, 'PUT', huge, { 'X-Digest': 'd4' })).status, 202);
    const later = JSON.stringify({ routes: [route('b')] });
    assert.equal((await configs(gateway, 'PUT', later, { 'X-Digest': 'd5' })).status, 202);
    assert.notEqual(await statusOf(gateway, '/b'), 404);
    const single = await gateway.admin('PUT', '/routes/c', route('c'));
    assert.equal(single.status, 405);
    assert.match(JSON.stringify(single.body), /PUT \/apisix\/admin\/configs/);
    await gateway.stop();

    await using again = await startGateway({ prefix: place.prefix, config });
    assert.notEqual(await statusOf(again, '/b'), 404);
    assert.equal((await configs(again, 'HEAD')).headers.get('x-digest'), 'd5');
  });

  test("what is wrong with it is said in APISIX's words, and changes nothing", async () => {
    await using gateway = await startGateway({ config });
    const accepted = JSON.stringify({ routes_conf_version: 5, routes: [route('a')] });
    assert.equal((await configs(gateway, 'PUT', accepted, { 'X-Digest': 'd' })).status, 202);
    const rows: [string, string | undefined, string][] = [
      ['', 'x', 'invalid request body: empty request body'],
      ['{"a"', 'x', 'invalid request body: invalid JSON at position 4 (line 1 column 5)'],
      ['{}', undefined, 'missing digest header'],
      ['{"routes_conf_version":4}', 'x', 'routes_conf_version must be greater than or equal to (5)'],
      ['{"routes_conf_version":"6"}', 'x', 'routes_conf_version must be a number'],
      [JSON.stringify({ routes: [route('r1'), route('r1')] }), 'x', 'found duplicate id r1 in routes'],
      ['{"consumers":[{"username":"j"},{"username":"j"}]}', 'x', 'found duplicate username j in consumers'],
      ['{"routes":[{"id":"r1"}]}', 'x', 'invalid routes at index 0, err: invalid configuration: '],
      ['{"routs":[]}', 'x', 'invalid routs, err: unknown key, expected one of routes, '],
    ];
    for (const [body, digest, message] of rows) {
      const answer = await configs(gateway, 'PUT', body, digest === undefined ? {} : { 'X-Digest': digest });
      assert.equal(answer.status, 400, answer.text);
      const { error_msg } = JSON.parse(answer.text) as { error_msg: string };
      assert.ok(error_msg.startsWith(message), `${error_msg} for ${body}`);
    }
    assert.equal((await configs(gateway, 'HEAD')).headers.get('x-digest'), 'd');
    assert.notEqual(await statusOf(gateway, '/a'), 404);
    const stranger = await fetch(`${gateway.adminUrl}/apisix/admin/configs`, { method: 'PUT', body: '{}' });
    assert.equal(stranger.status, 401);
  });
});

function readOr(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}
