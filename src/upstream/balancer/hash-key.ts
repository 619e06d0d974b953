import type { Log } from '../../base/log.ts';
import type { RequestView } from '../../router/request-view.ts';
import { compileTemplate } from '../../router/template.ts';
import { compileVariable } from '../../router/variables.ts';

/** What a request is recognized by: the fields of APISIX's `balancer`. */
export interface HashKeyConf {
  readonly hash_on: 'vars' | 'header' | 'cookie' | 'consumer' | 'vars_combinations';
  /** The name of a variable (without `$`), a header or a cookie; a text with variables; nothing for a consumer. */
  readonly key?: string;
}

interface HashKeyParts {
  /** Told once that a request had no key. */
  readonly log: Log;
}

/** @returns Null when the request has no such thing. */
type KeyReader = (view: RequestView) => string | null;

/** Compiles how the key of a request is found. A request without one is recognized by the address of its client. */
export function compileHashKey(conf: HashKeyConf, { log }: HashKeyParts): (view: RequestView) => string {
  const read = compileReader(conf);
  let isReported = false;
  return (view) => {
    const key = read(view);
    if (key !== null) return key;
    if (!isReported) {
      isReported = true;
      log.warn('a request has no key to be balanced by: it, and others like it, are balanced by remote_addr', {
        hash_on: conf.hash_on,
        key: conf.key,
      });
    }
    return view.remoteAddress;
  };
}

function compileReader({ hash_on, key = '' }: HashKeyConf): KeyReader {
  switch (hash_on) {
    case 'vars':
      return compileVariableReader(key);
    case 'header':
      return compileVariableReader(`http_${key}`);
    case 'cookie':
      return compileVariableReader(`cookie_${key}`);
    case 'consumer':
      return compileVariableReader('consumer_name');
    case 'vars_combinations':
      return compileCombination(key);
  }
}

function compileVariableReader(name: string): KeyReader {
  const get = compileVariable(name);
  if (get === null) return () => null;
  return (view) => {
    const value = get(view);
    // An empty value says as little about a client as none, and would send all of them to one candidate.
    return value === undefined || value === '' || typeof value === 'object' ? null : String(value);
  };
}

function compileCombination(text: string): KeyReader {
  const template = compileTemplate(text);
  return (view) => {
    const { text: key, resolvedCount } = template.resolve(view);
    return resolvedCount === 0 ? null : key;
  };
}
