import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { silentLog } from '../src/base/log.ts';
import { version } from '../src/base/version.ts';
import { resources } from '../src/config/resources.ts';
import { loadGatewayConfig } from '../src/config/static/load.ts';
import { toMilliseconds } from '../src/config/static/size-and-time.ts';
import { createResourceCheck } from '../src/config/store/resource-check.ts';
import { readDocument } from '../src/config/store/standalone-document.ts';
import { hasEndLine, parseDocumentText, substituteInText } from '../src/config/store/standalone-text.ts';
import { pluginCatalogue } from '../src/plugins/index.ts';
import { checkVars } from '../src/router/expression.ts';
import { startGateway } from './support/gateway.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../', import.meta.url));
const deploy = join(root, 'deploy');

interface Container {
  readonly image: string;
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly envFrom: readonly { readonly secretRef: { readonly name: string } }[];
  readonly lifecycle: { readonly preStop: { readonly exec: { readonly command: readonly string[] } } };
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
  readonly [probe: `${string}Probe`]: { readonly httpGet: { readonly path: string; readonly port: string } };
}

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly stringData?: Readonly<Record<string, string>>;
  readonly spec?: {
    readonly selector: Labels & { readonly matchLabels?: Labels };
    readonly podSelector?: { readonly matchLabels: Labels };
    readonly ports: readonly { readonly targetPort: string }[];
    readonly template: {
      readonly metadata: { readonly labels: Labels };
      readonly spec: {
        readonly containers: readonly [Container];
        readonly terminationGracePeriodSeconds: number;
        readonly securityContext: { readonly runAsNonRoot: boolean };
        readonly volumes: readonly { readonly name: string; readonly configMap?: { readonly name: string } }[];
      };
    };
  };
}

type Labels = Readonly<Record<string, unknown>>;

/** A folder for one test. */
function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'weir-deploy-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function readManifests(set: string): Manifest[] {
  const path = join(deploy, 'kubernetes', set);
  return readdirSync(path).flatMap((name) =>
    parseAllDocuments(readFileSync(join(path, name), 'utf8')).map((document) => {
      assert.deepEqual([...document.errors, ...document.warnings], [], name);
      return document.toJS() as Manifest;
    }),
  );
}

function select(manifests: readonly Manifest[], kind: string): Manifest[] {
  return manifests.filter((manifest) => manifest.kind === kind);
}

/** The environment variables of these Secrets. */
function secretsOf(manifests: readonly Manifest[]): Record<string, string> {
  return Object.assign({}, ...manifests.map(({ stringData }) => stringData)) as Record<string, string>;
}

/** The pods that labels select. */
function podsWith(manifests: readonly Manifest[], labels: Labels): Container[] {
  return select(manifests, 'Deployment').flatMap(({ spec }) => {
    const pod = spec?.template;
    const isSelected = Object.entries(labels).every(([name, value]) => pod?.metadata.labels[name] === value);
    return pod !== undefined && isSelected ? pod.spec.containers : [];
  });
}

for (const set of ['from-files', 'fleet']) {
  describe(`the manifests in deploy/kubernetes/${set}`, () => {
    const manifests = readManifests(set);
    const secrets = secretsOf(select(manifests, 'Secret'));

    test('hold configurations that weir test accepts without a warning', (t) => {
      for (const { metadata, data = {} } of select(manifests, 'ConfigMap')) {
        const file = join(folder(t), 'config.yaml');
        writeFileSync(file, data['config.yaml'] ?? '');
        const [pod] = select(manifests, 'Deployment').filter(({ spec }) =>
          spec?.template.spec.volumes.some(({ configMap }) => configMap?.name === metadata.name),
        );
        const { terminationGracePeriodSeconds = 0, containers } = pod?.spec?.template.spec ?? {};
        const given = containers?.[0].envFrom.map(({ secretRef }) => secretRef.name);
        const environment = secretsOf(
          select(manifests, 'Secret').filter(({ metadata: { name } }) => given?.includes(name)),
        );
        const { config, warnings } = loadGatewayConfig({ file, environment });
        assert.deepEqual(warnings, [], metadata.name);
        const [, preStop] = containers?.[0].lifecycle.preStop.exec.command ?? [];
        const shutdown = toMilliseconds(config.weir.shutdown_timeout) / 1000;
        assert.ok(terminationGracePeriodSeconds > shutdown + Number(preStop), metadata.name);
      }
    });

    test('hold routes that can all be served', () => {
      const check = createResourceCheck({
        resources,
        catalogue: pluginCatalogue(undefined),
        checkVars,
        log: silentLog,
      });
      for (const { data = {} } of select(manifests, 'ConfigMap')) {
        const text = data['apisix.yaml'];
        if (text === undefined) continue;
        assert.ok(hasEndLine(text));
        const { items, problems } = readDocument(
          parseDocumentText(substituteInText(text, secrets), 'yaml'),
          check,
          true,
        );
        assert.deepEqual(problems, []);
        assert.ok(items.length > 0);
        for (const [, name = ''] of text.matchAll(/\$env:\/\/(\w+)/g)) assert.ok(name in secrets, name);
      }
    });

    test('fit together: selectors, ports, volumes, secrets', () => {
      const has = (kind: string, name: string): boolean =>
        select(manifests, kind).some(({ metadata }) => metadata.name === name);
      for (const { kind, metadata, spec } of manifests) {
        const labels =
          { Service: spec?.selector, NetworkPolicy: spec?.podSelector?.matchLabels }[kind] ??
          spec?.selector?.matchLabels;
        if (labels === undefined) continue;
        const pods = podsWith(manifests, labels);
        assert.equal(pods.length, 1, `${kind} ${metadata.name}`);
        const names = pods.flatMap(({ ports }) => ports.map(({ name }) => name));
        if (kind === 'Service')
          for (const { targetPort } of spec?.ports ?? []) assert.ok(names.includes(targetPort), targetPort);
      }
      for (const { spec } of select(manifests, 'Deployment')) {
        const pod = spec?.template.spec;
        const [container] = pod?.containers ?? [];
        assert.ok(container);
        for (const { secretRef } of container.envFrom) assert.ok(has('Secret', secretRef.name));
        const volumes = new Map(pod?.volumes.map(({ name, configMap }) => [name, configMap]));
        for (const { name } of container.volumeMounts) assert.ok(volumes.has(name), name);
        for (const configMap of volumes.values())
          assert.ok(configMap === undefined || has('ConfigMap', configMap.name));
        const ports = container.ports.map(({ name }) => name);
        for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe'] as const) {
          assert.ok(ports.includes(container[probe]?.httpGet.port ?? ''), probe);
        }
      }
    });

    test('run as nobody special, on an image without a registry', () => {
      for (const { spec } of select(manifests, 'Deployment')) {
        const pod = spec?.template.spec;
        assert.ok(pod);
        assert.equal(pod.securityContext.runAsNonRoot, true);
        const [{ image, securityContext }] = pod.containers;
        assert.equal(image, `weir:${version}`);
        assert.deepEqual(securityContext, {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
      }
    });
  });
}

test('a gateway with the ConfigMap of deploy/kubernetes/from-files serves, and its probes answer', async (t) => {
  const prefix = folder(t);
  const [{ data = {} } = {}] = select(readManifests('from-files'), 'ConfigMap');
  const config = parse(data['config.yaml'] ?? '') as {
    apisix: Record<string, unknown>;
    plugin_attr: object;
    weir: object;
  };
  config.apisix['node_listen'] = [{ ip: '127.0.0.1', port: 0 }];
  config.apisix['status'] = { ip: '127.0.0.1', port: 0 };
  config.plugin_attr = { prometheus: { export_addr: { port: 0 } } };
  // Nobody is there: what matters is that the route is found, and not what the provider would say.
  config.weir = { ...config.weir, connect_to: { 'api.openai.com:443': '127.0.0.1:1' } };
  mkdirSync(join(prefix, 'conf'));
  writeFileSync(join(prefix, 'conf', 'config.yaml'), stringify(config));
  writeFileSync(join(prefix, 'conf', 'apisix.yaml'), data['apisix.yaml'] ?? '');
  await using gateway = await startGateway({ prefix, env: { OPENAI_AUTH: 'Bearer sk-x' } });
  const answer = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: '{"messages":[{"role":"user","content":"hi"}]}',
  });
  assert.equal(answer.status, 502, await answer.text());
  const [, statusUrl] = /status +(http:\S+)/.exec(gateway.output()) ?? [];
  for (const path of ['/status', '/status/ready']) assert.equal((await fetch(statusUrl + path)).status, 200, path);
});

describe('deploy/weir.service', () => {
  const unit = readFileSync(join(deploy, 'weir.service'), 'utf8');
  const analyze = ['/usr/bin/systemd-analyze', '/bin/systemd-analyze'].find((file) => existsSync(file));

  test(
    'passes systemd-analyze verify',
    { skip: analyze === undefined ? 'there is no systemd-analyze' : false },
    async (t) => {
      const file = join(folder(t), 'weir.service');
      // The program is not installed here.
      writeFileSync(file, unit.replaceAll(/^(Exec\w+)=weir /gm, `$1=${process.execPath} `));
      const { stdout, stderr } = await run(analyze ?? '', ['verify', file]);
      assert.equal(stdout + stderr, '');
    },
  );

  test('gives the gateway the time and the folder that it needs', () => {
    const [, seconds] = /^TimeoutStopSec=(\d+)$/m.exec(unit) ?? [];
    assert.ok(Number(seconds) > 30, 'weir.shutdown_timeout is 30s by default');
    const [, prefix] = /^ExecStart=\S+ -p (\S+) start$/m.exec(unit) ?? [];
    assert.match(unit, new RegExp(`^ExecReload=\\S+ -p ${prefix} reload$`, 'm'));
    assert.match(unit, new RegExp(`^ReadWritePaths=${prefix}$`, 'm'));
    assert.doesNotMatch(unit, /^MemoryDenyWriteExecute=/m);
    assert.match(unit, /^User=weir$/m);
  });
});

/** What a COPY instruction names, its target last. */
function pathsOf(instruction: string): string[] {
  return instruction.split(' ').filter((word, index) => index > 0 && !word.startsWith('--'));
}

describe('deploy/Dockerfile', () => {
  const dockerfile = readFileSync(join(deploy, 'Dockerfile'), 'utf8');
  const instructions = dockerfile.replaceAll('\\\n', ' ').split('\n');

  test('takes only what is there and what .dockerignore lets through', () => {
    const allowed = readFileSync(join(root, '.dockerignore'), 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('!'));
    const copied = instructions
      .filter((line) => line.startsWith('COPY ') && !line.includes('--from='))
      .flatMap((line) => pathsOf(line).slice(0, -1));
    assert.ok(copied.length > 5);
    for (const path of copied) {
      assert.ok(existsSync(join(root, path)), path);
      assert.ok(allowed.includes(`!${path}`), `${path} is in .dockerignore`);
    }
  });

  test('names base images without a registry, and ends as a user without rights', () => {
    assert.match(dockerfile, /^ARG NODE_IMAGE=node:\d+-slim$/m);
    for (const line of instructions.filter((line) => line.startsWith('FROM ')))
      assert.match(line, /^FROM \$\{NODE_IMAGE\}/);
    assert.match(dockerfile, /^USER 1000:1000$/m);
    const [, major] = /node:(\d+)/.exec(dockerfile) ?? [];
    assert.equal(Number(major), Number(process.versions.node.split('.')[0]), 'the Node that the tests run on');
  });

  test('has a configuration that answers its health check', () => {
    const { config, warnings } = loadGatewayConfig({ file: join(deploy, 'config.yaml'), environment: {} });
    assert.deepEqual(warnings, []);
    assert.match(dockerfile, new RegExp(`http://127\\.0\\.0\\.1:${config.apisix.status?.port}/status/ready`));
  });

  test('makes an image whose program starts', async (t) => {
    const image = folder(t);
    const compiler = join(root, 'node_modules', '.bin', 'tsc');
    await run(compiler, ['-p', join(root, 'tsconfig.build.json'), '--noCheck', '--outDir', join(image, 'dist')]);
    const stage = instructions.slice(instructions.findLastIndex((line) => line.startsWith('FROM ')));
    // Relative targets lie under the program's folder.
    for (const line of stage.filter((line) => line.startsWith('COPY ') && !/--from=| \//.test(line))) {
      const paths = pathsOf(line);
      const target = paths.pop() ?? '';
      for (const path of paths) cpSync(join(root, path), join(image, target, path.split('/').at(-1) ?? ''));
    }
    symlinkSync(join(root, 'node_modules'), join(image, 'node_modules'));
    const main = join(image, 'dist', 'main.js');
    assert.equal((await run(process.execPath, [main, 'version'])).stdout, `weir ${version}\n`);
    const { stdout } = await run(process.execPath, [
      main,
      '-p',
      image,
      '-c',
      join(image, 'conf', 'config.default.yaml'),
      'test',
    ]);
    assert.match(stdout, /the configuration is good/);
  });
});
