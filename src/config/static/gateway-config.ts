import type { Infer } from '../../schema/infer.ts';
import { pluginSettings } from './plugin-settings.ts';
import type { SettingSchema } from './setting-schema.ts';
import { sslSettings } from './ssl-settings.ts';
import { dataEncryptionSettings, storeSettings } from './store-settings.ts';

/**
 * Every key of conf/config.yaml that acts, with its type, default and meaning: the loader, the type of the configuration
 * and docs/configuration.md all come from here. Keys that APISIX knows and Weir accepts without effect are in
 * ignored-keys.ts.
 */
export const gatewayConfigSchema = {
  type: 'object',
  default: {},
  properties: {
    apisix: {
      type: 'object',
      default: {},
      properties: {
        node_listen: {
          description:
            'Where clients are served. A port, a list of ports, or a list of `{ip, port}`; without `ip` on all IPv4 addresses. Port 0 takes a free one.',
          oneOf: [
            { type: 'integer', minimum: 0, maximum: 65535 },
            {
              type: 'array',
              minItems: 1,
              items: {
                oneOf: [
                  { type: 'integer', minimum: 0, maximum: 65535 },
                  {
                    type: 'object',
                    required: ['port'],
                    properties: {
                      ip: { type: 'string', format: 'ip', default: '0.0.0.0', description: 'Address to listen on.' },
                      port: { type: 'integer', minimum: 0, maximum: 65535, description: 'Port to listen on.' },
                      enable_http2: {
                        type: 'boolean',
                        default: false,
                        description:
                          'Also speak HTTP/2 without TLS, with clients that know of it and begin at once (prior knowledge).',
                      },
                    },
                  },
                ],
              },
            },
          ],
          default: [9080],
        },
        enable_http2: {
          type: 'boolean',
          default: true,
          description: 'Offer HTTP/2 to clients that come over TLS.',
        },
        enable_admin: { type: 'boolean', default: true, description: 'Serve the Admin API.' },
        enable_control: { type: 'boolean', default: true, description: 'Serve the control API.' },
        control: {
          type: 'object',
          default: {},
          properties: {
            ip: {
              type: 'string',
              format: 'ip',
              default: '127.0.0.1',
              description: 'Address of the control API, which asks for no key: keep it to this machine.',
            },
            port: {
              type: 'integer',
              minimum: 0,
              maximum: 65535,
              default: 9090,
              description: 'Port of the control API. 0 takes a free one.',
            },
          },
        },
        status: {
          type: 'object',
          properties: {
            ip: {
              type: 'string',
              format: 'ip',
              default: '127.0.0.1',
              description:
                'Address of the status server: `/status` says that the gateway runs, `/status/ready` that it can serve. Without `apisix.status` there is none.',
            },
            port: {
              type: 'integer',
              minimum: 0,
              maximum: 65535,
              default: 7085,
              description: 'Port of the status server. 0 takes a free one.',
            },
          },
        },
        enable_server_tokens: {
          type: 'boolean',
          default: true,
          description: 'Name the version of the gateway in the `Server` header of its own answers.',
        },
        router: {
          type: 'object',
          default: {},
          properties: {
            http: {
              type: 'string',
              enum: ['radixtree_host_uri', 'radixtree_uri', 'radixtree_uri_with_parameter'],
              default: 'radixtree_host_uri',
              description:
                'How routes are found: by host, then path; by path alone; by path alone with parameters such as `/user/:id`.',
            },
          },
        },
        ssl: sslSettings,
        data_encryption: dataEncryptionSettings,
        trusted_addresses: {
          type: 'array',
          items: { type: 'string', format: 'cidr' },
          default: [],
          description:
            'Addresses and ranges of the proxies that are trusted to send `X-Forwarded-Proto`, `-Host` and `-Port`. Those of other clients are replaced.',
        },
        disable_upstream_healthcheck: {
          type: 'boolean',
          default: false,
          description:
            'Turn the health checks of all routes off: nothing is probed, and every instance counts as healthy.',
        },
        max_post_args_readable_size: {
          type: 'integer',
          minimum: 1,
          default: 64,
          description: 'Largest request body, in MiB, that is read for a `post_arg` condition of a route.',
        },
        dns_resolver_valid: {
          type: 'integer',
          minimum: 0,
          description: 'Seconds that a resolved name is kept, in place of what the gateway decides itself.',
        },
        resolver_timeout: {
          type: 'integer',
          minimum: 1,
          default: 5,
          description: 'Accepted; without effect: the `timeout` of a plugin covers the resolution of names.',
        },
      },
    },
    nginx_config: {
      type: 'object',
      default: {},
      properties: {
        error_log: {
          type: 'string',
          minLength: 1,
          default: 'logs/error.log',
          description: "File of the gateway's own log. Relative paths lie under the prefix.",
        },
        error_log_level: {
          type: 'string',
          enum: ['debug', 'info', 'notice', 'warn', 'error', 'crit', 'alert', 'emerg'],
          default: 'warn',
          description: 'Least severe messages that are logged.',
        },
        worker_processes: {
          oneOf: [
            { type: 'integer', minimum: 1, maximum: 1024 },
            { type: 'string', enum: ['auto'] },
          ],
          default: 'auto',
          description: 'Worker threads that serve clients; `auto`: one for each CPU core.',
        },
        worker_shutdown_timeout: {
          type: ['integer', 'string'],
          format: 'time',
          default: '240s',
          description: 'How long workers of the old configuration may finish their requests after a reload.',
        },
        http: {
          type: 'object',
          default: {},
          properties: {
            enable_access_log: { type: 'boolean', default: true, description: 'Write the access log.' },
            access_log: {
              type: 'string',
              minLength: 1,
              default: 'logs/access.log',
              description: 'File of the access log. Relative paths lie under the prefix; `/dev/stdout` works.',
            },
            access_log_buffer: {
              type: ['integer', 'string'],
              format: 'size',
              default: 16384,
              description: 'Bytes that are collected before they are written, at least 64 KiB; 0: each line at once.',
            },
            access_log_format: {
              type: 'string',
              minLength: 1,
              default:
                '$remote_addr - $remote_user [$time_local] $http_host "$request" $status $body_bytes_sent $request_time "$http_referer" "$http_user_agent" $upstream_addr $upstream_status $upstream_response_time "$upstream_scheme://$upstream_host$upstream_uri" "$apisix_request_id"',
              description: 'One line of the access log.',
            },
            access_log_format_escape: {
              type: 'string',
              enum: ['default', 'json', 'none'],
              default: 'default',
              description: 'How variables are escaped in the access log.',
            },
            keepalive_timeout: {
              type: ['integer', 'string'],
              format: 'time',
              default: '60s',
              description: 'How long an idle connection of a client stays open.',
            },
            client_header_timeout: {
              type: ['integer', 'string'],
              format: 'time',
              default: '60s',
              description: 'How long the head of a request may take to arrive (status 408).',
            },
            client_body_timeout: {
              type: ['integer', 'string'],
              format: 'time',
              default: '60s',
              description: 'How long the body of a request may pause (status 408).',
            },
            client_max_body_size: {
              type: ['integer', 'string'],
              format: 'size',
              default: 0,
              description: 'Largest body of a request (status 413); 0: no limit.',
            },
            send_timeout: {
              type: ['integer', 'string'],
              format: 'time',
              default: '10s',
              description: 'How long a client may take nothing of an answer before it is disconnected.',
            },
            real_ip_header: {
              type: 'string',
              minLength: 1,
              default: 'X-Real-IP',
              description: 'Header that carries the address of the client when a trusted proxy is in front.',
            },
            real_ip_from: {
              type: 'array',
              items: { type: 'string', format: 'real-ip-source' },
              default: ['127.0.0.1', 'unix:'],
              description: 'Addresses and ranges of the proxies that are trusted to send `real_ip_header`.',
            },
            real_ip_recursive: {
              type: 'string',
              enum: ['on', 'off'],
              default: 'off',
              description:
                'Of several addresses in `real_ip_header` the last one counts (`off`), or the last one that is not trusted (`on`).',
            },
          },
        },
      },
    },
    deployment: {
      type: 'object',
      default: {},
      properties: {
        ...storeSettings,
        admin: {
          type: 'object',
          default: {},
          properties: {
            admin_key_required: {
              type: 'boolean',
              default: true,
              description: 'Ask for a key. Without it everybody whom `allow_admin` lets in can change everything.',
            },
            admin_key: {
              type: 'array',
              secret: true,
              items: {
                type: 'object',
                secret: true,
                required: ['name', 'role'],
                properties: {
                  name: { type: 'string', minLength: 1, description: 'Who holds the key.' },
                  key: {
                    type: 'string',
                    secret: true,
                    default: '',
                    description:
                      'The key itself. In the first entry it may be left empty: then one is generated and stored.',
                  },
                  role: {
                    type: 'string',
                    enum: ['admin', 'viewer'],
                    description: '`admin` may do everything, `viewer` may only read.',
                  },
                },
              },
              default: [{ name: 'admin', key: '', role: 'admin' }],
              description: 'Keys of the Admin API. An empty list is the default list.',
            },
            enable_admin_cors: {
              type: 'boolean',
              default: true,
              description: 'Let pages of other origins call the Admin API (CORS headers).',
            },
            allow_admin: {
              type: ['array', 'null'],
              items: { type: 'string', format: 'cidr' },
              default: ['127.0.0.0/24'],
              description: 'Addresses and ranges that may use the Admin API; `null`: all, an empty list: none.',
            },
            admin_listen: {
              type: 'object',
              default: {},
              properties: {
                ip: { type: 'string', format: 'ip', default: '0.0.0.0', description: 'Address of the Admin API.' },
                port: {
                  type: 'integer',
                  minimum: 0,
                  maximum: 65535,
                  default: 9180,
                  description: 'Port of the Admin API. 0 takes a free one.',
                },
              },
            },
            https_admin: {
              type: 'boolean',
              enum: [false],
              expected: 'false (this version of Weir serves the Admin API over plain HTTP only)',
              default: false,
              description: 'Serve the Admin API over TLS; not in this version.',
            },
            admin_api_version: {
              type: 'string',
              enum: ['v3'],
              default: 'v3',
              description: 'Form of the answers of the Admin API.',
            },
          },
        },
      },
    },
    plugins: {
      type: 'array',
      items: { type: 'string', minLength: 1 },
      description: 'Names of the plugins that may be used. Absent: all that Weir has.',
    },
    plugin_attr: pluginSettings,
    weir: {
      type: 'object',
      default: {},
      properties: {
        connect_to: {
          type: 'object',
          propertyNames: { format: 'host-port' },
          additionalProperties: { type: 'string', format: 'host-port' },
          default: {},
          description:
            'Sends connections for one `host:port` to another, like `--connect-to` of curl. Names, certificates and headers stay those of the first.',
        },
        shutdown_timeout: {
          type: ['integer', 'string'],
          format: 'time',
          default: '30s',
          description: 'How long running requests may take to finish after SIGTERM, SIGINT or `weir quit`.',
        },
        shared_counters: {
          type: ['integer', 'string'],
          format: 'size',
          default: '16m',
          description:
            'Memory for the counters of rate limits that the workers share, 32 bytes each, from `64k` to `4g`; read at the start. When it is full, the counters that end first are lost.',
        },
      },
    },
  },
} as const satisfies SettingSchema;

/**
 * conf/config.yaml with substitutions done and defaults filled: plain data in the shape of the file.
 * Sizes and times are as written; `toBytes` and `toMilliseconds` read them.
 */
export type GatewayConfig = Infer<typeof gatewayConfigSchema>;
