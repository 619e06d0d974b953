import { randomBytes, randomUUID } from 'node:crypto';
import {
  chownSync,
  closeSync,
  fchmodSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { type Document, isMap, isScalar, isSeq, parseDocument, Scalar } from 'yaml';
import { makeFolder } from '../../base/make-folder.ts';
import { ConfigFileError } from './config-source.ts';
import type { GatewayConfig } from './gateway-config.ts';
import { servesAdmin } from './role.ts';

export interface EnsuredAdminKey {
  /** The configuration with the key filled in. */
  readonly config: GatewayConfig;
  /** The key that was made now and the file that holds it; null when there was one already or none is needed. */
  readonly generated: { readonly key: string; readonly file: string } | null;
  /** Why the key is not in the configuration file, or null. Contains no key. */
  readonly warning: string | null;
}

const keyPath = ['deployment', 'admin', 'admin_key', 0, 'key'] as const;

/**
 * Sees to it that the Admin API has a key: where that of the first entry of `deployment.admin.admin_key` is empty, one is
 * generated and written into the configuration file, which keeps its comments, layout and mode. If the file cannot be
 * written, the key is kept in `<prefix>/data/admin.key` (mode 0600) and found there at the next start.
 *
 * Call it once a start, when no second gateway can run on the same prefix (the store is open).
 *
 * @throws ConfigFileError when the key can be stored nowhere.
 */
export function ensureAdminKey(options: {
  readonly file: string;
  readonly prefix: string;
  readonly config: GatewayConfig;
}): EnsuredAdminKey {
  const { file, prefix, config } = options;
  const { admin_key, admin_key_required } = config.deployment.admin;
  if (!servesAdmin(config) || !admin_key_required || (admin_key[0] && admin_key[0].key !== '')) {
    return { config, generated: null, warning: null };
  }
  const keyFile = join(prefix, 'data', 'admin.key');
  const kept = readKeyFile(keyFile);
  if (kept !== null) return { config: withKey(config, kept), generated: null, warning: null };

  const key = randomBytes(16).toString('hex');
  try {
    replaceFile(realpathSync(file), (text) => insertKey(text, key));
    return { config: withKey(config, key), generated: { key, file }, warning: null };
  } catch (error) {
    writeKeyFile(keyFile, key);
    const warning = `the generated admin key could not be written into ${file} (${reasonOf(error)}), it is in ${keyFile}`;
    return { config: withKey(config, key), generated: { key, file: keyFile }, warning };
  }
}

function withKey(config: GatewayConfig, key: string): GatewayConfig {
  const { admin } = config.deployment;
  const [first = { name: 'admin', key, role: 'admin' as const }, ...others] = admin.admin_key;
  const admin_key = [{ ...first, key }, ...others];
  return { ...config, deployment: { ...config.deployment, admin: { ...admin, admin_key } } };
}

/** Puts the key at its place: into the empty scalar that stands there, else by adding what is missing of the structure. */
function insertKey(text: string, key: string): string {
  const document = parseDocument(text);
  const node = document.getIn(keyPath, true);
  const isEmpty = isScalar(node) && (node.value === '' || node.value === null);
  if (node !== undefined && !isEmpty) throw new Error('the key stands there as a substitution or an alias');

  const spliced = isEmpty && node.range ? splice(text, node.range, `'${key}'`) : null;
  if (spliced !== null && holdsKey(spliced, key)) return spliced;
  addKey(document, key);
  const rewritten = document.toString({ lineWidth: 0 });
  if (!holdsKey(rewritten, key)) throw new Error('its deployment.admin.admin_key has a form that cannot be edited');
  return rewritten;
}

function splice(text: string, [start, end]: readonly [number, number, number], quoted: string): string {
  const before = /\s/.test(text[start - 1] ?? ' ') ? '' : ' ';
  const after = text[end] === '#' ? ' ' : '';
  return text.slice(0, start) + before + quoted + after + text.slice(end);
}

function addKey(document: Document, key: string): void {
  for (const parent of [keyPath.slice(0, 1), keyPath.slice(0, 2)]) {
    if (document.getIn(parent) === null) document.deleteIn(parent);
  }
  const list = document.getIn(keyPath.slice(0, 3), true);
  const value = new Scalar(key);
  // Quoted: digits with one "e" among them would read as a number.
  value.type = Scalar.QUOTE_SINGLE;
  if (isSeq(list) && isMap(list.items[0])) document.setIn(keyPath, value);
  else document.setIn(keyPath.slice(0, 3), document.createNode([{ name: 'admin', key: value, role: 'admin' }]));
}

function holdsKey(text: string, key: string): boolean {
  const document = parseDocument(text);
  return document.errors.length === 0 && document.getIn(keyPath) === key;
}

/** Replaces the content in one step: whoever reads the file sees the old text or the new one, also after a crash. */
function replaceFile(file: string, edit: (text: string) => string): void {
  const { mode, uid, gid } = statSync(file);
  const draft = join(dirname(file), `.${randomUUID()}.new`);
  try {
    const descriptor = openSync(draft, 'wx', mode & 0o777);
    try {
      writeFileSync(descriptor, edit(readFileSync(file, 'utf8')));
      // Not left to open(): the umask would take bits away.
      fchmodSync(descriptor, mode & 0o777);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    chownSync(draft, uid, gid);
    renameSync(draft, file);
  } finally {
    rmSync(draft, { force: true });
  }
}

function readKeyFile(file: string): string | null {
  try {
    return readFileSync(file, 'utf8').trim() || null;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw keyFileError(file, `the admin key cannot be read: ${reasonOf(error)}`, error);
  }
}

function writeKeyFile(file: string, key: string): void {
  try {
    makeFolder(dirname(file), 0o700);
    writeFileSync(file, `${key}\n`, { mode: 0o600, flush: true });
  } catch (error) {
    throw keyFileError(file, `the generated admin key cannot be stored: ${reasonOf(error)}`, error);
  }
}

function keyFileError(file: string, sentence: string, cause: unknown): ConfigFileError {
  const expected = 'a key in deployment.admin.admin_key, or a place to store one';
  const problem = { file, line: null, column: null, key: null, expected };
  return new ConfigFileError(problem, `${sentence}; set deployment.admin.admin_key yourself`, { cause });
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
