import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { positionOf, readConfigSource } from '../config/static/config-source.ts';
import { ConfigFileError, type LoadedConfig, loadGatewayConfig } from '../config/static/load.ts';

/** Where a gateway lives. Absolute paths. */
export interface GatewayPaths {
  /** Relative paths in the configuration, `logs/` and `data/` lie under it. */
  readonly prefix: string;
  readonly configFile: string;
  readonly pidFile: string;
}

/** The configuration that a first start writes. In the sources and in the package it lies beside the folder of this file. */
export const shippedConfiguration = new URL('../../conf/config.default.yaml', import.meta.url);

/** `null`, or what is wrong with the format, in one sentence that names the variable. */
export type AccessLogFormatCheck = (format: string) => string | null;

/** @param options - As given on the command line; relative paths are those of the caller's working directory. */
export function toGatewayPaths(options: { readonly prefix: string; readonly config?: string }): GatewayPaths {
  const prefix = resolve(options.prefix);
  const configFile = options.config === undefined ? join(prefix, 'conf', 'config.yaml') : resolve(options.config);
  return { prefix, configFile, pidFile: join(prefix, 'logs', 'weir.pid') };
}

/**
 * Reads and checks config.yaml as a start would.
 *
 * @throws ConfigFileError at the first thing that is wrong, with file, line and key.
 */
export function readConfiguration(paths: GatewayPaths, checkFormat: AccessLogFormatCheck): LoadedConfig {
  const { configFile: file, prefix } = paths;
  const loaded = loadGatewayConfig({ file, environment: process.env });
  const { nginx_config, apisix } = loaded.config;
  const refuse = (key: string, expected: string, sentence: string): never => {
    const position = positionOf(readConfigSource(file), key.split('.'));
    throw new ConfigFileError({ file, ...position, key, expected }, sentence);
  };
  const wrongFormat = checkFormat(nginx_config.http.access_log_format);
  if (wrongFormat !== null) {
    refuse('nginx_config.http.access_log_format', 'a format of known variables', wrongFormat);
  }
  const { ssl_trusted_certificate } = apisix.ssl;
  const wrongCertificate =
    ssl_trusted_certificate === 'system' ? null : checkCertificateFile(resolve(prefix, ssl_trusted_certificate));
  if (wrongCertificate !== null) {
    refuse('apisix.ssl.ssl_trusted_certificate', 'a file of certificates', wrongCertificate);
  }
  return loaded;
}

/** `null`, or why the file cannot say whom to trust. Node itself would ignore one without a certificate in silence. */
function checkCertificateFile(file: string): string | null {
  try {
    // Reads the first certificate of the file.
    void new X509Certificate(readFileSync(file));
    return null;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return `expected a file of certificates in PEM format or \`system\`, got ${file}: ${reason}`;
  }
}
