import type { Log } from '../base/log.ts';
import { Outages } from './outages.ts';
import type { RedisClient, RedisServer } from './redis-client.ts';
import { readWindow, type RedisScript } from './redis-script.ts';
import { WindowStoreError } from './window-store.ts';

/** One decision: a script and the key that it works on. */
export interface ScriptCall {
  readonly script: RedisScript;
  readonly key: string;
  readonly args: readonly (string | number)[];
}

/** For the state of servers that nobody has asked for a key yet. */
const anyKey = 'weir:probe';
const endMessage = 'the gateway ends';

/**
 * The way to one Redis, cluster or sentinel set-up. It connects when it is used and closes when it was not used for a while.
 *
 * A server that did not answer in time, or that cannot be connected to, is away: calls fail at once while it is tried in the
 * background. With its first answer, a late one as well, it is back.
 */
export class RedisLink {
  readonly #server: RedisServer;
  readonly #outages: Outages;
  #connecting: Promise<RedisClient> | null = null;
  #client: RedisClient | null = null;
  /** What calls wait for while there is no connection: settles with the first attempt to connect. */
  #attempt: PromiseWithResolvers<RedisClient> | null = null;
  #idleTimer: NodeJS.Timeout | undefined;
  #usedAt = 0;
  #closed = false;

  constructor(server: RedisServer, log: Log) {
    this.#server = server;
    this.#outages = new Outages({ name: server.name, log, probe: (key) => this.#probe(key) });
  }

  /**
   * Runs a script.
   *
   * @returns What it returned.
   * @throws WindowStoreError at most `timeoutMs` of the server later.
   */
  run(call: ScriptCall): Promise<readonly unknown[]> {
    this.#usedAt = performance.now();
    const away = this.#closed ? endMessage : this.#outages.reasonFor(this.#serverOf(call.key));
    if (away !== undefined) return Promise.reject(this.#error(away));

    const { promise, resolve, reject } = Promise.withResolvers<readonly unknown[]>();
    const { timeoutMs } = this.#server;
    let waiting = true;
    const expire = (): void => {
      if (!waiting) return;
      waiting = false;
      const reason = `no answer within ${timeoutMs} ms`;
      this.#outages.begin(this.#serverOf(call.key), call.key, reason);
      reject(this.#error(reason));
    };
    // When this thread itself was busy, the answer may be here already and is read first.
    const timer = setTimeout(() => setImmediate(expire), timeoutMs);
    void this.#ready()
      // What nobody waits for any more is not sent: it would be counted.
      .then((client) => (waiting ? this.#send(client, call) : []))
      .then(resolve, (error: unknown) => reject(this.#failure(call.key, error)))
      .finally(() => {
        waiting = false;
        clearTimeout(timer);
      });
    return promise;
  }

  /** Ends all connections. Calls fail from now on. */
  close(): void {
    this.#closed = true;
    this.#disconnect();
  }

  #serverOf(key: string): string {
    return this.#client?.serverOf(key) ?? '';
  }

  #ready(): Promise<RedisClient> {
    const client = this.#client;
    if (client !== null && client.commands.status === 'ready') return Promise.resolve(client);
    this.#attempt ??= Promise.withResolvers();
    if (this.#connecting === null) {
      this.#connecting = this.#connect();
      this.#connecting.catch((error: unknown) => this.#notConnected(error));
    }
    return this.#attempt.promise;
  }

  async #connect(): Promise<RedisClient> {
    const client = await this.#server.connect();
    const { commands } = client;
    if (this.#closed) {
      commands.disconnect();
      throw new Error(endMessage);
    }
    commands.on('ready', () => {
      if (this.#client !== client) return;
      this.#attempt?.resolve(client);
      this.#attempt = null;
      this.#outages.probe();
    });
    commands.on('error', (error: Error) => {
      // A connection that breaks is made anew before anything is said about the server.
      if (this.#client === client && commands.status !== 'ready') this.#notConnected(error);
    });
    this.#client = client;
    this.#closeWhenIdle();
    return client;
  }

  #notConnected(error: unknown): void {
    this.#outages.begin('', anyKey, reasonOf(error));
    this.#attempt?.reject(error);
    this.#attempt = null;
  }

  async #send(client: RedisClient, { script, key, args }: ScriptCall): Promise<readonly unknown[]> {
    const { commands } = client;
    let reply: unknown;
    try {
      reply = await commands.evalsha(script.sha1, 1, key, ...args);
    } catch (error) {
      if (!reasonOf(error).startsWith('NOSCRIPT')) throw error;
      reply = await commands.eval(script.source, 1, key, ...args);
    }
    this.#outages.answered(client.serverOf(key));
    return Array.isArray(reply) ? reply : [];
  }

  #probe(key: string): Promise<unknown> {
    const client = this.#client;
    if (client === null || client.commands.status !== 'ready') return Promise.reject(new Error('not connected'));
    return this.#send(client, { script: readWindow, key, args: [] });
  }

  #failure(key: string, error: unknown): WindowStoreError {
    const reason = reasonOf(error);
    if (!this.#closed) this.#outages.failed(this.#serverOf(key), reason);
    return this.#error(reason);
  }

  #error(reason: string): WindowStoreError {
    return new WindowStoreError(`${this.#server.name}: ${reason}`);
  }

  #closeWhenIdle(): void {
    const { idleMs } = this.#server;
    const check = (): void => {
      const leftMs = this.#usedAt + idleMs - performance.now();
      if (leftMs <= 0) this.#disconnect();
      else this.#idleTimer = setTimeout(check, leftMs).unref();
    };
    check();
  }

  #disconnect(): void {
    clearTimeout(this.#idleTimer);
    this.#outages.forget();
    this.#connecting?.then(({ commands }) => commands.disconnect()).catch(() => {});
    this.#connecting = null;
    this.#client = null;
  }
}

/** Never the error itself for a log: it quotes the command, and with it passwords. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'MaxRetriesPerRequestError' || error.message === 'Connection is closed.') {
    return 'the connection was lost';
  }
  // Of a cluster: why the last one of the nodes could not be asked.
  const { lastNodeError } = error as { readonly lastNodeError?: unknown };
  return lastNodeError instanceof Error ? `${error.message} ${lastNodeError.message}` : error.message;
}
