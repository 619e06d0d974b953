import { Document, isScalar, Scalar, visit } from 'yaml';
import { type DocumentItem, documentKeys } from './standalone-document.ts';

type Value = Readonly<Record<string, unknown>>;

/** Strings that every YAML parser reads as strings without quotes; YAML 1.1, which APISIX reads, has more words for true. */
const plainString = /^[A-Za-z_/][\w/.*:-]*$/;
const reservedWord = /^(?:y|yes|n|no|on|off|true|false|null|nan|inf)$/i;

/** Begins the name of a variable, which a gateway replaces in the text before it is parsed. */
const variableStart = '${{';

/**
 * Writes a configuration as a whole, in the form of conf/apisix.yaml (its last line is `#END`) or apisix.json: what
 * readDocument takes apart. Each kind keeps the order of its items. `create_time` and `update_time` are left out.
 */
export function formatDocument(items: readonly DocumentItem[], format: 'yaml' | 'json'): string {
  const document = toDocument(items);
  if (format === 'json') {
    return `${JSON.stringify(document, null, 2).replaceAll(variableStart, String.raw`\u0024{{`)}\n`;
  }
  if (items.length === 0) return '#END\n';
  const yaml = new Document(document, { aliasDuplicateObjects: false });
  visit(yaml, {
    Scalar(_, node) {
      if (isScalar(node) && typeof node.value === 'string' && needsQuotes(node.value)) node.type = Scalar.QUOTE_DOUBLE;
    },
  });
  return `${yaml.toString({ lineWidth: 0 }).replaceAll(variableStart, String.raw`\x24{{`)}#END\n`;
}

function toDocument(items: readonly DocumentItem[]): Value {
  const lists = new Map(documentKeys.map((key): [string, Value[]] => [key, []]));
  for (const { kind, id, value } of items) {
    const { id: _, create_time: _created, update_time: _updated, ...rest } = value;
    if (kind === 'credentials') lists.get('consumers')?.push({ id: id.replace('/', '/credentials/'), ...rest });
    else lists.get(kind)?.push(kind === 'consumers' ? rest : { id, ...rest });
  }
  return Object.fromEntries([...lists].filter(([, list]) => list.length > 0));
}

/** A text of several lines is a block, which is easier to read, unless something in it would be taken for a variable. */
function needsQuotes(text: string): boolean {
  if (text.includes(variableStart)) return true;
  return !text.includes('\n') && (!plainString.test(text) || reservedWord.test(text));
}
