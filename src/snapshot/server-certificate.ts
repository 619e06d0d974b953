import type { Log } from '../base/log.ts';
import { findSecretReferences, isSecretReference, replaceSecretReferences } from '../config/secret-reference.ts';
import type { Ssl } from '../config/ssl.ts';
import type { StoredResource } from '../config/store/store.ts';
import { TlsTerminator, type TlsSettings } from '../http/tls-terminator.ts';
import type { SecretSource } from '../pipeline/secret-hooks.ts';
import type { Secret, SecretState } from '../pipeline/secret.ts';
import { BoundedPattern, PatternTimeout } from '../router/bounded-pattern.ts';
import { noticeOfDates, readValidity } from './certificate-dates.ts';

export interface CertificateOptions {
  /** What config.yaml says for all names. */
  readonly tls: Pick<TlsSettings, 'versions' | 'ciphers' | 'ticketKeys' | 'protocols'>;
  readonly secrets: SecretSource;
  readonly log: Log;
  /** For what is wrong with a resource: of one worker only, so that it is said once. */
  readonly configurationLog: Log;
}

/** A resource `ssls` for the names of the data plane. */
export class ServerCertificate {
  readonly id: string;
  /** Lower case; `*.example.com` stands for all names with one label more. */
  readonly names: readonly string[];
  /** Clients have to show a certificate. */
  readonly asksClients: boolean;
  readonly #ssl: Ssl;
  readonly #options: CertificateOptions;
  readonly #unguardedPaths: readonly BoundedPattern[];
  readonly #secrets: readonly Secret[];
  // Made by the first handshake: reading a key takes a millisecond, and there may be thousands that nobody asks for.
  #terminator: TlsTerminator | null = null;
  #validities: readonly ReturnType<typeof readValidity>[] = [];
  #states: readonly SecretState[] | null = null;

  private constructor(id: string, ssl: Ssl, options: CertificateOptions) {
    this.id = id;
    this.#ssl = ssl;
    this.#options = options;
    this.names = (ssl.snis ?? (ssl.sni === undefined ? [] : [ssl.sni])).map((name) => name.toLowerCase());
    this.asksClients = ssl.client !== undefined;
    this.#unguardedPaths = (ssl.client?.skip_mtls_uri_regex ?? []).map((pattern) => new BoundedPattern(pattern));
    const references = new Set(findSecretReferences(ssl).map(({ text }) => text));
    this.#secrets = Array.from(references, (reference) => options.secrets.get(reference));
  }

  /**
   * @returns Null when it is switched off, or meant for upstreams.
   * @throws Error when it cannot be used.
   */
  static of({ id, value }: StoredResource, options: CertificateOptions): ServerCertificate | null {
    const ssl = value as Ssl;
    if (ssl.status === 0 || ssl.type === 'client') return null;
    const certificate = new ServerCertificate(id, ssl, options);
    certificate.#setDates(ssl);
    return certificate;
  }

  /** Whether a path is open to clients without a certificate. */
  skipsCheck(path: string): boolean {
    return this.#unguardedPaths.some((pattern) => matchesInTime(pattern, path));
  }

  /** @returns Null when it cannot be used, which has been logged. A promise when a secret has to be fetched first. */
  terminator(): TlsTerminator | null | Promise<TlsTerminator | null> {
    let pending: Promise<void>[] | null = null;
    for (const secret of this.#secrets) {
      const fetch = secret.refresh();
      if (fetch !== null) (pending ??= []).push(fetch);
    }
    return pending === null ? this.#current() : Promise.all(pending).then(() => this.#current());
  }

  #current(): TlsTerminator | null {
    const states = this.#states;
    if (states !== null && this.#secrets.every(({ state }, index) => state === states[index])) return this.#terminator;
    this.#states = this.#secrets.map(({ state }) => state);
    try {
      const ssl = this.#withSecrets();
      this.#terminator = new TlsTerminator(this.#toSettings(ssl));
      if (this.#secrets.length > 0) this.#setDates(ssl);
    } catch (error) {
      // That of before serves on, if there was one.
      const reason = error instanceof Error ? error.message : String(error);
      this.#options.log.error('a certificate cannot be used: its clients are refused', { ssl_id: this.id, reason });
    }
    return this.#terminator;
  }

  #toSettings({ cert = '', key = '', certs = [], keys = [], client, ssl_protocols }: Ssl): TlsSettings {
    const { tls, log } = this.#options;
    return {
      ...tls,
      id: this.id,
      certificates: [{ cert, key }, ...certs.map((cert, index) => ({ cert, key: keys[index] ?? '' }))],
      client: client === undefined ? null : { ca: client.ca, depth: client.depth },
      versions: ssl_protocols === undefined || ssl_protocols.length === 0 ? tls.versions : ssl_protocols,
      log,
    };
  }

  #withSecrets(): Ssl {
    if (this.#secrets.length === 0) return this.#ssl;
    return replaceSecretReferences(this.#ssl, ({ path, text }) => {
      const state = this.#secrets.find(({ reference }) => reference === text)?.state;
      if (state !== undefined && 'value' in state) return state.value;
      throw new Error(`${path}: ${state?.failure ?? 'it cannot be read'}`);
    }) as Ssl;
  }

  /** Warns of those whose time is over, has not begun or ends soon, as far as they have been read. */
  warnOfDates(): void {
    for (const validity of this.#validities) {
      const notice = noticeOfDates(validity, Date.now());
      if (notice === null) continue;
      const fields = { ssl_id: this.id, names: this.names.join(', '), ...notice.fields };
      this.#options.configurationLog.warn(notice.message, fields);
    }
  }

  #setDates({ cert = '', certs = [] }: Ssl): void {
    this.#validities = [cert, ...certs].filter((pem) => !isSecretReference(pem)).map(readValidity);
    this.warnOfDates();
  }
}

/** A path that takes too long to judge is as guarded as the others. */
function matchesInTime(pattern: BoundedPattern, path: string): boolean {
  try {
    return pattern.exec(path) !== null;
  } catch (error) {
    if (error instanceof PatternTimeout) return false;
    throw error;
  }
}
