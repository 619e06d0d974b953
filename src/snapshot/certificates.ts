import { WeirError } from '../base/errors.ts';
import type { RepeatedLog } from '../base/repeated-log.ts';
import type { StoredResource } from '../config/store/store.ts';
import type { TlsFacts, TlsTerminator } from '../http/tls-terminator.ts';
import { ServerCertificate, type CertificateOptions } from './server-certificate.ts';

/** Which certificates serve which names: immutable, a part of the snapshot. */
export interface Certificates {
  /**
   * Finds who ends the TLS of a connection: by the exact name, then by `*.` and the name without its first label.
   *
   * @param serverName - Lower case; null: the client named none, and means `fallback_sni`.
   * @returns Null when there is none, which is logged. A promise when a secret has to be fetched first; it never rejects.
   */
  find(serverName: string | null): TlsTerminator | null | Promise<TlsTerminator | null>;
  /**
   * Checks that a client may ask for a host of this connection: it has shown the certificate that the host asks for.
   *
   * @param request.host - Lower case; of the request, which may be another one than that of the connection.
   * @param request.path - For `skip_mtls_uri_regex`.
   * @returns Null, or CLIENT_CERTIFICATE_REQUIRED, or MISDIRECTED_REQUEST: a new connection could do.
   */
  checkClient(tls: TlsFacts, request: { readonly host: string; readonly path: string }): WeirError | null;
  /** Warns of those whose time is over, has not begun or ends soon. To be called from time to time: nothing else may change. */
  warnOfDates(): void;
}

export interface CertificateCompilerOptions extends CertificateOptions {
  /** `apisix.ssl.fallback_sni`, undefined for none. */
  readonly fallbackName: string | undefined;
  /** False: no listener has TLS, although clients are served. */
  readonly isServed: boolean;
  /** For what any client can cause. */
  readonly repeatedLog: RepeatedLog;
}

/** Makes the table of the resources `ssls` and remembers each: a change of one reads none of the others anew. */
export class CertificateCompiler {
  readonly #options: CertificateCompilerOptions;
  readonly #compiled = new WeakMap<StoredResource, ServerCertificate | null>();
  #hasWarned = false;

  constructor(options: CertificateCompilerOptions) {
    this.#options = options;
  }

  /** @param resources - The `ssls`. One that cannot be used is left out and named in the log. Of two with the same name the first counts. */
  compile(resources: readonly StoredResource[]): Certificates {
    const byName = new Map<string, ServerCertificate>();
    for (const resource of resources) {
      const certificate = this.#compileOne(resource);
      for (const name of certificate?.names ?? []) {
        if (certificate !== null && !byName.has(name)) byName.set(name, certificate);
      }
    }
    if (byName.size > 0 && !this.#options.isServed) this.#warnThatNobodyIsServed();
    return new CertificateTable(byName, this.#options);
  }

  /** APISIX serves HTTPS unless it is told not to. */
  #warnThatNobodyIsServed(): void {
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    this.#options.configurationLog.warn(
      'there are ssls, but no listener for HTTPS: set apisix.ssl.enable to true, or delete them',
    );
  }

  #compileOne(resource: StoredResource): ServerCertificate | null {
    const known = this.#compiled.get(resource);
    if (known !== undefined) return known;
    let certificate: ServerCertificate | null = null;
    try {
      certificate = ServerCertificate.of(resource, this.#options);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#options.configurationLog.error('a certificate cannot be used and is left out', {
        ssl_id: resource.id,
        reason,
      });
    }
    this.#compiled.set(resource, certificate);
    return certificate;
  }
}

class CertificateTable implements Certificates {
  readonly #byName: ReadonlyMap<string, ServerCertificate>;
  readonly #options: CertificateCompilerOptions;
  readonly #asksClients: boolean;

  constructor(byName: ReadonlyMap<string, ServerCertificate>, options: CertificateCompilerOptions) {
    this.#byName = byName;
    this.#options = options;
    this.#asksClients = [...byName.values()].some(({ asksClients }) => asksClients);
  }

  find(serverName: string | null): TlsTerminator | null | Promise<TlsTerminator | null> {
    const name = serverName ?? this.#options.fallbackName;
    const certificate = name === undefined ? undefined : this.#lookUp(name);
    if (certificate !== undefined) return certificate.terminator();
    const { repeatedLog } = this.#options;
    if (name === undefined) {
      const message = 'a TLS client that names no server (SNI) is refused: apisix.ssl.fallback_sni is not set';
      repeatedLog.write('no server name', { level: 'warn', message, fields: {} });
    } else {
      const message = 'a TLS client is refused: there is no certificate for the server that it names';
      repeatedLog.write('unknown server name', { level: 'warn', message, fields: { sni: name } });
    }
    return null;
  }

  warnOfDates(): void {
    for (const certificate of new Set(this.#byName.values())) certificate.warnOfDates();
  }

  checkClient(tls: TlsFacts, { host, path }: { readonly host: string; readonly path: string }): WeirError | null {
    if (!this.#asksClients) return null;
    // A host without a certificate of its own is guarded like the name that the connection was made for.
    const serverName = tls.serverName === '' ? this.#options.fallbackName : tls.serverName;
    const certificate = this.#lookUp(host) ?? (serverName === undefined ? undefined : this.#lookUp(serverName));
    if (certificate === undefined || !certificate.asksClients || certificate.skipsCheck(path)) return null;
    if (certificate.id !== tls.settingsId) return new WeirError('MISDIRECTED_REQUEST', [host]);
    return tls.clientVerify === 'SUCCESS' ? null : new WeirError('CLIENT_CERTIFICATE_REQUIRED', [tls.clientVerify]);
  }

  #lookUp(name: string): ServerCertificate | undefined {
    const dot = name.indexOf('.');
    return this.#byName.get(name) ?? (dot === -1 ? undefined : this.#byName.get(`*${name.slice(dot)}`));
  }
}
