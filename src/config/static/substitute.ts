import { isMap, isPair, isScalar, isSeq, parse, type Scalar, visit } from 'yaml';
import { type ConfigPath, type ConfigSource, configError } from './config-source.ts';

/** Values of variables, as in `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Replaces `${{NAME}}` and `${{NAME:=default}}` in all keys and values of the document. A value that is wholly one
 * substitution becomes a number or a boolean when it reads as one in YAML.
 *
 * @returns The text behind each value that was re-typed, for settings that want the string after all.
 * @throws ConfigFileError when a variable without default is not set, or the form is wrong.
 */
export function substituteVariables(source: ConfigSource, environment: Environment): ReadonlyMap<Scalar, string> {
  const texts = new Map<Scalar, string>();
  visit(source.document, {
    Scalar(_, node, ancestors) {
      if (typeof node.value !== 'string' || !node.value.includes('${{')) return;
      const path = pathOf(ancestors, node);
      const isKey = ancestors.some((ancestor) => isPair(ancestor) && ancestor.key === node);
      const whole = wholeReference.test(node.value);
      const text = node.value.replaceAll(reference, (_match, name: string, fallback: string | undefined) => {
        const value = environment[name] ?? fallback;
        if (value !== undefined) return value;
        const expected = `the environment variable ${name} to be set, or a default: \${{${name}:=default}}`;
        throw configError(source, path, { expected, got: 'neither' });
      });
      if (malformed.test(node.value.replaceAll(reference, ''))) {
        throw configError(source, path, { expected: '${{NAME}} or ${{NAME:=default}}', got: 'another use of ${{' });
      }
      node.value = whole && !isKey ? retype(text) : text;
      if (node.value !== text) texts.set(node, text);
    },
  });
  return texts;
}

const reference = /\$\{\{\s*(\w+)\s*(?::=\s*(.*?)\s*)?\}\}/gs;
const wholeReference = /^\s*\$\{\{\s*\w+\s*(?::=((?!\}\}).)*)?\}\}\s*$/s;
const malformed = /\$\{\{/;

function retype(text: string): unknown {
  try {
    const value: unknown = parse(text);
    return typeof value === 'number' || typeof value === 'boolean' ? value : text;
  } catch {
    return text;
  }
}

/** The keys and list positions that lead to a node that `visit` is at. */
function pathOf(ancestors: readonly unknown[], node: unknown): ConfigPath {
  const chain = [...ancestors, node];
  return chain.flatMap((ancestor, depth) => {
    const next = chain[depth + 1];
    if (isSeq(ancestor)) return ancestor.items.indexOf(next);
    if (isMap(ancestor) && isPair(next)) return isScalar(next.key) ? String(next.key.value) : [];
    return [];
  });
}
