import { isDeepStrictEqual } from 'node:util';
import { isJsonObject, type JsonObject } from './json.ts';
import type { ProtocolName } from './protocols/protocol.ts';
import type { Provider } from './providers/define-provider.ts';

/** What the configuration does to every body. */
export interface BodyRules {
  /** Members that overwrite the client's (`options`). */
  readonly options: JsonObject;
  /** `model` is not sent. */
  readonly removesModel: boolean;
  /** What is done besides, by the protocol that the provider is spoken to in; mostly nothing. */
  readonly byProtocol?: Readonly<Partial<Record<ProtocolName, ProtocolBodyRules>>>;
}

/** What the configuration does to the bodies of one protocol. */
interface ProtocolBodyRules {
  /** `override.llm_options.max_tokens`, where this provider expects it; null: not configured, or no such member. */
  readonly maxTokens: MaxTokensRule | null;
  /** `override.request_body`; null: not configured. */
  readonly requestBody: JsonObject | null;
  /** `override.request_body_force_override`: `requestBody` wins over what is there. */
  readonly force: boolean;
  /** Members that are not sent. */
  readonly removes: readonly string[];
}

interface MaxTokensRule {
  /** Members to go through; the last one holds the limit. */
  readonly path: readonly string[];
  readonly limit: number;
  /** Another name of that member, taken out. */
  readonly replaces: readonly string[];
}

interface BodyRulesSource {
  readonly provider: Provider;
  readonly options?: JsonObject | undefined;
  readonly override?:
    | {
        readonly llm_options?: { readonly max_tokens?: number };
        readonly request_body?: Readonly<Partial<Record<ProtocolName, JsonObject>>>;
        readonly request_body_force_override?: boolean;
      }
    | undefined;
}

/** Does, once, what no request changes: finds out where this provider wants what the configuration says. */
export function compileBodyRules(source: BodyRulesSource): BodyRules {
  const { provider, options = {}, override = {} } = source;
  const requestBodies = override.request_body ?? {};
  const byProtocol: Partial<Record<ProtocolName, ProtocolBodyRules>> = {};
  const names = [...Object.keys(provider.protocols), ...Object.keys(requestBodies)] as ProtocolName[];
  for (const name of names) {
    const maxTokens = maxTokensRule(provider, name, override.llm_options?.max_tokens);
    const requestBody = requestBodies[name] ?? null;
    const removes = provider.protocols[name]?.removes ?? [];
    if (maxTokens === null && requestBody === null && removes.length === 0) continue;
    byProtocol[name] = { maxTokens, requestBody, force: override.request_body_force_override === true, removes };
  }
  const isEmpty = Object.keys(byProtocol).length === 0;
  return { options, removesModel: provider.removesModel, ...(!isEmpty && { byProtocol }) };
}

function maxTokensRule(provider: Provider, name: ProtocolName, limit: number | undefined): MaxTokensRule | null {
  const { maxTokensField, maxTokensReplaces } = provider.protocols[name] ?? {};
  if (limit === undefined || maxTokensField === undefined) return null;
  return {
    path: maxTokensField.split('.'),
    limit,
    replaces: maxTokensReplaces === undefined ? [] : [maxTokensReplaces],
  };
}

/**
 * Puts what is configured into a body: `options`, then the limit of tokens, then `override.request_body`.
 *
 * @returns The same object if it says all that already. An array is returned as it is.
 */
export function applyBodyRules(
  body: JsonObject,
  options: JsonObject,
  rules: ProtocolBodyRules | undefined,
): JsonObject {
  if (Array.isArray(body)) return body;
  const overlaid = overlay(body, options);
  if (rules === undefined) return overlaid;
  const { maxTokens, requestBody, force } = rules;
  const limited =
    maxTokens === null
      ? overlaid
      : withoutMembers(setMember(overlaid, maxTokens.path, maxTokens.limit), maxTokens.replaces);
  return requestBody === null ? limited : merge(limited, requestBody, force);
}

/** The body without some members; the same object if it has none of them. */
export function withoutMembers(body: JsonObject, names: readonly string[]): JsonObject {
  if (!names.some((name) => Object.hasOwn(body, name))) return body;
  return Object.fromEntries(Object.entries(body).filter(([name]) => !names.includes(name)));
}

/** `body` with the members of `options`; the same object if it has them all already. */
function overlay(body: JsonObject, options: JsonObject): JsonObject {
  for (const key in options) {
    if (!isSame(body, options, key)) return { ...body, ...options };
  }
  return body;
}

function isSame(body: JsonObject, options: JsonObject, key: string): boolean {
  if (!Object.hasOwn(body, key)) return false;
  const mine = options[key];
  const theirs = body[key];
  return mine === theirs || (typeof mine === 'object' && isDeepStrictEqual(mine, theirs));
}

/** `body` with a value behind `path`; what is no object on the way there is replaced by one. */
function setMember(body: JsonObject, path: readonly string[], value: unknown): JsonObject {
  const [name = '', ...rest] = path;
  const current = Object.hasOwn(body, name) ? body[name] : undefined;
  const next = rest.length === 0 ? value : setMember(isMergeable(current) ? current : {}, rest, value);
  return next === current ? body : { ...body, [name]: next };
}

/**
 * Merges objects into objects, at every depth; arrays and plain values are whole.
 *
 * @param force - Where both have a value, that of `added` wins; otherwise only missing members are filled.
 * @returns The same object if nothing changes.
 */
function merge(body: JsonObject, added: JsonObject, force: boolean): JsonObject {
  const changes: [string, unknown][] = [];
  for (const [key, mine] of Object.entries(added)) {
    if (!Object.hasOwn(body, key)) {
      changes.push([key, mine]);
      continue;
    }
    const theirs = body[key];
    const bothObjects = isMergeable(mine) && isMergeable(theirs);
    if (!bothObjects && (!force || isSame(body, added, key))) continue;
    const merged = bothObjects ? merge(theirs, mine, force) : mine;
    if (merged !== theirs) changes.push([key, merged]);
  }
  // Not by assignment: that would take a member named `__proto__` for the prototype.
  return changes.length === 0 ? body : { ...body, ...Object.fromEntries(changes) };
}

/** An object of JSON. A number kept as text by `parseJson` is an object for JavaScript, not for JSON. */
function isMergeable(value: unknown): value is JsonObject {
  return isJsonObject(value) && !JSON.isRawJSON(value);
}
