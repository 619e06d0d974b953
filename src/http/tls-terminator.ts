import { constants, createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { createServer, DEFAULT_CIPHERS, type PeerCertificate, type Server, type TLSSocket } from 'node:tls';
import type { Log } from '../base/log.ts';

export type TlsVersion = 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3';

/** How connections for a name are encrypted. */
export interface TlsSettings {
  /** Of the resource: what logs and {@link TlsFacts} call it. */
  readonly id: string;
  /** In PEM format, the chain behind each certificate. At most one for each type of key. */
  readonly certificates: readonly { readonly cert: string; readonly key: string }[];
  /** Null: clients are not asked for a certificate. */
  readonly client: {
    /** Authorities in PEM format. */
    readonly ca: string;
    /** How many certificates may be between the authority and the client's. */
    readonly depth: number;
  } | null;
  /** Not empty. */
  readonly versions: readonly TlsVersion[];
  /** OpenSSL's list of ciphers. */
  readonly ciphers: string;
  /** The 48 bytes that all workers encrypt session tickets with. Null: sessions are not resumed. */
  readonly ticketKeys: Uint8Array | null;
  /** Offered by ALPN, first what is liked best. */
  readonly protocols: readonly ('h2' | 'http/1.1')[];
  readonly log: Log;
}

/** What became of a handshake, for logs and for the check of client certificates. */
export interface TlsFacts {
  /** As the client named it, in lower case; '' when it named none: nginx's `$ssl_server_name`. */
  readonly serverName: string;
  /** `TLSv1.3`. */
  readonly protocol: string;
  /** OpenSSL's name. */
  readonly cipher: string;
  /** `NONE`, `SUCCESS` or `FAILED:<reason>`: nginx's `$ssl_client_verify`. */
  readonly clientVerify: string;
  /** {@link TlsSettings.id} of the settings that the connection was made with. */
  readonly settingsId: string;
}

export type SecureHandler = (socket: TLSSocket, facts: TlsFacts) => void;

interface Handshake {
  readonly serverName: string;
  readonly onSecure: SecureHandler;
}

const noVersion: Readonly<Record<TlsVersion, number>> = {
  'TLSv1.1': constants.SSL_OP_NO_TLSv1_1,
  'TLSv1.2': constants.SSL_OP_NO_TLSv1_2,
  'TLSv1.3': constants.SSL_OP_NO_TLSv1_3,
};
const allVersions: readonly TlsVersion[] = ['TLSv1.1', 'TLSv1.2', 'TLSv1.3'];
const tls13Suites = DEFAULT_CIPHERS.split(':')
  .filter((suite) => suite.startsWith('TLS_'))
  .join(':');

/**
 * Ends the TLS of connections for one set of certificates. Making one reads keys and certificates, so it is made once
 * for each change of them, not for each handshake.
 */
export class TlsTerminator {
  readonly #settings: TlsSettings;
  // Never listens: connections are handed to it (https://nodejs.org/api/tls.html#event-connection).
  readonly #server: Server;
  // Node does not tell which socket a TLS socket was made of; a TCP connection is known by its four ends.
  readonly #handshakes = new Map<string, Handshake>();

  /** @throws Error of OpenSSL when a certificate, key or cipher cannot be used. */
  constructor(settings: TlsSettings) {
    this.#settings = settings;
    const { certificates, client, versions, ciphers, ticketKeys, protocols } = settings;
    // With a resumed session the client shows no certificate, and its chain could not be measured.
    const resumes = ticketKeys !== null && client === null;
    this.#server = createServer({
      cert: certificates.map(({ cert }) => cert),
      key: certificates.map(({ key }) => key),
      minVersion: allVersions.find((version) => versions.includes(version)) ?? 'TLSv1.2',
      maxVersion: allVersions.findLast((version) => versions.includes(version)) ?? 'TLSv1.3',
      ciphers: withTls13Suites(ciphers),
      honorCipherOrder: true,
      ecdhCurve: 'auto',
      ALPNProtocols: [...protocols],
      secureOptions: allVersions
        .filter((version) => !versions.includes(version))
        .reduce((bits, version) => bits | noVersion[version], resumes ? 0 : constants.SSL_OP_NO_TICKET),
      // A session of one name must not open another one, which may ask for certificates.
      sessionIdContext: createHash('sha256')
        .update(JSON.stringify([settings.id, certificates]))
        .digest('hex')
        .slice(0, 32),
      ...(resumes && { ticketKeys: Buffer.from(ticketKeys) }),
      // Whoever lacks a certificate is told so by an answer (proxy/), and may be let in to some paths.
      ...(client !== null && { ca: client.ca, requestCert: true, rejectUnauthorized: false }),
    });
    this.#server.on('secureConnection', (socket) => this.#onSecure(socket));
    this.#server.on('tlsClientError', (error, socket) => {
      // OpenSSL's own words are without its addresses and file names.
      const reason = 'reason' in error ? error.reason : error.message;
      settings.log.info('a TLS handshake failed', { ssl_id: settings.id, reason });
      socket.destroy();
    });
  }

  /**
   * Does the handshake with a client.
   *
   * @param socket - Of `net.Server`; the ClientHello has been put back to be read again.
   * @param onSecure - Not called when the handshake fails: the socket is closed then.
   */
  accept(socket: Socket, handshake: Handshake): void {
    const key = endsOf(socket);
    this.#handshakes.set(key, handshake);
    socket.once('close', () => {
      if (this.#handshakes.get(key) === handshake) this.#handshakes.delete(key);
    });
    this.#server.emit('connection', socket);
  }

  #onSecure(socket: TLSSocket): void {
    const key = endsOf(socket);
    const handshake = this.#handshakes.get(key);
    this.#handshakes.delete(key);
    // The client has left already, and with it the other end's address.
    if (handshake === undefined) return void socket.destroy();
    handshake.onSecure(socket, {
      serverName: handshake.serverName,
      protocol: socket.getProtocol() ?? '',
      cipher: socket.getCipher().name,
      clientVerify: this.#verifyClient(socket),
      settingsId: this.#settings.id,
    });
  }

  #verifyClient(socket: TLSSocket): string {
    const { client } = this.#settings;
    if (client === null) return 'NONE';
    const certificate = socket.getPeerCertificate(true);
    if (socket.getPeerX509Certificate() === undefined) return 'NONE';
    if (!socket.authorized) return `FAILED:${String(socket.authorizationError)}`;
    return countIntermediates(certificate) > client.depth ? 'FAILED:CERT_CHAIN_TOO_LONG' : 'SUCCESS';
  }
}

function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

/** Node turns TLS 1.3 off when the list has none of its ciphers, which OpenSSL keeps in a list of its own. */
function withTls13Suites(ciphers: string): string {
  return ciphers.includes('TLS_') ? ciphers : `${tls13Suites}:${ciphers}`;
}

/** Certificates between the client's own and the authority's, which is its own issuer. */
function countIntermediates(leaf: PeerCertificate & { issuerCertificate?: PeerCertificate }): number {
  let count = -1;
  let at: PeerCertificate & { issuerCertificate?: PeerCertificate } = leaf;
  while (at.issuerCertificate !== undefined && at.issuerCertificate !== at) {
    at = at.issuerCertificate;
    count++;
  }
  return Math.max(0, count);
}
