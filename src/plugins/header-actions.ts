import { addedField, withField, withoutField } from '../http/field-list.ts';
import { hopByHopNames } from '../llm/header-rules.ts';
import { checkHeader } from '../llm/request-headers.ts';
import type { RequestContext } from '../pipeline/context.ts';
import { compileTemplate } from '../router/template.ts';
import type { VariableValue } from '../router/variables.ts';

/** Changes a list of fields (name, value, …) for one request. */
export type HeaderActions = (fields: readonly string[], ctx: RequestContext) => readonly string[];

type FindVariable = (name: string) => ((ctx: RequestContext) => VariableValue) | null;

/** One configured field. */
interface ConfiguredField {
  readonly name: string;
  readonly value: unknown;
}

interface HeaderConfiguration {
  readonly add: readonly ConfiguredField[];
  readonly remove: readonly string[];
  readonly set: readonly ConfiguredField[];
}

/** Checks `headers` of a configuration. @returns Null, or what is wrong. */
export function checkHeaderActions(headers: object): string | null {
  if (hasVerbs(headers) && Object.keys(headers).some((name) => !verbs.has(name))) {
    return 'property "headers" validation failed: expected either add, set and remove, or names and values';
  }
  const { add, remove, set } = readConfiguration(headers);
  for (const { name, value } of [...add, ...set]) {
    const wrong = valuesOf(value)
      .map((each) => checkField(name, each))
      .find((found) => found !== null);
    if (wrong !== undefined) return wrong;
  }
  const unusable = remove.find((name) => checkHeader(name, '') !== null);
  return unusable === undefined ? null : `invalid header name in headers.remove: ${JSON.stringify(unusable)}`;
}

/** Where a message ends and what becomes of its connection, Weir says itself. */
const framingNames: ReadonlySet<string> = new Set([...hopByHopNames, 'content-length']);

/** Whether a field is Weir's own, so that no configuration can add or set it. */
export function isFramingField(name: string): boolean {
  return framingNames.has(name.toLowerCase());
}

/**
 * Compiles `headers` of a configuration: `{"add": {...}, "remove": [...], "set": {...}}`, done in this order, or the older
 * `{"name": "value"}`, which sets. What is set to an empty value is removed. Fields of the framing are left out.
 *
 * @param headers - Has passed {@link checkHeaderActions}.
 * @param find - Finds what reads a variable in a value.
 */
export function compileHeaderActions(headers: object, find: FindVariable): HeaderActions {
  const { add, remove, set } = readConfiguration(headers);
  const actions = [
    ...add
      .filter(isConfigurable)
      .flatMap(({ name, value }) => valuesOf(value).map((each) => adding(name, compileValue(each, find)))),
    ...remove.map(
      (name): HeaderActions =>
        (fields) =>
          withoutField(fields, name),
    ),
    ...set.filter(isConfigurable).map(({ name, value }) =>
      setting(
        name,
        valuesOf(value).map((each) => compileValue(each, find)),
      ),
    ),
  ];
  return (fields, ctx) => actions.reduce((changed, action) => action(changed, ctx), fields);
}

function isConfigurable({ name }: ConfiguredField): boolean {
  return !isFramingField(name);
}

/** Text as the value of a field: UTF-8, one character a byte, and nothing that would end the field. */
export function toFieldValue(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text)) return text;
  return Buffer.from(text, 'utf8')
    .toString('latin1')
    .replace(/[\x00-\x08\x0a-\x1f\x7f]/g, '');
}

const verbs: ReadonlySet<string> = new Set(['add', 'set', 'remove']);

function hasVerbs(headers: object): boolean {
  return Object.entries(headers).some(([name, value]) => verbs.has(name) && typeof value === 'object');
}

function readConfiguration(headers: object): HeaderConfiguration {
  if (!hasVerbs(headers)) return { add: [], remove: [], set: fieldsOf(headers) };
  const { add, remove, set } = headers as { readonly add?: unknown; readonly remove?: unknown; readonly set?: unknown };
  return { add: fieldsOf(add), remove: Array.isArray(remove) ? remove.map(String) : [], set: fieldsOf(set) };
}

/** Fields as `{"name": value}`, or `["name: value"]`. */
function fieldsOf(configured: unknown): readonly ConfiguredField[] {
  if (Array.isArray(configured)) return configured.map((line) => splitLine(String(line)));
  return Object.entries(configured ?? {}).map(([name, value]: [string, unknown]) => ({ name, value }));
}

function splitLine(line: string): ConfiguredField {
  const colon = line.indexOf(':');
  // Without a colon the name is refused, as is that of `: value`.
  return { name: line.slice(0, Math.max(0, colon)).trim(), value: line.slice(colon + 1).trim() };
}

function valuesOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [value];
}

function checkField(name: string, value: unknown): string | null {
  const text = typeof value === 'number' ? String(value) : value;
  const wrong = checkHeader(name, typeof text === 'string' ? toFieldValue(text) : text);
  if (wrong !== null) return `invalid header ${JSON.stringify(name)}: it ${wrong}`;
  if (typeof text === 'string' && /[\x00-\x08\x0a-\x1f\x7f]/.test(text)) {
    return `invalid header ${JSON.stringify(name)}: it must not hold line breaks or control characters`;
  }
  return null;
}

type ReadValue = (ctx: RequestContext) => string;

function compileValue(value: unknown, find: FindVariable): ReadValue {
  const template = compileTemplate(String(value), find);
  if (template.constant === null) return (ctx) => toFieldValue(template.resolve(ctx).text);
  const constant = toFieldValue(template.constant);
  return () => constant;
}

function adding(name: string, read: ReadValue): HeaderActions {
  const lowerCaseName = name.toLowerCase();
  return (fields, ctx) => addedField(fields, lowerCaseName, read(ctx));
}

function setting(name: string, values: readonly ReadValue[]): HeaderActions {
  const lowerCaseName = name.toLowerCase();
  return (fields, ctx) => {
    const texts = values.map((read) => read(ctx)).filter((text) => text !== '');
    const [first, ...others] = texts;
    if (first === undefined) return withoutField(fields, lowerCaseName);
    return others.reduce<readonly string[]>(
      (changed, text) => addedField(changed, lowerCaseName, text),
      withField(fields, lowerCaseName, first),
    );
  };
}
