import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ConfigFileError, loadGatewayConfig, type LoadedConfig } from './load.ts';

const directory = mkdtempSync(join(tmpdir(), 'weir-config-'));
after(() => rmSync(directory, { recursive: true, force: true }));
const file = join(directory, 'config.yaml');

function load(text: string | Buffer, environment: Record<string, string> = {}): LoadedConfig {
  writeFileSync(file, text);
  return loadGatewayConfig({ file, environment });
}

/** The defaults that users rely on; written out, so that a change of one is a decision. */
const latencyBuckets = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000];
const tokenBuckets = [
  1, 10, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000,
];

const defaults = {
  apisix: {
    node_listen: [9080],
    enable_http2: true,
    enable_admin: true,
    enable_control: true,
    control: { ip: '127.0.0.1', port: 9090 },
    enable_server_tokens: true,
    router: { http: 'radixtree_host_uri' },
    ssl: {
      enable: false,
      listen: [{ ip: '0.0.0.0', port: 9443, enable_http3: false }],
      ssl_protocols: 'TLSv1.2 TLSv1.3',
      ssl_ciphers:
        'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305',
      ssl_session_tickets: false,
      ssl_trusted_certificate: 'system',
    },
    data_encryption: { enable_encrypt_fields: true, keyring: ['qeddd145sfvddff3', 'edd1c9f0985e76a2'] },
    trusted_addresses: [],
    disable_upstream_healthcheck: false,
    max_post_args_readable_size: 64,
    resolver_timeout: 5,
  },
  nginx_config: {
    error_log: 'logs/error.log',
    error_log_level: 'warn',
    worker_processes: 'auto',
    worker_shutdown_timeout: '240s',
    http: {
      enable_access_log: true,
      access_log: 'logs/access.log',
      access_log_buffer: 16384,
      access_log_format:
        '$remote_addr - $remote_user [$time_local] $http_host "$request" $status $body_bytes_sent $request_time "$http_referer" "$http_user_agent" $upstream_addr $upstream_status $upstream_response_time "$upstream_scheme://$upstream_host$upstream_uri" "$apisix_request_id"',
      access_log_format_escape: 'default',
      keepalive_timeout: '60s',
      client_header_timeout: '60s',
      client_body_timeout: '60s',
      client_max_body_size: 0,
      send_timeout: '10s',
      real_ip_header: 'X-Real-IP',
      real_ip_from: ['127.0.0.1', 'unix:'],
      real_ip_recursive: 'off',
    },
  },
  deployment: {
    role: 'traditional',
    role_traditional: { config_provider: 'embedded' },
    role_control_plane: { config_provider: 'etcd' },
    role_data_plane: { config_provider: 'etcd' },
    etcd: { host: ['http://127.0.0.1:2379'], prefix: '/apisix', timeout: 30, tls: { verify: true } },
    admin: {
      admin_key_required: true,
      admin_key: [{ name: 'admin', key: '', role: 'admin' }],
      enable_admin_cors: true,
      allow_admin: ['127.0.0.0/24'],
      admin_listen: { ip: '0.0.0.0', port: 9180 },
      https_admin: false,
      admin_api_version: 'v3',
    },
  },
  plugin_attr: {
    prometheus: {
      enable_export_server: true,
      export_addr: { ip: '127.0.0.1', port: 9091 },
      export_uri: '/apisix/prometheus/metrics',
      metric_prefix: 'apisix_',
      refresh_interval: 15,
      metrics: {},
      default_buckets: latencyBuckets,
      llm_latency_buckets: latencyBuckets,
      llm_prompt_tokens_buckets: tokenBuckets,
      llm_completion_tokens_buckets: tokenBuckets,
    },
  },
  weir: { connect_to: {}, shutdown_timeout: '30s', shared_counters: '16m' },
};

for (const [name, text] of [
  ['an empty file', ''],
  ['a file of comments', '# nothing\n\n# here\n'],
  ['sections without content', 'apisix:\nnginx_config: ~\ndeployment: {admin: }\n'],
] as const) {
  test(`${name} gives the defaults`, () => assert.deepEqual(load(text), { config: defaults, warnings: [] }));
}

test('the shipped conf/config.yaml says the defaults', () => {
  const shipped = new URL('../../../conf/config.default.yaml', import.meta.url).pathname;
  const { config, warnings } = loadGatewayConfig({ file: shipped, environment: {} });
  assert.deepEqual(warnings, []);
  const [admin] = config.deployment.admin.admin_key;
  assert.deepEqual({ ...config, deployment: { ...config.deployment, admin: defaults.deployment.admin } }, defaults);
  assert.deepEqual({ ...config.deployment.admin, admin_key: [{ ...admin, key: '' }] }, defaults.deployment.admin);
});

const values: { name: string; text: string; path: string; value: unknown; environment?: Record<string, string> }[] = [
  { name: 'node_listen as a port', text: 'apisix: {node_listen: 8080}', path: 'apisix.node_listen', value: 8080 },
  {
    name: 'node_listen as a list of ports and addresses, which replaces the default',
    text: 'apisix: {node_listen: [8080, {port: 8081}, {ip: "::1", port: 8082, enable_http2: false}]}',
    path: 'apisix.node_listen',
    value: [8080, { ip: '0.0.0.0', port: 8081, enable_http2: false }, { ip: '::1', port: 8082, enable_http2: false }],
  },
  { name: 'a list that replaces', text: 'plugins: [ai-proxy]', path: 'plugins', value: ['ai-proxy'] },
  { name: 'an empty list', text: 'plugins: []', path: 'plugins', value: [] },
  {
    name: 'a key beside others, which keep their defaults',
    text: 'nginx_config: {http: {send_timeout: 1m}}',
    path: 'nginx_config.http',
    value: { ...defaults.nginx_config.http, send_timeout: '1m' },
  },
  {
    name: 'null, which means the default',
    text: 'nginx_config: {http: {send_timeout: null}}',
    path: 'nginx_config.http.send_timeout',
    value: '10s',
  },
  {
    name: 'allow_admin null, which lets everybody in',
    text: 'deployment: {admin: {allow_admin: null}}',
    path: 'deployment.admin.allow_admin',
    value: null,
  },
  {
    name: 'plugin_attr of a plugin without settings as it stands',
    text: 'plugin_attr: {zipkin: {export_addr: {port: 9091}, on: [1, x]}}',
    path: 'plugin_attr.zipkin',
    value: { export_addr: { port: 9091 }, on: [1, 'x'] },
  },
  {
    name: 'connect_to',
    text: 'weir: {connect_to: {"api.openai.com:443": "[::1]:8443"}}',
    path: 'weir.connect_to',
    value: { 'api.openai.com:443': '[::1]:8443' },
  },
  {
    name: 'an alias',
    text: 'nginx_config: {http: {send_timeout: &t 7s, keepalive_timeout: *t}}',
    path: 'nginx_config.http.keepalive_timeout',
    value: '7s',
  },
  {
    name: 'a substitution by a variable, typed as YAML would',
    text: 'apisix: {node_listen: "${{PORT}}"}',
    environment: { PORT: '7000' },
    path: 'apisix.node_listen',
    value: 7000,
  },
  { name: 'a default', text: 'apisix:\n  node_listen: ${{PORT:=9999}}', path: 'apisix.node_listen', value: 9999 },
  {
    name: 'a variable that wins over its default, with spaces',
    text: 'apisix:\n  enable_admin: ${{ ADMIN := true }}',
    environment: { ADMIN: 'false' },
    path: 'apisix.enable_admin',
    value: false,
  },
  {
    name: 'a variable within a longer text',
    text: 'nginx_config:\n  error_log: ${{DIR:=logs}}/${{NAME}}.log',
    environment: { NAME: 'e' },
    path: 'nginx_config.error_log',
    value: 'logs/e.log',
  },
  {
    name: 'a substituted key',
    text: 'weir:\n  connect_to:\n    "${{HOST}}:443": 127.0.0.1:1',
    environment: { HOST: 'example.com' },
    path: 'weir.connect_to',
    value: { 'example.com:443': '127.0.0.1:1' },
  },
  {
    name: 'an admin key from a variable stays text, even if it reads as a number',
    text: 'deployment:\n  admin:\n    admin_key:\n      - {name: a, role: admin, key: "${{KEY}}"}',
    environment: { KEY: '001234567890' },
    path: 'deployment.admin.admin_key',
    value: [{ name: 'a', key: '001234567890', role: 'admin' }],
  },
  {
    name: 'a text that is only like a substitution of nginx',
    text: 'nginx_config:\n  http:\n    access_log_format: ${remote_addr}',
    path: 'nginx_config.http.access_log_format',
    value: '${remote_addr}',
  },
];
for (const { name, text, path, value, environment } of values) {
  test(`reads ${name}`, () => {
    const found = path
      .split('.')
      .reduce<unknown>((node, key) => Reflect.get(Object(node), key), load(text, environment).config);
    assert.deepEqual(found, value);
  });
}

const port = 'an integer from 0 to 65535';
const errors: { text: string; at: string; message: string }[] = [
  // Syntax.
  {
    text: 'apisix:\n  a: b: c',
    at: '2:6',
    message: 'invalid YAML: Nested mappings are not allowed in compact mappings',
  },
  {
    text: 'apisix: {',
    at: '1:10',
    message: 'invalid YAML: Flow map in block collection must be sufficiently indented and end with a }',
  },
  { text: 'a:\n\tb: 1', at: '2:1', message: 'invalid YAML: Tabs are not allowed as indentation' },
  { text: 'apisix: {}\nweir: {}\napisix: {}', at: '3:1', message: 'this key is there twice: expected each key once' },
  {
    text: 'weir:\n  connect_to:\n    "${{A:=h}}:1": h:2\n    "h:1": h:3',
    at: '3:20',
    message: 'weir.connect_to.h:1: expected each key once, got it twice',
  },
  { text: '- apisix', at: '1:1', message: 'expected a mapping (key: value), got a list' },
  { text: 'apisix', at: '1:1', message: 'expected a mapping (key: value), got a scalar' },
  // Types.
  { text: 'apisix: 5', at: '1:9', message: 'apisix: expected a mapping (key: value), got 5' },
  {
    text: 'apisix:\n  enable_admin: yes',
    at: '2:17',
    message: 'apisix.enable_admin: expected true or false, got "yes"',
  },
  {
    text: 'nginx_config: {error_log: 1}',
    at: '1:27',
    message: 'nginx_config.error_log: expected a string that is not empty, got 1',
  },
  {
    text: 'nginx_config: {error_log: ""}',
    at: '1:27',
    message: 'nginx_config.error_log: expected a string that is not empty, got ""',
  },
  { text: 'plugins: ai-proxy', at: '1:10', message: 'plugins: expected a list, got "ai-proxy"' },
  {
    text: 'plugins: [ai-proxy, ]\nplugin_attr: []',
    at: '2:14',
    message: 'plugin_attr: expected a mapping (key: value), got an empty list',
  },
  {
    text: 'plugins:\n  - ai-proxy\n  -',
    at: '3:4',
    message: 'plugins[1]: expected a string that is not empty, got nothing',
  },
  { text: 'plugin_attr: {x: 1}', at: '1:18', message: 'plugin_attr.x: expected a mapping (key: value), got 1' },
  // Ranges, names and formats.
  {
    text: 'apisix: {node_listen: "9080"}',
    at: '1:23',
    message: `apisix.node_listen: expected ${port} or a list with at least one item, got "9080"`,
  },
  {
    text: 'apisix: {node_listen: 70000}',
    at: '1:23',
    message: `apisix.node_listen: expected ${port} or a list with at least one item, got 70000`,
  },
  {
    text: 'apisix: {node_listen: []}',
    at: '1:23',
    message: 'apisix.node_listen: expected a list with at least one item, got an empty list',
  },
  {
    text: 'apisix: {node_listen: [-1]}',
    at: '1:24',
    message: `apisix.node_listen[0]: expected ${port} or a mapping with port, got -1`,
  },
  {
    text: 'apisix: {node_listen: [1.5]}',
    at: '1:24',
    message: `apisix.node_listen[0]: expected ${port} or a mapping with port, got 1.5`,
  },
  {
    text: 'apisix: {node_listen: [{ip: "::1"}]}',
    at: '1:24',
    message: `apisix.node_listen[0].port: expected ${port}, got nothing`,
  },
  {
    text: 'apisix: {node_listen: [{ip: localhost, port: 1}]}',
    at: '1:29',
    message: 'apisix.node_listen[0].ip: expected an IP address such as 0.0.0.0 or ::, got "localhost"',
  },
  {
    text: 'apisix: {router: {http: tree}}',
    at: '1:25',
    message:
      'apisix.router.http: expected one of radixtree_host_uri, radixtree_uri, radixtree_uri_with_parameter, got "tree"',
  },
  {
    text: 'apisix: {ssl: {ssl_protocols: TLSv1.2 SSLv3}}',
    at: '1:31',
    message:
      'apisix.ssl.ssl_protocols: expected TLSv1.1, TLSv1.2 and TLSv1.3, with spaces between, got "TLSv1.2 SSLv3"',
  },
  {
    text: 'apisix: {ssl: {ssl_ciphers: ROT13}}',
    at: '1:29',
    message: 'apisix.ssl.ssl_ciphers: expected ciphers in the notation of OpenSSL, got "ROT13"',
  },
  {
    text: 'apisix: {ssl: {listen: [{port: 9443, enable_http3: true}]}}',
    at: '1:52',
    message: 'apisix.ssl.listen[0].enable_http3: expected false (Weir does not speak HTTP/3), got true',
  },
  {
    text: 'apisix: {ssl: {enable: true, listen: [{port: 9080}]}}',
    at: '1:46',
    message: 'apisix.ssl.listen[0].port: expected a port that nothing else here uses, got 0.0.0.0:9080',
  },
  {
    text: 'apisix: {resolver_timeout: 0}',
    at: '1:28',
    message: 'apisix.resolver_timeout: expected an integer of at least 1, got 0',
  },
  {
    text: 'nginx_config:\n  worker_processes: many',
    at: '2:21',
    message: 'nginx_config.worker_processes: expected an integer from 1 to 1024 or auto, got "many"',
  },
  {
    text: 'nginx_config:\n  worker_processes: true',
    at: '2:21',
    message: 'nginx_config.worker_processes: expected an integer from 1 to 1024 or auto, got true',
  },
  {
    text: '\n\nnginx_config:\n  http:\n    client_max_body_size: ten',
    at: '5:27',
    message: 'nginx_config.http.client_max_body_size: expected a size such as 10m, got "ten"',
  },
  {
    text: 'weir: {shutdown_timeout: soon}',
    at: '1:26',
    message: 'weir.shutdown_timeout: expected a time such as 60s, got "soon"',
  },
  {
    text: 'weir: {shared_counters: 63k}',
    at: '1:25',
    message: 'weir.shared_counters: expected a size from 64k to 4g, got "63k"',
  },
  {
    text: 'weir: {shared_counters: 5g}',
    at: '1:25',
    message: 'weir.shared_counters: expected a size from 64k to 4g, got "5g"',
  },
  {
    text: 'weir: {connect_to: {"api.openai.com": "x:1"}}',
    at: '1:39',
    message:
      'weir.connect_to.api.openai.com: expected host:port such as api.openai.com:443 as the key, got "api.openai.com"',
  },
  {
    text: 'weir: {connect_to: {"api.openai.com:443": "x"}}',
    at: '1:43',
    message: 'weir.connect_to.api.openai.com:443: expected host:port such as api.openai.com:443, got "x"',
  },
  {
    text: 'deployment: {admin: {allow_admin: [10.0.0.0/33]}}',
    at: '1:36',
    message: 'deployment.admin.allow_admin[0]: expected an IP address or a range such as 10.0.0.0/8, got "10.0.0.0/33"',
  },
  {
    text: 'nginx_config: {http: {real_ip_from: ["unix:", proxy]}}',
    at: '1:47',
    message:
      'nginx_config.http.real_ip_from[1]: expected an IP address, a range such as 10.0.0.0/8, or unix:, got "proxy"',
  },
  {
    text: 'deployment: {etcd: {host: ["http://127.0.0.1:2379", "root:pw@127.0.0.1:2379"]}}',
    at: '1:53',
    message:
      'deployment.etcd.host[1]: expected the URL of an etcd member such as http://127.0.0.1:2379, without a path or a user, got something else (not shown: it is a credential)',
  },
  {
    text: 'deployment: {etcd: {prefix: /apisix/}}',
    at: '1:29',
    message: 'deployment.etcd.prefix: expected a prefix such as /apisix, got "/apisix/"',
  },
  {
    text: 'deployment:\n  role: data_plane\n  etcd: {user: root}',
    at: '3:9',
    message: 'deployment.etcd.password: expected a password, because user is given, got nothing',
  },
  {
    text: 'deployment:\n  role: data_plane\n  etcd: {tls: {cert: a.pem}}',
    at: '3:15',
    message: 'deployment.etcd.tls.key: expected a file, because tls.cert is given, got nothing',
  },
  {
    text: 'apisix: {data_encryption: {keyring: [a-short-key]}}',
    at: '1:38',
    message:
      'apisix.data_encryption.keyring[0]: expected a key of 16 or 32 bytes, got something else (not shown: it is a credential)',
  },
  // What this version cannot do.
  {
    text: 'deployment:\n  role_control_plane:\n    config_provider: yaml',
    at: '3:22',
    message: 'deployment.role_control_plane.config_provider: expected etcd, got "yaml"',
  },
  {
    text: 'deployment: {role_data_plane: {config_provider: xds}}',
    at: '1:49',
    message: 'deployment.role_data_plane.config_provider: expected one of etcd, yaml, json, got "xds"',
  },
  {
    text: 'deployment: {admin: {https_admin: true}}',
    at: '1:35',
    message:
      'deployment.admin.https_admin: expected false (this version of Weir serves the Admin API over plain HTTP only), got true',
  },
  {
    text: 'deployment: {admin: {admin_api_version: v2}}',
    at: '1:41',
    message: 'deployment.admin.admin_api_version: expected v3, got "v2"',
  },
  // Rules between keys.
  {
    text: 'apisix: {node_listen: [9080, {ip: 127.0.0.1, port: 9080}]}',
    at: '1:30',
    message: 'apisix.node_listen[1]: expected each address and port once, got 127.0.0.1:9080 again',
  },
  {
    text: 'apisix: {node_listen: 9180}',
    at: '1:1',
    message:
      'deployment.admin.admin_listen.port: expected a port that apisix.node_listen does not use, got 0.0.0.0:9180',
  },
  {
    text: 'apisix: {control: {port: 9180}}',
    at: '1:26',
    message: 'apisix.control.port: expected a port that nothing else here uses, got 127.0.0.1:9180',
  },
  {
    text: 'apisix: {status: {port: 9090}}',
    at: '1:25',
    message: 'apisix.status.port: expected a port that nothing else here uses, got 127.0.0.1:9090',
  },
  // Admin keys: none is shown.
  {
    text: 'deployment: {admin: {admin_key: [{name: a, role: admin, key: 12345678}]}}',
    at: '1:62',
    message: 'deployment.admin.admin_key[0].key: expected a string, got something else (not shown: it is a credential)',
  },
  {
    text: 'deployment: {admin: {admin_key: sk-1}}',
    at: '1:33',
    message: 'deployment.admin.admin_key: expected a list, got something else (not shown: it is a credential)',
  },
  {
    text: 'deployment: {admin: {admin_key: [sk-1]}}',
    at: '1:34',
    message:
      'deployment.admin.admin_key[0]: expected a mapping with name and role, got something else (not shown: it is a credential)',
  },
  {
    text: 'deployment: {admin: {admin_key: [{key: x, role: admin}]}}',
    at: '1:34',
    message: 'deployment.admin.admin_key[0].name: expected a string that is not empty, got nothing',
  },
  {
    text: 'deployment: {admin: {admin_key: [{name: a, key: x, role: root}]}}',
    at: '1:58',
    message: 'deployment.admin.admin_key[0].role: expected one of admin, viewer, got "root"',
  },
  {
    text: 'deployment: {admin: {admin_key: [{name: a, role: admin}, {name: b, role: viewer}]}}',
    at: '1:58',
    message:
      'deployment.admin.admin_key[1].key: expected a key (only that of the first entry may be left empty), got ""',
  },
  {
    text: 'deployment: {admin: {admin_key: [{name: a, role: admin, key: k}, {name: b, role: viewer, key: k}]}}',
    at: '1:95',
    message: 'deployment.admin.admin_key[1].key: expected another key for each entry, got one that is taken',
  },
  // Substitution and aliases.
  {
    text: 'apisix:\n  node_listen: ${{PORT}}',
    at: '2:16',
    message:
      'apisix.node_listen: expected the environment variable PORT to be set, or a default: ${{PORT:=default}}, got neither',
  },
  {
    text: 'plugins:\n  - ai-proxy\n  - ${{EXTRA}}',
    at: '3:5',
    message:
      'plugins[1]: expected the environment variable EXTRA to be set, or a default: ${{EXTRA:=default}}, got neither',
  },
  {
    text: 'apisix:\n  node_listen: ${{MY-PORT}}',
    at: '2:16',
    message: 'apisix.node_listen: expected ${{NAME}} or ${{NAME:=default}}, got another use of ${{',
  },
  {
    text: 'apisix: {router: *r}',
    at: '1:18',
    message: 'apisix.router: expected an anchor &r before this place, got none',
  },
];
for (const { text, at, message } of errors) {
  test(`refuses ${JSON.stringify(text)}`, () => {
    assert.throws(
      () => load(text),
      (error) => {
        assert.ok(error instanceof ConfigFileError);
        assert.equal(error.message, `${file}:${at}: ${message}`);
        assert.equal(`${error.line}:${error.column}`, at);
        assert.ok(message.startsWith(error.key === null ? '' : `${error.key}: `));
        assert.ok(error.message.includes(error.expected));
        return true;
      },
    );
  });
}

test('a syntax error shows nothing of the line, which may hold a key', () => {
  assert.throws(
    () => load('deployment: {admin: {admin_key: [{key: very-secret'),
    (error) => error instanceof ConfigFileError && !error.message.includes('very-secret'),
  );
});

test('a file that is missing, unreadable or not text is named, with what to do', () => {
  const missing = join(directory, 'missing.yaml');
  assert.throws(() => loadGatewayConfig({ file: missing, environment: {} }), {
    name: 'ConfigFileError',
    line: null,
    message: `${missing}: there is no such file. Create it (an empty file means all defaults; the package of Weir brings a commented conf/config.default.yaml) or name another with -c`,
  });
  assert.throws(() => loadGatewayConfig({ file: directory, environment: {} }), {
    message: `${directory}: the file cannot be read: EISDIR: illegal operation on a directory, read`,
  });
  assert.throws(() => load(Buffer.from([0x61, 0x3a, 0xff])), {
    message: `${file}: expected text in UTF-8, got other bytes`,
  });
});

const warnings: { text: string; at: string; message: string }[] = [
  {
    text: 'apisix:\n  node_listn: 1',
    at: '2:3',
    message: 'apisix.node_listn: unknown key, it has no effect; did you mean apisix.node_listen?',
  },
  { text: 'nginx:\n  x: 1', at: '1:1', message: 'nginx: unknown key, it has no effect' },
  {
    text: 'nginx_config: {worker_rlimit_nofiles: 1}',
    at: '1:16',
    message:
      'nginx_config.worker_rlimit_nofiles: unknown key, it has no effect; did you mean nginx_config.worker_rlimit_nofile?',
  },
  {
    text: 'admin_listen:\n  port: 1',
    at: '1:1',
    message: 'admin_listen: unknown key, it has no effect; it belongs at deployment.admin.admin_listen',
  },
  {
    text: 'apisix: {enable_admin_cors: true}',
    at: '1:10',
    message:
      'apisix.enable_admin_cors: unknown key, it has no effect; it belongs at deployment.admin.enable_admin_cors',
  },
  { text: 'apisix: {toString: 1}', at: '1:10', message: 'apisix.toString: unknown key, it has no effect' },
  {
    text: 'apisix: {node_listen: [{port: 1, prt: 2}]}',
    at: '1:34',
    message: 'apisix.node_listen[0].prt: unknown key, it has no effect; did you mean apisix.node_listen[0].port?',
  },
  {
    text: 'deployment: {admin: {admin_key: [{name: a, role: admin, key: edd1c9f034335f136f87ad84b625c8f1}]}}',
    at: '1:62',
    message:
      'deployment.admin.admin_key[0].key: THIS ADMIN KEY IS PUBLIC: it was the default of APISIX for years, and whoever reaches the Admin API can use it. Replace it, or leave it empty to have one generated',
  },
  {
    text: 'deployment: {etcd: {host: ["http://127.0.0.1:2379"]}}',
    at: '1:20',
    message:
      'deployment.etcd: it has no effect, because the config_provider of the role traditional is embedded, not etcd',
  },
  {
    text: 'deployment: {role: data_plane}',
    at: '1:1',
    message:
      'apisix.data_encryption.keyring: credentials in etcd are encrypted with the keys that APISIX publishes: whoever reads etcd can read them',
  },
  {
    text: 'deployment: {admin: {admin_key_required: false, allow_admin: null}}',
    at: '1:42',
    message:
      'deployment.admin.admin_key_required: the Admin API asks for no key and allow_admin lets everybody in: whoever reaches it can change everything',
  },
];
for (const { text, at, message } of warnings) {
  test(`warns of ${JSON.stringify(text)}`, () => {
    const found = load(text).warnings;
    assert.deepEqual(
      found.map((warning) => [warning.level, warning.message]),
      [['warn', `${file}:${at}: ${message}`]],
    );
    assert.equal(found[0]?.line, Number(at.split(':')[0]));
    assert.ok(message.startsWith(`${found[0]?.key}: `));
  });
}

test('keys that only mean something to APISIX are named together, in one notice', () => {
  const text = `
    apisix: {proxy_cache: {zones: [{name: x}]}, extra_lua_path: ""}
    nginx_config: {worker_rlimit_nofile: 20480, http: {upstream: {keepalive: 320}, lua_shared_dict: {x: 10m}}}
    deployment: {certs: {cert: x}}`;
  assert.deepEqual(load(text).warnings, [
    {
      level: 'notice',
      key: null,
      line: null,
      message: `${file}: these keys are known from APISIX and have no effect in this version of Weir: apisix.extra_lua_path, apisix.proxy_cache, deployment.certs, nginx_config.http.lua_shared_dict, nginx_config.http.upstream, nginx_config.worker_rlimit_nofile`,
    },
  ]);
});

test('a key called __proto__ is a key like others', () => {
  const { plugin_attr } = load('plugin_attr: {__proto__: {polluted: true}}').config;
  assert.deepEqual(Object.keys(plugin_attr), ['prometheus', '__proto__']);
  assert.equal(Reflect.get({}, 'polluted'), undefined);
});
