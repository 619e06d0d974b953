import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { type Document, isMap, isNode, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';

/** Where a value stands in the file: keys and list positions from the top. */
export type ConfigPath = readonly (string | number)[];

/** conf/config.yaml as it was read, with positions. */
export interface ConfigSource {
  /** The path as the caller wrote it; messages name it. */
  readonly file: string;
  readonly text: string;
  readonly document: Document;
  readonly lines: LineCounter;
}

/** What to tell beside an error of {@link ConfigFileError}. */
interface ConfigFileProblem {
  readonly file: string;
  /** Counted from 1; null when the file could not be read. */
  readonly line: number | null;
  readonly column: number | null;
  /** Dotted, e.g. `nginx_config.http.send_timeout`; null when the problem is not one of a key. */
  readonly key: string | null;
  /** What would have been right, e.g. `a size such as 10m`. */
  readonly expected: string;
}

/** conf/config.yaml cannot be used. The message names file, line, column, key and what was expected; it shows no credential. */
export class ConfigFileError extends Error implements ConfigFileProblem {
  readonly file: string;
  readonly line: number | null;
  readonly column: number | null;
  readonly key: string | null;
  readonly expected: string;

  constructor(problem: ConfigFileProblem, sentence: string, options?: ErrorOptions) {
    const place = problem.line === null ? problem.file : `${problem.file}:${problem.line}:${problem.column}`;
    super(`${place}: ${problem.key === null ? '' : `${problem.key}: `}${sentence}`, options);
    this.name = 'ConfigFileError';
    this.file = problem.file;
    this.line = problem.line;
    this.column = problem.column;
    this.key = problem.key;
    this.expected = problem.expected;
  }
}

/** Reads and parses the file. @throws ConfigFileError when it cannot be read or is not YAML. */
export function readConfigSource(file: string): ConfigSource {
  return parseConfigSource(file, readText(file));
}

/** @param file - Only named in messages. @throws ConfigFileError when the text is not one YAML mapping. */
export function parseConfigSource(file: string, text: string): ConfigSource {
  const lines = new LineCounter();
  // Pretty errors would quote the line, and with it perhaps a key of the Admin API.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true });
  const error = document.errors[0];
  if (error) {
    const { line, col } = lines.linePos(error.pos[0]);
    const duplicate = error.code === 'DUPLICATE_KEY';
    const expected = duplicate ? 'each key once' : 'YAML';
    const sentence = duplicate ? 'this key is there twice: expected each key once' : `invalid YAML: ${error.message}`;
    throw new ConfigFileError({ file, line, column: col, key: null, expected }, sentence);
  }
  const source = { file, text, document, lines };
  const { contents } = document;
  if (contents !== null && !isMap(contents) && !(isScalar(contents) && contents.value === null)) {
    throw configError(source, [], { expected: 'a mapping (key: value)', got: isSeq(contents) ? 'a list' : 'a scalar' });
  }
  return source;
}

/** An error at a place of the file. When nothing stands there, the position is that of the nearest parent. */
export function configError(
  source: ConfigSource,
  path: ConfigPath,
  problem: { readonly expected: string; readonly got: string },
): ConfigFileError {
  const { line, column } = positionOf(source, path);
  const key = path.length === 0 ? null : formatPath(path);
  const { expected, got } = problem;
  return new ConfigFileError({ file: source.file, line, column, key, expected }, `expected ${expected}, got ${got}`);
}

/** `['a', 'b', 0, 'c']` -> `a.b[0].c`. */
export function formatPath(path: ConfigPath): string {
  return path.reduce<string>((text, step) => {
    if (typeof step === 'number') return `${text}[${step}]`;
    return text === '' ? step : `${text}.${step}`;
  }, '');
}

/** Line and column, both from 1, of the value at `path` or of its nearest parent that is in the file. */
export function positionOf(source: ConfigSource, path: ConfigPath): { line: number; column: number } {
  for (let length = path.length; length > 0; length--) {
    const node = source.document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return toPosition(source, node.range[0]);
  }
  return { line: 1, column: 1 };
}

/** Line and column of the last key of `path`, which is in the file. */
export function positionOfKey(source: ConfigSource, path: ConfigPath): { line: number; column: number } {
  const parent = path.length === 1 ? source.document.contents : source.document.getIn(path.slice(0, -1), true);
  const pair = isMap(parent) ? parent.items.find(({ key }) => isScalar(key) && key.value === path.at(-1)) : undefined;
  if (pair && isScalar(pair.key) && pair.key.range) return toPosition(source, pair.key.range[0]);
  return positionOf(source, path);
}

function toPosition({ lines }: ConfigSource, offset: number): { line: number; column: number } {
  const { line, col } = lines.linePos(offset);
  return { line, column: col };
}

function readText(file: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    const sentence = missing
      ? 'there is no such file. Create it (an empty file means all defaults; the package of Weir brings a commented conf/config.default.yaml) or name another with -c'
      : `the file cannot be read: ${error instanceof Error ? error.message : String(error)}`;
    const problem = { file, line: null, column: null, key: null, expected: 'a readable file' };
    throw new ConfigFileError(problem, sentence, { cause: error });
  }
  if (isUtf8(bytes)) return bytes.toString();
  const problem = { file, line: null, column: null, key: null, expected: 'text in UTF-8' };
  throw new ConfigFileError(problem, 'expected text in UTF-8, got other bytes');
}
