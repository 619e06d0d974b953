import { X509Certificate } from 'node:crypto';
import { isIP, type Socket } from 'node:net';
import {
  connect,
  createSecureContext,
  getCACertificates,
  type ConnectionOptions,
  type SecureContext,
  type TLSSocket,
} from 'node:tls';
import type { ClientCertificate } from './client-certificate.ts';
import { LruMap } from './lru-map.ts';
import { describeCertificateProblem, describeHandshakeError } from './tls-error.ts';

/** Sessions are about 2 KiB; the bound only matters to a gateway with very many origins. */
const maxSessions = 1000;

/** With client certificates there may be many contexts, each with a copy of all authorities. */
const maxContexts = 100;

const protocols = ['http/1.1'];

export interface HandshakeOptions {
  /** The name that the certificate must carry and that is sent as SNI (an IP address is checked but never sent). */
  readonly name: string;
  readonly port: number;
  readonly verify: boolean;
  readonly clientCertificate?: ClientCertificate;
}

/** Why there is no TLS connection; the message is for people, `cause` is Node's error. */
export interface HandshakeFailure {
  readonly message: string;
  readonly cause: Error;
}

export interface TlsClient {
  /**
   * Makes a TLS connection of a connected socket.
   *
   * @param done - Called once, never before this function has returned. The socket has no listener for data, errors or the end.
   * @returns Closes the connection; `done` is not called any more.
   */
  handshake(
    socket: Socket,
    options: HandshakeOptions,
    done: (failure: HandshakeFailure | null, socket: TLSSocket) => void,
  ): () => void;
}

/**
 * The client side of TLS: HTTP/1.1 by ALPN, sessions resumed.
 *
 * Trusted are Node's certificate authorities (with NODE_EXTRA_CA_CERTS), those of the operating system, and `trustedCa`.
 *
 * @param trustedCa - Further authorities as PEM (`apisix.ssl.ssl_trusted_certificate`).
 * @throws {TypeError} when `trustedCa` holds no readable certificate.
 */
export function createTlsClient(trustedCa?: string): TlsClient {
  if (trustedCa !== undefined) parseCertificate(trustedCa);
  // Node skips the check of the name when a session is resumed, so a session may only be used for what it was made for.
  const sessions = new LruMap<string, Buffer>(maxSessions);
  const contexts = new LruMap<string, SecureContext>(maxContexts);

  // Made at the first use: reading the authorities takes about 60 ms, which a gateway with plain upstreams never needs.
  function contextFor(verify: boolean, clientCertificate: ClientCertificate | undefined): SecureContext {
    const name = `${verify} ${clientCertificate?.id ?? ''}`;
    let context = contexts.get(name);
    if (context === undefined) {
      const { cert, key } = clientCertificate ?? {};
      const ca = verify ? trustedCertificates(trustedCa) : [];
      context = createSecureContext({ ca, ...(cert !== undefined && { cert }), ...(key !== undefined && { key }) });
      contexts.set(name, context);
    }
    return context;
  }

  function handshake(
    tcpSocket: Socket,
    { name, port, verify, clientCertificate }: HandshakeOptions,
    done: (failure: HandshakeFailure | null, socket: TLSSocket) => void,
  ): () => void {
    const sessionKey = `${name}:${port}:${verify}:${clientCertificate?.id ?? ''}`;
    const session = sessions.get(sessionKey);
    const options: ConnectionOptions = {
      socket: tcpSocket,
      host: name,
      servername: isIP(name) === 0 ? name : '',
      secureContext: contextFor(verify, clientCertificate),
      ALPNProtocols: protocols,
      // Node would destroy the socket and the certificate with it, before the error could name its dates and names:
      // onSecureConnect looks at `authorized` instead.
      rejectUnauthorized: false,
    };
    if (session !== undefined) options.session = session;
    const socket = connect(options);
    let cancelled = false;
    socket.once('secureConnect', onSecureConnect);
    socket.once('error', onError);

    function onSecureConnect(): void {
      if (cancelled) return;
      socket.off('error', onError);
      if (verify && !socket.authorized) {
        const code = String(socket.authorizationError);
        const message = describeCertificateProblem(code, socket.getPeerCertificate(true));
        fail({ message, cause: Object.assign(new Error(`certificate not accepted: ${code}`), { code }) });
        return;
      }
      // The ticket of TLS 1.3 comes after the handshake, so this one listener has to stay.
      socket.on('session', (ticket: Buffer) => sessions.set(sessionKey, ticket));
      done(null, socket);
    }

    function onError(error: Error): void {
      // An error that was on its way at the time of the cancellation still arrives.
      if (cancelled) return;
      fail({ message: describeHandshakeError(error), cause: error });
    }

    function fail(failure: HandshakeFailure): void {
      sessions.delete(sessionKey);
      socket.destroy();
      done(failure, socket);
    }

    return function cancel() {
      cancelled = true;
      socket.destroy();
    };
  }

  return { handshake };
}

/** The authorities that {@link createTlsClient} trusts, as PEM. Reading them takes about 60 ms. */
export function trustedCertificates(trustedCa: string | undefined): string[] {
  const certificates = new Set([...getCACertificates('default'), ...getCACertificates('system')]);
  if (trustedCa !== undefined) certificates.add(trustedCa);
  return [...certificates];
}

/** Node ignores a PEM text without a certificate; every verification would then fail without a hint. */
function parseCertificate(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (error) {
    throw new TypeError('apisix.ssl.ssl_trusted_certificate: expected a file with PEM certificates', { cause: error });
  }
}
