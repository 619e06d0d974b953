import { isJsonContainer, type JsonObject } from '../../llm/json.ts';

/** Puts variables into a template; made once for each template. */
export type FillTemplate = (variables: JsonObject) => unknown;

const placeholder = /\{\{([^{}]*)\}\}/g;

/**
 * Compiles a template: JSON in whose strings `{{name}}` stands for a variable, `{{a.b}}` for a member of one.
 *
 * A variable is put into a string after the template was parsed, so whatever it says stays inside of that string. Strings
 * are put in as they are, other values as JSON, missing ones and null as nothing. What a variable says is not searched
 * for placeholders.
 *
 * @returns A function that throws RangeError for a variable that is nested too deeply to be written.
 */
export function compileTemplate(template: unknown): FillTemplate {
  if (typeof template === 'string') return compileText(template);
  if (Array.isArray(template)) {
    const items = template.map(compileTemplate);
    return (variables) => items.map((fill) => fill(variables));
  }
  if (!isJsonContainer(template)) return () => template;
  const members = Object.entries(template).map(([name, value]) => [name, compileTemplate(value)] as const);
  return (variables) => Object.fromEntries(members.map(([name, fill]) => [name, fill(variables)]));
}

function compileText(text: string): FillTemplate {
  // Text and names of variables by turns, text first.
  const parts = text.split(placeholder).map((part, index) => (index % 2 === 0 ? part : part.trim().split('.')));
  if (parts.length === 1) return () => text;
  return (variables) =>
    parts.map((part) => (typeof part === 'string' ? part : toText(valueAt(variables, part)))).join('');
}

function valueAt(variables: JsonObject, path: readonly string[]): unknown {
  let value: unknown = variables;
  for (const name of path) value = isJsonContainer(value) && Object.hasOwn(value, name) ? value[name] : undefined;
  return value;
}

function toText(value: unknown): string {
  if (typeof value === 'string') return value;
  return value === undefined || value === null ? '' : JSON.stringify(value);
}
