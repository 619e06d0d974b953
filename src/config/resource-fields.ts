import type { JsonSchema } from '../schema/infer.ts';

/** Schemas of fields that several resources have, as in APISIX's schema_def. */

export const idSchema = {
  anyOf: [
    { type: 'string', minLength: 1, maxLength: 64, pattern: '^(?!\\.\\.?$)[a-zA-Z0-9-_.]+$' },
    // A larger number would come out of JSON as its neighbour.
    { type: 'integer', minimum: 1, maximum: Number.MAX_SAFE_INTEGER },
  ],
} as const satisfies JsonSchema;

/** Of resources without a schema of their own for the plugins in them: the plugins check those. */
export const pluginsSchema = {
  type: 'object',
  description: 'Configuration of each plugin, by its name.',
} as const satisfies JsonSchema;

/** Seconds since 1970. */
export const timestampSchema = { type: 'integer' } as const satisfies JsonSchema;

export const nameSchema = { type: 'string', minLength: 1, maxLength: 256 } as const satisfies JsonSchema;

export const descriptionSchema = { type: 'string', maxLength: 256 } as const satisfies JsonSchema;

export const labelsSchema = {
  type: 'object',
  description: 'Key/value pairs to specify attributes',
  patternProperties: {
    '.*': { type: 'string', description: 'Value of label', minLength: 1, maxLength: 256, pattern: '^\\S+$' },
  },
} as const satisfies JsonSchema;

/** A host name, `*.` in front for all its subdomains, or an IP address. */
export const hostSchema = { type: 'string', pattern: '^\\*?[0-9a-zA-Z-._\\[\\]:]+$' } as const satisfies JsonSchema;

const octet = '([0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])';

/** An IPv4 or IPv6 address or CIDR range. */
export const addressSchema = {
  type: 'string',
  description: 'Client IP address or CIDR range',
  anyOf: [
    { title: 'IPv4', type: 'string', format: 'ipv4' },
    { title: 'IPv4/CIDR', type: 'string', pattern: `^(${octet}\\.){3}${octet}/([12]?[0-9]|3[0-2])$` },
    { title: 'IPv6', type: 'string', format: 'ipv6' },
    {
      title: 'IPv6/CIDR',
      type: 'string',
      pattern: '^[0-9a-fA-F:]*:[0-9a-fA-F:.]*/([0-9]|[1-9][0-9]|1[01][0-9]|12[0-8])$',
    },
  ],
} as const satisfies JsonSchema;

/** Seconds, fractions allowed. */
export const timeoutSchema = {
  type: 'object',
  properties: {
    connect: { type: 'number', exclusiveMinimum: 0 },
    send: { type: 'number', exclusiveMinimum: 0 },
    read: { type: 'number', exclusiveMinimum: 0 },
  },
  required: ['connect', 'send', 'read'],
} as const satisfies JsonSchema;

/** The contents of a file in PEM format. The limits are APISIX's. */
export const pemSchema = { type: 'string', minLength: 128, maxLength: 64 * 1024 } as const satisfies JsonSchema;

/** Fields that every resource has. */
export const commonFields = {
  id: idSchema,
  create_time: timestampSchema,
  update_time: timestampSchema,
  name: nameSchema,
  desc: descriptionSchema,
  labels: labelsSchema,
} as const satisfies JsonSchema;
