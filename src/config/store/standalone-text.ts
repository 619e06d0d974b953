import { parseDocument } from 'yaml';
import { checkJsonShape } from '../../schema/json-shape.ts';

type Document = Readonly<Record<string, unknown>>;

/** A text that holds no configuration, with a sentence that says why; it never quotes the text, which holds credentials. */
export class DocumentError extends Error {}

/**
 * Of a YAML document, in bytes of memory, about: a few lines of aliases to aliases ("a billion laughs") would fill it.
 * 10,000 routes of AI plugins are some 20 MB.
 */
const maxWrittenOutSize = 128 * 1024 * 1024;
const bytesPerObject = 64;
const bytesPerScalar = 8;

/**
 * Parses a configuration that is written as a whole.
 *
 * @throws DocumentError
 */
export function parseDocumentText(text: string, format: 'yaml' | 'json'): Document {
  const value = format === 'yaml' ? parseYaml(text) : parseJson(text);
  const shape = checkJsonShape(value);
  if (shape !== null) throw new DocumentError(shape);
  if (value === null) return {};
  if (isDocument(value)) return value;
  throw new DocumentError('expected a mapping of lists, such as "routes: [...]"');
}

/**
 * Puts environment variables in the place of `${{NAME}}` and `${{NAME:=default}}`, before anything is parsed. Comments of
 * a whole line are left alone.
 *
 * @throws DocumentError when a variable is not set and has no default.
 */
export function substituteInText(text: string, environment: Readonly<Record<string, string | undefined>>): string {
  return text.replaceAll(commentOrReference, (match, name: string | undefined, fallback: string | undefined) => {
    if (name === undefined) return match;
    const value = environment[name] ?? fallback;
    if (value !== undefined) return value;
    throw new DocumentError(`the environment variable ${name} is not set, and has no default: \${{${name}:=default}}`);
  });
}

const commentOrReference = /^[ \t]*#.*$|\$\{\{\s*(\w+)\s*(?::=\s*(.*?)\s*)?\}\}/gm;

/** Whether the text ends as a file that was written to its end: with a line `#END`. */
export function hasEndLine(text: string): boolean {
  return /(?:^|\n)#END\s*$/.test(text);
}

function parseYaml(text: string): unknown {
  const document = parseDocument(text, { prettyErrors: false, stringKeys: true, merge: true, logLevel: 'error' });
  const error = document.errors[0];
  if (error !== undefined) {
    const line = text.slice(0, error.pos[0]).split('\n').length;
    throw new DocumentError(`line ${line}: invalid YAML (${error.code})`);
  }
  try {
    // Not the parser's own limit, which a hundred routes that share an anchor would reach.
    const value: unknown = document.toJS({ maxAliasCount: -1 });
    if (writtenOutSize(value, new Map()) > maxWrittenOutSize) {
      throw new Error('its aliases, written out, make it too large');
    }
    // As JSON would have it: no NaN, no undefined.
    return JSON.parse(JSON.stringify(value) ?? 'null');
  } catch (error) {
    throw new DocumentError(`invalid YAML: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/**
 * About how many bytes of memory a value takes with every alias replaced by what it stands for. Infinity: it contains itself.
 *
 * @param sizes - Of what was looked at already: an alias is the very object that it stands for.
 */
function writtenOutSize(value: unknown, sizes: Map<object, number>): number {
  if (typeof value === 'string') return bytesPerScalar + value.length;
  if (typeof value !== 'object' || value === null) return bytesPerScalar;
  const known = sizes.get(value);
  if (known !== undefined) return known;
  sizes.set(value, Number.POSITIVE_INFINITY);
  let size = bytesPerObject;
  for (const [key, item] of Object.entries(value)) size += key.length + writtenOutSize(item, sizes);
  sizes.set(value, size);
  return size;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // V8 quotes the text around the place.
    const position = /at position \d+(?: \(line \d+ column \d+\))?/.exec(error instanceof Error ? error.message : '');
    throw new DocumentError(`invalid JSON${position === null ? '' : ` ${position[0]}`}`);
  }
}

function isDocument(value: unknown): value is Document {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
