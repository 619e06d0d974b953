import type { SettingSchema } from './setting-schema.ts';

/** `apisix.ssl`: TLS for clients, and whom the gateway itself trusts. */
export const sslSettings = {
  type: 'object',
  default: {},
  properties: {
    enable: {
      type: 'boolean',
      default: false,
      description:
        'Serve clients over HTTPS at the addresses of `listen`, with the certificates of the resources `ssls`.',
    },
    listen: {
      type: 'array',
      minItems: 1,
      items: {
        type: 'object',
        required: ['port'],
        properties: {
          ip: { type: 'string', format: 'ip', default: '0.0.0.0', description: 'Address to listen on.' },
          port: { type: 'integer', minimum: 0, maximum: 65535, description: 'Port to listen on. 0 takes a free one.' },
          enable_http2: {
            type: 'boolean',
            description: 'Accepted; without effect: `apisix.enable_http2` counts for all.',
          },
          enable_http3: {
            type: 'boolean',
            enum: [false],
            expected: 'false (Weir does not speak HTTP/3)',
            default: false,
            description: 'Speak HTTP/3; not in this version.',
          },
        },
      },
      default: [{ ip: '0.0.0.0', port: 9443, enable_http3: false }],
      description: 'Where clients are served over HTTPS.',
    },
    ssl_protocols: {
      type: 'string',
      minLength: 1,
      default: 'TLSv1.2 TLSv1.3',
      description:
        'Versions of TLS, with spaces between: `TLSv1.1` (which also needs weak ciphers, see docs/tls.md), `TLSv1.2`, `TLSv1.3`. A resource `ssls` may have its own.',
    },
    ssl_ciphers: {
      type: 'string',
      minLength: 1,
      default:
        'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305',
      description:
        'Ciphers of TLS 1.2 and older, in the notation of OpenSSL. Those of TLS 1.3 (`TLS_…`) are all in use unless one of them is named.',
    },
    ssl_session_tickets: {
      type: 'boolean',
      default: false,
      description:
        'Let clients resume sessions by tickets, which every worker can read. Never for names that ask clients for a certificate.',
    },
    fallback_sni: {
      type: 'string',
      minLength: 1,
      description: 'The name that clients are taken to mean that send none (SNI). Not set: they are refused.',
    },
    ssl_trusted_certificate: {
      type: 'string',
      minLength: 1,
      default: 'system',
      description:
        'Certificate authorities that providers are checked against: a file in PEM format, or `system` for those of the operating system.',
    },
  },
} as const satisfies SettingSchema;
