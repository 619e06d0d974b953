import type { Infer } from '../../schema/infer.ts';

const count = { type: 'integer', maximum: 254 } as const;
const statuses = {
  type: 'array',
  minItems: 1,
  uniqueItems: true,
  items: { type: 'integer', minimum: 200, maximum: 599 },
} as const;

const interval = {
  type: 'integer',
  minimum: 1,
  default: 1,
} as const;

/** JSON Schema of `checks.active`, with the fields, defaults and limits of APISIX 3.18. Times are in seconds. */
const activeCheckSchema = {
  type: 'object',
  description: 'Probes that the gateway sends by itself.',
  properties: {
    type: {
      type: 'string',
      enum: ['http', 'https', 'tcp'],
      default: 'http',
      description:
        'What a probe is: an HTTP request, one through TLS, or only a connection. `http` to the port of an https endpoint goes through TLS as well.',
    },
    timeout: {
      type: 'number',
      exclusiveMinimum: 0,
      default: 1,
      description: 'Seconds for one probe, all of it together.',
    },
    concurrency: {
      type: 'integer',
      minimum: 1,
      default: 10,
      description: 'Addresses that are probed at the same time.',
    },
    host: {
      type: 'string',
      pattern: '^[0-9a-zA-Z-._\\[\\]:]+$',
      description: 'Host header and TLS name of probes. Not set: the host of the endpoint.',
    },
    port: {
      type: 'integer',
      minimum: 1,
      maximum: 65535,
      description: 'Port that is probed. Not set: the port of the endpoint.',
    },
    http_method: {
      type: 'string',
      enum: ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS', 'TRACE', 'PURGE'],
      default: 'GET',
      description: 'Method of probes.',
    },
    http_path: {
      type: 'string',
      default: '/',
      description: 'Path of probes, with a query string if need be.',
    },
    http_req_body: { type: 'string', default: '', description: 'Body of probes.' },
    https_verify_certificate: {
      type: 'boolean',
      default: true,
      description: 'Verify the certificate, unless `ssl_verify` of the plugin is false.',
    },
    req_headers: {
      type: 'array',
      minItems: 1,
      uniqueItems: true,
      items: { type: 'string' },
      description: 'Header lines of probes, `Name: value` each. The credentials of the instance are sent beside them.',
    },
    healthy: {
      type: 'object',
      default: {},
      properties: {
        interval: { ...interval, description: 'Seconds between two probes of an address that is healthy.' },
        http_statuses: { ...statuses, default: [200, 302], description: 'Statuses that are a success.' },
        successes: {
          ...count,
          minimum: 1,
          default: 2,
          description: 'Successes in a row that make an address healthy.',
        },
      },
    },
    unhealthy: {
      type: 'object',
      default: {},
      properties: {
        interval: { ...interval, description: 'Seconds between two probes of an address that is unhealthy.' },
        http_statuses: {
          ...statuses,
          default: [429, 404, 500, 501, 502, 503, 504, 505],
          description: 'Statuses that are a failure. Those in neither list say nothing.',
        },
        http_failures: {
          ...count,
          minimum: 1,
          default: 5,
          description: 'Such answers in a row that make an address unhealthy.',
        },
        tcp_failures: {
          ...count,
          minimum: 1,
          default: 2,
          description: 'Failures to connect (TLS included) in a row that make an address unhealthy.',
        },
        timeouts: {
          ...count,
          minimum: 1,
          default: 3,
          description: 'Timeouts in a row that make an address unhealthy.',
        },
      },
    },
  },
} as const;

/** JSON Schema of `checks.passive`. A number of 0 turns that signal off. */
const passiveCheckSchema = {
  type: 'object',
  description: 'What the answers to requests of clients say about health. Without this block they say nothing.',
  properties: {
    type: {
      type: 'string',
      enum: ['http', 'https', 'tcp'],
      default: 'http',
      description: 'What is looked at. `tcp`: only failures to connect and timeouts, no statuses.',
    },
    healthy: {
      type: 'object',
      default: {},
      properties: {
        http_statuses: {
          ...statuses,
          default: [200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 306, 307, 308],
          description: 'Statuses that are a success.',
        },
        successes: {
          ...count,
          minimum: 0,
          default: 5,
          description: 'Successes in a row that make an address healthy.',
        },
      },
    },
    unhealthy: {
      type: 'object',
      default: {},
      properties: {
        http_statuses: { ...statuses, default: [429, 500, 503], description: 'Statuses that are a failure.' },
        http_failures: {
          ...count,
          minimum: 0,
          default: 5,
          description: 'Such answers in a row that make an address unhealthy.',
        },
        tcp_failures: {
          ...count,
          minimum: 0,
          default: 2,
          description: 'Failures to connect (TLS included) in a row that make an address unhealthy.',
        },
        timeouts: {
          ...count,
          minimum: 0,
          default: 7,
          description: 'Timeouts in a row that make an address unhealthy.',
        },
      },
    },
  },
} as const;

/** JSON Schema of `checks`: how the health of an instance is found out. */
export const checksSchema = {
  type: 'object',
  description: 'Health checks. Not set: the instance counts as healthy.',
  properties: { active: activeCheckSchema, passive: passiveCheckSchema },
  required: ['active'],
} as const;

export type ActiveCheck = Infer<typeof activeCheckSchema>;
export type PassiveCheck = Infer<typeof passiveCheckSchema>;
export type Checks = Infer<typeof checksSchema>;

const headerLine = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*$/;
const requestTarget = /^\/[\x21-\x7e]*$/;

/**
 * What the schema does not say because its errors quote the value, which may be a credential here.
 *
 * @param isDeferred - Says of a string that it only stands for its value (a reference to a secret).
 * @returns One sentence that names the field; null if all is well.
 */
export function checkProbeRequest({ active }: Checks, isDeferred: (text: string) => boolean): string | null {
  const { http_path: path, req_headers: lines = [] } = active;
  if (!isDeferred(path) && !requestTarget.test(path)) {
    return 'checks.active.http_path must begin with / and have no space, control or non-ASCII character';
  }
  const wrong = lines.findIndex((line) => !isDeferred(line) && !headerLine.test(line));
  return wrong === -1 ? null : `checks.active.req_headers[${wrong + 1}] must be a header line such as "Name: value"`;
}
