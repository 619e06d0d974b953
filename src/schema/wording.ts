import type { ErrorObject } from 'ajv';
import type { JsonSchema } from './infer.ts';

/**
 * The keywords in the order in which APISIX's validator (api7/jsonschema) looks at one value. It stops at the first
 * failure, Ajv reports all of them; this order decides which one is told. A missing required property counts at the
 * place of that property among `properties`, which go in schema order (in Lua the order of a table is undefined).
 */
const keywordOrder = [
  'false schema',
  'type',
  'properties',
  'required',
  'dependencies',
  'patternProperties',
  'additionalProperties',
  'minProperties',
  'maxProperties',
  'minItems',
  'maxItems',
  'items',
  'additionalItems',
  'uniqueItems',
  'minLength',
  'maxLength',
  'pattern',
  'minimum',
  'exclusiveMinimum',
  'maximum',
  'exclusiveMaximum',
  'multipleOf',
  'enum',
  'allOf',
  'anyOf',
  'oneOf',
  'not',
  'if',
  'format',
  'const',
  'contains',
];

/** Fields whose text may be a credential. Their values are never repeated in an error. */
const secretName = /auth|secret|token|passw|credential|private|cookie|api[-_]?key|^key$/i;

interface Failure {
  readonly error: ErrorObject;
  /** The sentence so far: `property "x" validation failed: ` for each step down. */
  readonly prefix: string;
  /** Where in the order of the validator the failure lies; compared number by number. */
  readonly rank: readonly number[];
  /** The schema object that holds the keyword that failed. */
  readonly node: JsonSchema;
}

/**
 * Words the failure that APISIX's validator would have stopped at.
 *
 * @param errors - All errors of Ajv (`allErrors`, `verbose`), at least one.
 * @see https://github.com/api7/jsonschema
 */
export function describeErrors(schema: JsonSchema, errors: readonly ErrorObject[]): string {
  const failures = errors.map((error) => locate(schema, error)).filter((failure) => failure !== null);
  const first = failures.sort((a, b) => compareRanks(a.rank, b.rank))[0];
  return first === undefined ? 'does not match the schema' : first.prefix + sentence(first);
}

/**
 * Follows Ajv's schema path (`#/properties/auth/allOf/0/required`) from the root.
 *
 * @returns `null` for errors inside `anyOf`, `oneOf`, `not`, `if`, `then`, `else` and `contains`: APISIX reports only
 * that keyword itself.
 */
function locate(root: JsonSchema, error: ErrorObject): Failure | null {
  const steps = error.schemaPath.split('/').slice(1, -1).map(decodeStep);
  const names = instanceNames(error);
  const rank: number[] = [];
  let node = root;
  let prefix = '';
  for (let at = 0; at < steps.length; at++) {
    const keyword = steps[at] ?? '';
    rank.push(keywordOrder.indexOf(keyword));
    node = child(node, keyword);
    switch (keyword) {
      case 'properties': {
        const name = steps[++at] ?? '';
        rank.push(Object.keys(node).indexOf(name));
        node = child(node, name);
        names.shift();
        prefix += `property ${quote(name)} validation failed: `;
        break;
      }
      case 'patternProperties': {
        const pattern = steps[++at] ?? '';
        node = child(node, pattern);
        prefix += `failed to validate ${names.shift()} (matching ${quote(pattern)}): `;
        break;
      }
      case 'additionalProperties':
        prefix += `failed to validate additional property ${names.shift()}: `;
        break;
      case 'items': {
        const index = Number(names.shift());
        rank.push(index);
        if (Array.isArray(node)) node = child(node, steps[++at] ?? '');
        prefix += `failed to validate item ${index + 1}: `;
        break;
      }
      case 'allOf': {
        const index = Number(steps[++at]);
        rank.push(index);
        node = child(node, String(index));
        prefix += `allOf ${index + 1} failed: `;
        break;
      }
      case 'dependencies': {
        const name = steps[++at] ?? '';
        node = child(node, name);
        prefix += `failed to validate dependent schema for ${quote(name)}: `;
        break;
      }
      default:
        return null;
    }
  }
  return { error, prefix, rank: [...rank, ...keywordRank(node, error)], node };
}

function keywordRank(node: JsonSchema, error: ErrorObject): number[] {
  if (error.keyword === 'required') {
    const place = Object.keys(child(node, 'properties')).indexOf(String(error.params['missingProperty']));
    if (place >= 0) return [keywordOrder.indexOf('properties'), place];
  }
  return [keywordOrder.indexOf(error.keyword)];
}

function sentence({ error, node }: Failure): string {
  const limit = String(error.schema);
  switch (error.keyword) {
    case 'false schema':
      return 'expect false always';
    case 'type':
      return `wrong type: expected ${expectedType(error.schema)}, got ${luaType(error.data)}`;
    case 'required':
      return `property ${quote(error.params['missingProperty'])} is required`;
    case 'dependencies':
      return `property ${quote(error.params['missingProperty'])} is required when ${quote(error.params['property'])} is set`;
    case 'additionalProperties':
      return `additional properties forbidden, found ${error.params['additionalProperty']}`;
    case 'minProperties':
      return `expect object to have at least ${limit} properties`;
    case 'maxProperties':
      return `expect object to have at most ${limit} properties`;
    case 'minItems':
      return `expect array to have at least ${limit} items`;
    case 'maxItems':
      return `expect array to have at most ${limit} items`;
    case 'additionalItems':
      return 'found unexpected extra items in array';
    case 'uniqueItems': {
      const pair = [Number(error.params['i']), Number(error.params['j'])].sort((a, b) => a - b);
      return `expected unique items but items ${pair.map((index) => index + 1).join(' and ')} are equal`;
    }
    case 'minLength':
      return `string too short, expected at least ${limit}, got ${characters(error.data)}`;
    case 'maxLength':
      return `string too long, expected at most ${limit}, got ${characters(error.data)}`;
    case 'pattern':
      return `failed to match pattern ${quote(limit)} with ${quote(shown(error))}`;
    case 'minimum':
      return `expected ${String(error.data)} to be at least ${limit}`;
    case 'exclusiveMinimum':
      return `expected ${String(error.data)} to be greater than ${limit}`;
    case 'maximum':
      return `expected ${String(error.data)} to be at most ${limit}`;
    case 'exclusiveMaximum':
      return `expected ${String(error.data)} to be smaller than ${limit}`;
    case 'multipleOf':
      return `expected ${String(error.data)} to be a multiple of ${limit}`;
    case 'enum':
      return 'matches none of the enum values';
    case 'anyOf':
      return `object matches none of the required${requiredLists(node['anyOf'])}`;
    case 'oneOf': {
      const both: unknown = error.params['passingSchemas'];
      const which = Array.isArray(both)
        ? `both schemas ${both.map((index) => Number(index) + 1).join(' and ')}`
        : 'none';
      return `value should match only one schema, but matches ${which}`;
    }
    case 'not':
      return "value wasn't supposed to match schema";
    case 'if':
      return `${error.params['failingKeyword']} clause did not match`;
    case 'format':
      return `expect valid ${limit} address but got: ${shown(error)}`;
    case 'const':
      return 'failed to check const value';
    case 'contains':
      return 'failed to check contains';
    default:
      return error.message ?? `does not satisfy ${quote(error.keyword)}`;
  }
}

/** The text that failed, or a mask where it may be a credential. */
function shown(error: ErrorObject): string {
  return instanceNames(error).some((name) => secretName.test(name)) ? '***' : String(error.data);
}

function requiredLists(branches: unknown): string {
  const lists = Array.isArray(branches)
    ? branches.map((branch: JsonSchema) => branch['required']).filter((list) => list !== undefined)
    : [];
  return lists.length === 0 ? '' : `: ${lists.map((list) => JSON.stringify(list)).join(' or ')}`;
}

function expectedType(type: unknown): string {
  return Array.isArray(type) ? `one of ${type.join(', ')}` : String(type);
}

/** The type names of Lua, which APISIX's users know from its messages. */
function luaType(value: unknown): string {
  if (value === null || value === undefined) return 'nil';
  return typeof value === 'object' ? 'table' : typeof value;
}

/** Length in code points, as JSON Schema counts. */
function characters(text: unknown): number {
  return Array.from(String(text)).length;
}

function quote(text: unknown): string {
  return JSON.stringify(String(text));
}

function instanceNames(error: ErrorObject): string[] {
  return error.instancePath.split('/').slice(1).map(unescapePointer);
}

/** Ajv writes schema paths as URI fragments of JSON pointers. */
function decodeStep(step: string): string {
  return unescapePointer(decodeURIComponent(step));
}

function unescapePointer(step: string): string {
  return step.replaceAll('~1', '/').replaceAll('~0', '~');
}

function child(node: JsonSchema, key: string): JsonSchema {
  const value = node[key];
  return isNode(value) ? value : {};
}

function isNode(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null;
}

function compareRanks(a: readonly number[], b: readonly number[]): number {
  for (const [at, rank] of a.entries()) {
    const other = b[at];
    if (other === undefined) return 1;
    if (rank !== other) return rank - other;
  }
  return a.length - b.length;
}
