import { once } from 'node:events';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import type { Log, LogFields } from '../../src/base/log.ts';
import { silentLog } from '../../src/base/log.ts';
import { RepeatedLog } from '../../src/base/repeated-log.ts';
import type { StoredResource } from '../../src/config/store/store.ts';
import { Deadlines } from '../../src/http/deadlines.ts';
import { listen, type Listener } from '../../src/http/listener.ts';
import type { ExchangeHandler, ServerTimeouts } from '../../src/http/server-connection.ts';
import { SecretCache } from '../../src/pipeline/secret-cache.ts';
import {
  CertificateCompiler,
  type CertificateCompilerOptions,
  type Certificates,
} from '../../src/snapshot/certificates.ts';
import { generousTimeouts } from './echo-server.ts';
import { gatewayCa } from './tls-fixtures.ts';

/** The defaults of `apisix.ssl`. */
const defaultTls: CertificateCompilerOptions['tls'] = {
  versions: ['TLSv1.2', 'TLSv1.3'],
  ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256',
  ticketKeys: null,
  protocols: ['h2', 'http/1.1'],
};

interface TlsServerOptions {
  /** Resources by id. */
  readonly ssls: Readonly<Record<string, object>>;
  readonly tls?: Partial<CertificateCompilerOptions['tls']>;
  readonly fallbackName?: string;
  /** Default true. */
  readonly isServed?: boolean;
  readonly timeouts?: Partial<ServerTimeouts>;
  readonly environment?: Readonly<Record<string, string>>;
}

/** A listener with TLS and a table of certificates in this process. Give it to `await using`. */
export class TlsServer implements AsyncDisposable {
  readonly listener: Listener;
  /** What was logged: the level, the sentence and its facts. */
  readonly logged: readonly string[];
  /** Puts other resources in place of all. */
  readonly change: (ssls: Readonly<Record<string, object>>) => void;
  /** As a gateway does every day. */
  readonly checkDates: () => void;

  private constructor(
    listener: Listener,
    logged: readonly string[],
    { change, checkDates }: Pick<TlsServer, 'change' | 'checkDates'>,
  ) {
    this.listener = listener;
    this.logged = logged;
    this.change = change;
    this.checkDates = checkDates;
  }

  static async start(handler: ExchangeHandler, options: TlsServerOptions): Promise<TlsServer> {
    const logged: string[] = [];
    const log = collectingLog(logged);
    const compiler = new CertificateCompiler({
      tls: { ...defaultTls, ...options.tls },
      fallbackName: options.fallbackName,
      isServed: options.isServed ?? true,
      repeatedLog: new RepeatedLog(log),
      secrets: new SecretCache({ environment: options.environment ?? {}, log: silentLog }),
      log,
      configurationLog: log,
    });
    let certificates: Certificates;
    const checkDates = (): void => certificates.warnOfDates();
    const change = (ssls: Readonly<Record<string, object>>): void => {
      certificates = compiler.compile(Object.entries(ssls).map(([id, value]) => toResource(id, value)));
    };
    change(options.ssls);
    const listener = await listen(
      { ip: '127.0.0.1', port: 0, tls: true },
      {
        handler,
        deadlines: new Deadlines(),
        timeouts: { ...generousTimeouts, ...options.timeouts },
        server: 'test',
        findTerminator: (serverName) => certificates.find(serverName),
      },
    );
    return new TlsServer(listener, logged, { change, checkDates });
  }

  get port(): number {
    return this.listener.port;
  }

  /**
   * Does a handshake.
   *
   * @throws The error of the client's side.
   */
  async connect(servername: string, options: ConnectionOptions = {}): Promise<TLSSocket> {
    const socket = connect({ host: '127.0.0.1', port: this.port, servername, ca: gatewayCa, ...options });
    await once(socket, 'secureConnect');
    socket.on('error', () => {});
    return socket;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.listener.destroy();
    return Promise.resolve();
  }
}

function toResource(id: string, value: object): StoredResource {
  return { kind: 'ssls', id, value, createdRevision: 1, modifiedRevision: 1 } as unknown as StoredResource;
}

function collectingLog(lines: string[]): Log {
  const add =
    (level: string) =>
    (message: string, fields: LogFields = {}) => {
      lines.push(`${level}: ${message} ${JSON.stringify(fields)}`);
    };
  return { error: add('error'), warn: add('warn'), notice: add('notice'), info: add('info'), debug: add('debug') };
}
