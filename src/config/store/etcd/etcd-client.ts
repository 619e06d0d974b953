import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import { EtcdError } from './etcd-error.ts';

export interface EtcdClientOptions {
  /** URLs of the members of one cluster, at least one. */
  readonly endpoints: readonly string[];
  /** How long one call may take. */
  readonly timeoutMs: number;
  readonly user?: { readonly name: string; readonly password: string } | undefined;
  readonly tls?: EtcdTls | undefined;
}

export interface EtcdTls {
  /** Certificate authorities in PEM format; absent: those of the operating system. */
  readonly ca?: Buffer | undefined;
  readonly cert?: Buffer | undefined;
  readonly key?: Buffer | undefined;
  /** Whether the server's certificate is checked. */
  readonly verify: boolean;
  /** The name to ask for and to check; absent: the host of the URL. */
  readonly servername?: string | undefined;
}

type Json = Readonly<Record<string, unknown>>;

interface CallOptions {
  /** Default: that of the client. */
  readonly timeoutMs?: number;
  /** The call must not be repeated when etcd may have seen it. */
  readonly isWrite?: boolean;
}

interface StreamOptions {
  readonly body: Json;
  /** Told of each message. What it throws ends the stream. */
  readonly onMessage: (message: Json) => void;
  /** Ends the stream. Its reason is thrown. */
  readonly signal: AbortSignal;
}

/** An idle watch must notice that the other side is gone without a word. */
const keepAliveProbeMs = 5000;

/**
 * Calls etcd through its JSON gateway (docs/decisions/0014-etcd-client.md). All calls go to one member; when that is away
 * the next one is taken.
 * https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/
 */
export class EtcdClient {
  readonly #options: EtcdClientOptions;
  readonly #agents: { readonly http: HttpAgent; readonly https: HttpsAgent };
  #current = 0;
  #token: string | undefined;

  constructor(options: EtcdClientOptions) {
    this.#options = options;
    this.#agents = { http: new HttpAgent({ keepAlive: true }), https: new HttpsAgent({ keepAlive: true }) };
  }

  /** The member that calls go to now. */
  get endpoint(): string {
    return this.#options.endpoints[this.#current] ?? '';
  }

  /** Takes the next member from now on, unless that has happened already. @param from - The one that failed. */
  moveOn(from: string): void {
    if (this.endpoint !== from) return;
    this.#current = (this.#current + 1) % this.#options.endpoints.length;
    // Simple tokens are only known to the member that gave them.
    this.#token = undefined;
  }

  /**
   * Makes one call. A member that is away is replaced by the next one, once around.
   *
   * @param path - Below `/v3/`, such as `kv/range`.
   * @throws EtcdError
   */
  async call(path: string, body: Json, options: CallOptions = {}): Promise<Json> {
    let renewed = false;
    for (let attempt = 1; ; attempt++) {
      const { endpoint } = this;
      try {
        return await this.#callOnce(path, body, options);
      } catch (error) {
        if (!(error instanceof EtcdError)) throw error;
        // Also when another call has thrown the token away meanwhile.
        if (error.isStaleToken && this.#options.user !== undefined && !renewed) {
          renewed = true;
          this.#token = undefined;
          attempt--;
          continue;
        }
        if (!error.isTransient) throw error;
        this.moveOn(endpoint);
        if (attempt >= this.#options.endpoints.length || (options.isWrite === true && error.sent)) throw error;
      }
    }
  }

  /**
   * Calls the present member and reads its answer message by message.
   *
   * @returns When etcd ends the stream.
   * @throws EtcdError, the signal's reason, or what `onMessage` threw.
   */
  async stream(path: string, { body, onMessage, signal }: StreamOptions): Promise<void> {
    const token = await this.#authenticate();
    try {
      const response = await this.#send(path, body, { token, signal, fresh: true });
      response.socket.setKeepAlive(true, keepAliveProbeMs);
      let line = '';
      response.setEncoding('utf8');
      for await (const chunk of response) {
        const [first = '', ...others] = String(chunk).split('\n');
        line += first;
        for (const next of others) {
          if (line !== '') onMessage(this.#toMessage(line));
          line = next;
        }
      }
    } catch (error) {
      signal.throwIfAborted();
      throw error instanceof EtcdError ? error : this.#error(reasonOf(error), { cause: error });
    }
  }

  close(): void {
    this.#agents.http.destroy();
    this.#agents.https.destroy();
  }

  async #callOnce(path: string, body: Json, { timeoutMs, isWrite = false }: CallOptions): Promise<Json> {
    const token = await this.#authenticate();
    return this.#post(path, body, { token, isWrite, timeoutMs: timeoutMs ?? this.#options.timeoutMs });
  }

  async #post(
    path: string,
    body: Json,
    { token, isWrite, timeoutMs }: { token: string | undefined; isWrite: boolean; timeoutMs: number },
  ): Promise<Json> {
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), timeoutMs);
    try {
      // A connection of its own for a write: one that lay idle may be dead, and then nobody knows what has arrived.
      const response = await this.#send(path, body, { token, signal: deadline.signal, fresh: isWrite });
      return this.#toAnswer(await readText(response));
    } catch (error) {
      const sent = !(error instanceof EtcdError) || error.sent;
      if (deadline.signal.aborted) throw this.#error(`no answer within ${timeoutMs} ms`, { sent, cause: error });
      throw error instanceof EtcdError ? error : this.#error(reasonOf(error), { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }

  /** @returns The token to send, `undefined` when no user is configured. */
  async #authenticate(): Promise<string | undefined> {
    const { user, timeoutMs } = this.#options;
    if (user === undefined || this.#token !== undefined) return this.#token;
    try {
      const answer = await this.#post(
        'auth/authenticate',
        { ...user },
        { token: undefined, isWrite: false, timeoutMs },
      );
      this.#token = String(answer['token']);
      return this.#token;
    } catch (error) {
      // The servers say so when nobody needs a password.
      if (error instanceof EtcdError && /authentication is not enabled/.test(error.message)) return undefined;
      if (error instanceof EtcdError && error.isTransient) {
        throw new EtcdError(error.message, {
          sent: false,
          cause: error,
          ...(error.code !== null && { code: error.code }),
        });
      }
      throw error;
    }
  }

  #send(
    path: string,
    body: Json,
    { token, signal, fresh }: { token: string | undefined; signal: AbortSignal; fresh: boolean },
  ): Promise<IncomingMessage> {
    const url = new URL(`v3/${path}`, this.endpoint);
    const text = JSON.stringify(body);
    const headers = {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(text),
      ...(token !== undefined && { Authorization: token }),
    };
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const request =
      url.protocol === 'https:'
        ? requestHttps(url, {
            method: 'POST',
            headers,
            signal,
            agent: fresh ? false : this.#agents.https,
            ...this.#tls(),
          })
        : requestHttp(url, { method: 'POST', headers, signal, agent: fresh ? false : this.#agents.http });
    let sent = false;
    request.on('socket', (socket) => {
      if (!socket.connecting) sent = true;
      else socket.once(url.protocol === 'https:' ? 'secureConnect' : 'connect', () => (sent = true));
    });
    request.on('response', resolve);
    request.on('error', (error) => reject(this.#error(reasonOf(error), { sent, cause: error })));
    request.end(text);
    return promise.then((response) => this.#checked(response));
  }

  async #checked(response: IncomingMessage): Promise<IncomingMessage> {
    if (response.statusCode === 200) return response;
    throw this.#toFailure(response.statusCode ?? 0, await readText(response));
  }

  #tls(): object {
    const { ca, cert, key, verify, servername } = this.#options.tls ?? { verify: true };
    return { ca, cert, key, rejectUnauthorized: verify, ...(servername !== undefined && { servername }) };
  }

  #toAnswer(text: string): Json {
    try {
      return toObject(JSON.parse(text));
    } catch (error) {
      throw this.#error('its answer is not JSON', { cause: error });
    }
  }

  /** Each line is `{"result": ...}`, the last one perhaps `{"error": ...}`. */
  #toMessage(line: string): Json {
    const { result, error } = this.#toAnswer(line);
    if (error === undefined) return toObject(result);
    const { message, grpc_code } = toObject(error);
    throw this.#error(String(message), { code: Number(grpc_code ?? 2) });
  }

  #toFailure(status: number, text: string): EtcdError {
    try {
      const { error, message, code } = toObject(JSON.parse(text));
      const sentence = typeof message === 'string' ? message : String(error);
      return this.#error(sentence, { code: Number(code ?? 2) });
    } catch {
      // A proxy in between, or no etcd at all.
      return this.#error(`status ${status}`, status >= 500 ? {} : { code: 2 });
    }
  }

  #error(sentence: string, details: { code?: number; sent?: boolean; cause?: unknown }): EtcdError {
    return new EtcdError(`etcd at ${this.endpoint}: ${sentence}`, details);
  }
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

function toObject(value: unknown): Json {
  return typeof value === 'object' && value !== null ? (value as Json) : {};
}

/** Errors of a connection to several addresses have no message of their own. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join(', ');
  return error instanceof Error ? error.message : String(error);
}
