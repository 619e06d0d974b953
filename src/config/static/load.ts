import { checkConfig } from './check-config.ts';
import { type ConfigPath, formatPath, positionOf, positionOfKey, readConfigSource } from './config-source.ts';
import { type GatewayConfig, gatewayConfigSchema } from './gateway-config.ts';
import { ignoredKeys } from './ignored-keys.ts';
import { nearestName } from '../../base/nearest-name.ts';
import { readValue } from './read-value.ts';
import type { SettingSchema } from './setting-schema.ts';
import { type Environment, substituteVariables } from './substitute.ts';

export { ConfigFileError } from './config-source.ts';

/** Something about the file that does not stop the gateway and belongs in its log. */
export interface ConfigNotice {
  readonly level: 'warn' | 'notice';
  /** Dotted key, or null when the notice is about several. */
  readonly key: string | null;
  /** Counted from 1, or null when the notice is about several keys. */
  readonly line: number | null;
  /** The whole sentence, with file, line, column and key. */
  readonly message: string;
}

export interface LoadedConfig {
  readonly config: GatewayConfig;
  readonly warnings: readonly ConfigNotice[];
}

/**
 * Reads conf/config.yaml in APISIX's layout: substitutes variables, checks every value and fills defaults. Arrays replace
 * the default, null means the default.
 *
 * @throws ConfigFileError at the first thing that is wrong.
 */
export function loadGatewayConfig(options: { readonly file: string; readonly environment: Environment }): LoadedConfig {
  const source = readConfigSource(options.file);
  const substituted = substituteVariables(source, options.environment);
  const warnings: ConfigNotice[] = [];
  const withoutEffect: string[] = [];

  const warn = (path: ConfigPath, message: string, position = positionOf(source, path)): void => {
    const key = formatPath(path);
    const { line, column } = position;
    warnings.push({ level: 'warn', key, line, message: `${source.file}:${line}:${column}: ${key}: ${message}` });
  };
  const onOtherKey = (path: ConfigPath, known: readonly string[]): void => {
    const key = formatPath(path);
    if (ignoredKeys.includes(key)) withoutEffect.push(key);
    else warn(path, `unknown key, it has no effect${suggest(path, known)}`, positionOfKey(source, path));
  };

  const value = readValue({ source, substituted, onOtherKey }, source.document.contents, gatewayConfigSchema, []);
  const config = value as GatewayConfig;
  checkConfig(source, config, warn);
  if (withoutEffect.length > 0) {
    const message = `${source.file}: these keys are known from APISIX and have no effect in this version of Weir: ${withoutEffect.sort().join(', ')}`;
    warnings.push({ level: 'notice', key: null, line: null, message });
  }
  return { config, warnings };
}

/** All keys that the schema names, in all depths; for a key that somebody wrote in the wrong place. */
function* keysOf(schema: SettingSchema, path: ConfigPath): Generator<ConfigPath> {
  for (const [key, property] of Object.entries(schema.properties ?? {})) {
    yield [...path, key];
    yield* keysOf(property, [...path, key]);
  }
}

function suggest(path: ConfigPath, known: readonly string[]): string {
  const name = String(path.at(-1));
  const elsewhere = [...keysOf(gatewayConfigSchema, [])].find((other) => other.at(-1) === name);
  if (elsewhere) return `; it belongs at ${formatPath(elsewhere)}`;
  const parent = formatPath(path.slice(0, -1));
  const ignoredHere = ignoredKeys
    .filter((key) => key.slice(0, Math.max(0, key.lastIndexOf('.'))) === parent)
    .map((key) => key.slice(key.lastIndexOf('.') + 1));
  const nearest = nearestName(name, [...known, ...ignoredHere]);
  return nearest === null ? '' : `; did you mean ${formatPath([...path.slice(0, -1), nearest])}?`;
}
