import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { parse, stringify } from 'yaml';
import { silentLog } from '../src/base/log.ts';
import { resources } from '../src/config/resources.ts';
import { loadGatewayConfig } from '../src/config/static/load.ts';
import { createResourceCheck } from '../src/config/store/resource-check.ts';
import { readDocument } from '../src/config/store/standalone-document.ts';
import { hasEndLine, parseDocumentText, substituteInText } from '../src/config/store/standalone-text.ts';
import { pluginCatalogue } from '../src/plugins/index.ts';
import { checkVars } from '../src/router/expression.ts';
import { etcdProgram, type EtcdCluster, startEtcd } from './services/etcd.ts';
import { startGateway, type TestGateway } from './support/gateway.ts';

const run = promisify(execFile);
const docs = new URL('../docs/', import.meta.url);
const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const pages = ['deploy-one-machine.md', 'deploy-from-files.md', 'deploy-fleet-etcd.md', 'migrate-from-apisix.md'];

/** What the pages tell a reader to put into the environment. */
const environment = {
  WEIR_ADMIN_KEY: 'test-admin-key',
  WEIR_KEYRING: 'my-own-key-16-by',
  WEIR_ETCD_PASSWORD: 'secret',
  OPENAI_AUTH: 'Bearer sk-x',
};

/** Programs that are not here, or that would change this machine. */
const notRun = /^(?:sudo|npm|docker|kubectl|curl)\b|--etcd-ca|-c \/usr\/local\/apisix/;

let gateway: TestGateway;
let etcd: EtcdCluster | undefined;
let folder: string;
before(async () => {
  gateway = await startGateway();
  // As a reader's, which names the port that the Admin API has.
  const config = parse(readFileSync(gateway.configFile, 'utf8')) as { deployment: { admin: Record<string, unknown> } };
  config.deployment.admin['admin_listen'] = { ip: '127.0.0.1', port: Number(new URL(gateway.adminUrl).port) };
  writeFileSync(gateway.configFile, stringify(config));
  if (etcdProgram !== null) etcd = await startEtcd();
  folder = mkdtempSync(join(tmpdir(), 'weir-docs-'));
  for (const name of ['apisix.yaml', 'routes.yaml']) {
    writeFileSync(join(folder, name), `${stringify({ routes: [route(name)] })}#END\n`);
  }
  await etcd?.put('/apisix/routes/etcd', route('etcd'));
});
after(async () => {
  rmSync(folder, { recursive: true, force: true });
  await etcd?.[Symbol.asyncDispose]();
  await gateway[Symbol.asyncDispose]();
});

function route(id: string): object {
  return { id, uri: `/${id}`, plugins: { 'ai-proxy': { provider: 'openai', auth: {} } } };
}

/** Runs a block as a reader would; only machines and folders are other ones. */
async function shell(script: string): Promise<string> {
  const here = script
    .replaceAll('/srv/weir', gateway.prefix)
    .replaceAll(/http:\/\/(?:apisix|127\.0\.0\.1):9180/g, gateway.adminUrl)
    .replaceAll('http://etcd:2379', etcd?.endpoints[0] ?? '')
    .replaceAll(/the-key-of-\w+/g, gateway.adminKey);
  const weir = `weir() { ${process.execPath} ${main} "$@"; }\n`;
  const options = { cwd: folder, env: { ...process.env, ...environment } };
  const { stdout } = await run('bash', ['-ec', weir + here], options).catch((error: unknown) => {
    const said = error as { stdout?: string; stderr?: string };
    assert.fail(`${script}\n${said.stdout ?? ''}${said.stderr ?? ''}`);
  });
  return stdout;
}

function blocks(page: string, language: string): string[] {
  const text = readFileSync(new URL(page, docs), 'utf8');
  const fences = text.matchAll(new RegExp(`^( *)\`\`\`${language}\\n([^]*?)^ *\`\`\`$`, 'gm'));
  return Array.from(fences, ([, indent = '', block = '']) => block.replaceAll(new RegExp(`^${indent}`, 'gm'), ''));
}

for (const page of pages) {
  describe(`docs/${page}`, { timeout: 120_000 }, () => {
    test('shows configurations that weir test accepts', () => {
      for (const text of blocks(page, 'yaml').filter((block) => block.startsWith('# conf/config.yaml'))) {
        const file = join(folder, 'shown', 'config.yaml');
        mkdirSync(join(folder, 'shown'), { recursive: true });
        writeFileSync(file, text);
        assert.deepEqual(loadGatewayConfig({ file, environment }).warnings, [], text);
      }
    });

    test('shows routes that can be served', () => {
      const check = createResourceCheck({
        resources,
        catalogue: pluginCatalogue(undefined),
        checkVars,
        log: silentLog,
      });
      for (const text of blocks(page, 'yaml').filter((block) => block.startsWith('# conf/apisix.yaml'))) {
        assert.ok(hasEndLine(text));
        const document = parseDocumentText(substituteInText(text, environment), 'yaml');
        assert.deepEqual(readDocument(document, check, true).problems, []);
      }
    });

    test('shows commands that work', async (t) => {
      const scripts = blocks(page, 'sh').filter((script) => !notRun.test(script));
      for (const script of scripts) {
        if (script.includes('etcd:') && etcd === undefined) t.diagnostic(`there is no etcd for ${script}`);
        else await shell(script);
      }
    });
  });
}

test('what the pages export is what was imported', { skip: etcdProgram === null ? 'there is no etcd' : false }, () => {
  const idsOf = (file: string): string[] => {
    const { routes } = parse(readFileSync(join(folder, file), 'utf8')) as { routes: { id: string }[] };
    return routes.map(({ id }) => id).sort();
  };
  assert.deepEqual(idsOf('fleet.yaml'), ['etcd']);
  // One page imports routes.yaml and the next one exports apisix.yaml; the last one imports from etcd and exports it all.
  assert.deepEqual(idsOf('apisix.yaml'), ['routes.yaml']);
  assert.deepEqual(idsOf('apisix-now.yaml'), ['etcd', 'routes.yaml']);
});
