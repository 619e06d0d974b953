import type { SettingSchema } from './setting-schema.ts';

/** Keys of `deployment` that choose the store and say how it is reached. */
export const storeSettings = {
  role: {
    type: 'string',
    enum: ['traditional', 'control_plane', 'data_plane'],
    default: 'traditional',
    description:
      'What this gateway does: `traditional` serves clients and the Admin API, `control_plane` only the Admin API, `data_plane` only clients.',
  },
  role_traditional: {
    type: 'object',
    default: {},
    properties: {
      config_provider: {
        type: 'string',
        enum: ['embedded', 'etcd', 'yaml'],
        default: 'embedded',
        description:
          'Where routes and other resources are kept: `embedded`, a file under `data/`, no server needed; `etcd`; `yaml`, put as a whole to `/apisix/admin/configs`. See [stores](stores.md).',
      },
    },
  },
  role_control_plane: {
    type: 'object',
    default: {},
    properties: {
      config_provider: {
        type: 'string',
        enum: ['etcd'],
        default: 'etcd',
        description: 'Where a control plane keeps resources.',
      },
    },
  },
  role_data_plane: {
    type: 'object',
    default: {},
    properties: {
      config_provider: {
        type: 'string',
        enum: ['etcd', 'yaml', 'json'],
        default: 'etcd',
        description:
          'Where a data plane takes resources from: `etcd`, or the file `conf/apisix.yaml` or `conf/apisix.json` under the prefix.',
      },
    },
  },
  etcd: {
    type: 'object',
    default: {},
    properties: {
      host: {
        type: 'array',
        minItems: 1,
        items: { type: 'string', format: 'etcd-url', secret: true },
        default: ['http://127.0.0.1:2379'],
        description: 'Members of one etcd cluster (3.4 or newer). When one is away, the next is used.',
      },
      prefix: {
        type: 'string',
        format: 'etcd-prefix',
        default: '/apisix',
        description: 'What the keys begin with: `/apisix/routes/1`.',
      },
      timeout: {
        type: 'integer',
        minimum: 1,
        maximum: 3600,
        default: 30,
        description: 'Seconds that one call to etcd may take.',
      },
      user: { type: 'string', minLength: 1, description: 'Name of the user, when etcd asks for one.' },
      password: { type: 'string', secret: true, description: 'Password of the user.' },
      tls: {
        type: 'object',
        default: {},
        properties: {
          cert: { type: 'string', minLength: 1, description: 'Client certificate: a file in PEM format.' },
          key: {
            type: 'string',
            minLength: 1,
            description: 'Key of the client certificate: a file in PEM format.',
          },
          verify: {
            type: 'boolean',
            default: true,
            description: "Verify etcd's certificate, with `apisix.ssl.ssl_trusted_certificate`.",
          },
          sni: {
            type: 'string',
            minLength: 1,
            description: "Name that etcd's certificate must have. Default: the host of the URL.",
          },
        },
      },
    },
  },
} as const satisfies Readonly<Record<string, SettingSchema>>;

/** `apisix.data_encryption` */
export const dataEncryptionSettings = {
  type: 'object',
  default: {},
  properties: {
    enable_encrypt_fields: {
      type: 'boolean',
      default: true,
      description: 'Encrypt the credentials of plugins in etcd. Other stores do not encrypt.',
    },
    keyring: {
      secret: true,
      oneOf: [
        {
          type: 'array',
          minItems: 1,
          secret: true,
          items: { type: 'string', format: 'aes-key', secret: true },
        },
        { type: 'string', format: 'aes-key', secret: true },
      ],
      default: ['qeddd145sfvddff3', 'edd1c9f0985e76a2'],
      description:
        'Keys of 16 or 32 bytes. The first one encrypts, all are tried to decrypt. The default keys are those of APISIX, which everybody knows.',
    },
  },
} as const satisfies SettingSchema;
