import { isIP } from 'node:net';
import { compileIpMatcher } from '../../base/ip.ts';
import { parseHostPort } from './host-port.ts';
import { parseSize, parseTime } from './size-and-time.ts';

type SettingType = 'object' | 'array' | 'string' | 'integer' | 'boolean' | 'null';

/** The part of JSON Schema that describes config.yaml. Every keyword named here is enforced by read-value.ts. */
export interface SettingSchema {
  readonly type?: SettingType | readonly SettingType[];
  readonly oneOf?: readonly SettingSchema[];
  readonly properties?: Readonly<Record<string, SettingSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: SettingSchema;
  readonly propertyNames?: { readonly format: SettingFormat };
  readonly items?: SettingSchema;
  readonly minItems?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly enum?: readonly (string | boolean)[];
  readonly format?: SettingFormat;
  /** Used when the key is absent or null. An object with properties says `{}` and gets the defaults of its properties. */
  readonly default?: unknown;
  /** For docs/configuration.md: one or two sentences with the unit. */
  readonly description?: string;
  /** Replaces the generated text after "expected" in an error. */
  readonly expected?: string;
  /** The value is a credential: no message may show it. */
  readonly secret?: boolean;
}

interface Format {
  /** Completes "expected …". */
  readonly expected: string;
  readonly accepts: (value: string | number) => boolean;
}

/** What a scalar may look like beyond its type. */
const settingFormats: Readonly<Record<SettingFormat, Format>> = {
  size: { expected: 'a size such as 10m', accepts: (value) => parseSize(value) !== null },
  time: { expected: 'a time such as 60s', accepts: (value) => parseTime(value) !== null },
  ip: { expected: 'an IP address such as 0.0.0.0 or ::', accepts: (value) => isIP(String(value)) !== 0 },
  cidr: { expected: 'an IP address or a range such as 10.0.0.0/8', accepts: isCidr },
  'real-ip-source': {
    expected: 'an IP address, a range such as 10.0.0.0/8, or unix:',
    accepts: (value) => value === 'unix:' || isCidr(value),
  },
  'host-port': {
    expected: 'host:port such as api.openai.com:443',
    accepts: (value) => parseHostPort(String(value)) !== null,
  },
  'etcd-url': {
    expected: 'the URL of an etcd member such as http://127.0.0.1:2379, without a path or a user',
    accepts: (value) => isPlainUrl(String(value)),
  },
  'etcd-prefix': {
    expected: 'a prefix such as /apisix',
    accepts: (value) => /^\/[^\s]*[^\s/]$/.test(String(value)),
  },
  path: {
    expected: 'a path such as /metrics',
    accepts: (value) => /^\/[\x21-\x22\x24-\x3e\x40-\x7e]*$/.test(String(value)),
  },
  'metric-prefix': {
    expected: 'the beginning of a name such as apisix_',
    accepts: (value) => /^([a-zA-Z_:][\w:]*)?$/.test(String(value)),
  },
  'label-name': {
    expected: 'the name of a label such as upstream_addr (le is that of the buckets)',
    accepts: (value) => /^(?!__|le$)[a-zA-Z_]\w*$/.test(String(value)),
  },
  'aes-key': {
    expected: 'a key of 16 or 32 bytes',
    accepts: (value) => [16, 32].includes(Buffer.byteLength(String(value))),
  },
};

/** Whether a scalar has the format. Formats are for strings and integers only. */
export function formatAccepts(format: SettingFormat, value: unknown): boolean {
  return (typeof value === 'string' || typeof value === 'number') && settingFormats[format].accepts(value);
}

type SettingFormat =
  | 'size'
  | 'time'
  | 'ip'
  | 'cidr'
  | 'real-ip-source'
  | 'host-port'
  | 'etcd-url'
  | 'etcd-prefix'
  | 'path'
  | 'metric-prefix'
  | 'label-name'
  | 'aes-key';

/** Completes "expected …" for a value of this schema. */
export function describeExpected(schema: SettingSchema): string {
  if (schema.expected !== undefined) return schema.expected;
  if (schema.oneOf) return [...new Set(schema.oneOf.map(describeExpected))].join(' or ');
  if (schema.enum) return schema.enum.length === 1 ? String(schema.enum[0]) : `one of ${schema.enum.join(', ')}`;
  if (schema.format) return settingFormats[schema.format].expected;
  return typesOf(schema)
    .filter((type) => type !== 'null')
    .map((type) => describeType(type, schema))
    .join(' or ');
}

/** The types that a schema allows; a schema with oneOf allows those of its branches. */
export function typesOf(schema: SettingSchema): readonly SettingType[] {
  if (schema.oneOf) return schema.oneOf.flatMap(typesOf);
  if (schema.type === undefined) return [];
  return typeof schema.type === 'string' ? [schema.type] : schema.type;
}

function describeType(type: SettingType, schema: SettingSchema): string {
  switch (type) {
    case 'object':
      return schema.required ? `a mapping with ${schema.required.join(' and ')}` : 'a mapping (key: value)';
    case 'array':
      return schema.minItems ? 'a list with at least one item' : 'a list';
    case 'integer':
      if (schema.maximum !== undefined) return `an integer from ${schema.minimum ?? 0} to ${schema.maximum}`;
      return `an integer of at least ${schema.minimum ?? 0}`;
    case 'boolean':
      return 'true or false';
    case 'string':
      return schema.minLength ? 'a string that is not empty' : 'a string';
    case 'null':
      return 'null';
  }
}

function isCidr(value: string | number): boolean {
  try {
    compileIpMatcher([String(value)]);
    return true;
  } catch {
    return false;
  }
}

function isPlainUrl(value: string): boolean {
  const url = URL.parse(value);
  if (url === null || !/^https?:$/.test(url.protocol)) return false;
  return url.pathname === '/' && url.search === '' && url.username === '' && url.password === '';
}
