import type { Log } from '../base/log.ts';
import { Outages } from './outages.ts';
import type { RedisClient, RedisServer } from './redis-client.ts';
import { hasWritten, readWindow, takeFromWindow, takeNothing, type RedisScript } from './redis-script.ts';
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
/** Reads may go on, but nothing is counted: a replica, no memory or disk left, not enough replicas, no permission. */
const writeRefusal = /(?:^|-)(?:READONLY|OOM|MISCONF|NOREPLICAS|NOAUTH|NOPERM (?!.*\bkeys\b))|can't run this command/;

/**
 * The way to one Redis, cluster or sentinel set-up. It connects when it is used and closes when it was not used for a while.
 *
 * A server that did not answer in time, or that cannot be connected to, is away: calls fail at once while it is tried in the
 * background. With its first answer, a late one as well, it is back. One that refuses to write is away, too, until it has
 * written: what cannot be charged must not be let in.
 */
export class RedisLink {
  readonly #server: RedisServer;
  readonly #outages: Outages;
  #connecting: Promise<RedisClient> | null = null;
  #client: RedisClient | null = null;
  /** The connection of this moment leads to the right database. */
  #isOpen = false;
  /** What calls wait for while there is no connection: settles with the first attempt to connect. */
  #attempt: PromiseWithResolvers<RedisClient> | null = null;
  #idleTimer: NodeJS.Timeout | undefined;
  #usedAt = 0;
  /** Calls without a result so far. */
  #waitingCalls = 0;
  #closed = false;

  constructor(server: RedisServer, log: Log) {
    this.#server = server;
    this.#outages = new Outages({ name: server.name, log, probe: (key, writes) => this.#probe(key, writes) });
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
      this.#outages.begin(this.#serverOf(call.key), { key: call.key, reason, refusesWrites: false });
      reject(this.#error(reason));
      this.#waitingCalls--;
    };
    this.#waitingCalls++;
    // When this thread itself was busy, the answer may be here already and is read first.
    const timer = setTimeout(() => setImmediate(expire), timeoutMs);
    void this.#ready()
      // What nobody waits for any more is not sent: it would be counted.
      .then((client) => (waiting ? this.#send(client, call) : []))
      .then(resolve, (error: unknown) => reject(this.#failure(call.key, error)))
      .finally(() => {
        if (!waiting) return;
        waiting = false;
        this.#waitingCalls--;
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
    const isConnected = client?.commands.status === 'ready';
    if (client !== null && isConnected && this.#isOpen) return Promise.resolve(client);
    this.#attempt ??= Promise.withResolvers();
    if (client !== null && isConnected) this.#open(client);
    if (this.#connecting === null) {
      const connecting = this.#connect();
      this.#connecting = connecting;
      connecting.catch((error: unknown) => {
        if (this.#connecting !== connecting) return;
        this.#connecting = null;
        this.#notConnected(error);
      });
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
      if (this.#client === client) this.#open(client);
    });
    commands.on('close', () => {
      if (this.#client === client) this.#isOpen = false;
    });
    commands.on('error', (error: Error) => {
      // A connection that breaks is made anew before anything is said about the server.
      if (this.#client === client && commands.status !== 'ready') this.#notConnected(error);
    });
    this.#client = client;
    this.#closeWhenIdle();
    return client;
  }

  #open(client: RedisClient): void {
    client.selectDatabase().then(
      () => {
        if (this.#client !== client || this.#isOpen) return;
        this.#isOpen = true;
        this.#attempt?.resolve(client);
        this.#attempt = null;
        this.#outages.probe();
      },
      (error: unknown) => {
        // A connection that has broken meanwhile is made anew first.
        if (this.#client === client && client.commands.status === 'ready') this.#notConnected(error);
      },
    );
  }

  #notConnected(error: unknown): void {
    if (!this.#closed) this.#outages.begin('', { key: anyKey, reason: reasonOf(error), refusesWrites: false });
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
    const values: readonly unknown[] = Array.isArray(reply) ? reply : [];
    this.#outages.answered(client.serverOf(key), hasWritten(values));
    return values;
  }

  #probe(key: string, writes: boolean): Promise<unknown> {
    const call = writes ? { script: takeFromWindow, key, args: takeNothing } : { script: readWindow, key, args: [] };
    return this.#ready().then((client) => this.#send(client, call));
  }

  #failure(key: string, error: unknown): WindowStoreError {
    const reason = reasonOf(error);
    if (!this.#closed) this.#noteFailure(key, reason, error);
    return this.#error(reason);
  }

  #noteFailure(key: string, reason: string, error: unknown): void {
    const server = this.#serverOf(key);
    if (writeRefusal.test(reason)) this.#outages.begin(server, { key, reason, refusesWrites: true });
    else if (isReply(error)) this.#outages.refused(server, reason);
    else this.#outages.failed(server, reason);
  }

  #error(reason: string): WindowStoreError {
    return new WindowStoreError(`${this.#server.name}: ${reason}`);
  }

  #closeWhenIdle(): void {
    const { idleMs } = this.#server;
    const check = (): void => {
      const leftMs = this.#waitingCalls > 0 ? idleMs : this.#usedAt + idleMs - performance.now();
      if (leftMs <= 0) this.#disconnect();
      else this.#idleTimer = setTimeout(check, leftMs).unref();
    };
    check();
  }

  #disconnect(): void {
    clearTimeout(this.#idleTimer);
    this.#outages.forget();
    this.#connecting?.then(({ commands }) => commands.disconnect()).catch(() => {});
    this.#attempt?.reject(new Error(endMessage));
    this.#attempt = null;
    this.#connecting = null;
    this.#client = null;
    this.#isOpen = false;
  }
}

/** Redis itself says no. */
function isReply(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError';
}

/** Never the error itself for a log: it quotes the command, and with it passwords. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'MaxRetriesPerRequestError' || error.message === 'Connection is closed.') {
    return 'the connection was lost';
  }
  const { command } = error as { readonly command?: { readonly name?: unknown } };
  if (isReply(error) && command?.name === 'select') return `the database cannot be selected: ${error.message}`;
  // Of a cluster: why the last one of the nodes could not be asked.
  const { lastNodeError } = error as { readonly lastNodeError?: unknown };
  return lastNodeError instanceof Error ? `${error.message} ${lastNodeError.message}` : error.message;
}
