import type { WeirError } from '../../src/base/errors.ts';
import { Deadlines } from '../../src/http/deadlines.ts';
import type { Exchange } from '../../src/http/exchange.ts';
import { listen, type Listener } from '../../src/http/listener.ts';
import type { ExchangeHandler, ServerTimeouts } from '../../src/http/server-connection.ts';

/** A request as the handler saw it. */
export interface SeenRequest {
  readonly method: string;
  readonly target: string;
  readonly host: string;
  readonly minorVersion: 0 | 1;
  /** name, value, name, value, … */
  readonly fields: readonly string[];
  /** One character a byte. */
  readonly body: string;
}

/** Generous, so that no test meets one by chance. */
export const generousTimeouts: ServerTimeouts = { keepAliveMs: 30_000, headMs: 30_000, bodyMs: 30_000, sendMs: 30_000 };

/** Answers every request with what was seen of it, as JSON; errors with their status and message. */
export class EchoHandler implements ExchangeHandler {
  /** Requests whose body is complete, in order. */
  readonly requests: SeenRequest[] = [];
  readonly refusals: WeirError[] = [];
  readonly maxBodyBytes: number;

  constructor(maxBodyBytes = Number.POSITIVE_INFINITY) {
    this.maxBodyBytes = maxBodyBytes;
  }

  onRequest(exchange: Exchange): void {
    const body = exchange.bodyIfComplete(this.maxBodyBytes);
    if (body !== null) {
      this.#echo(exchange, body);
      return;
    }
    exchange.readBody(this.maxBodyBytes).then(
      (late) => this.#echo(exchange, late),
      (error: WeirError) => this.onRefused(exchange, error),
    );
  }

  onRefused(exchange: Exchange, error: WeirError): void {
    this.refusals.push(error);
    exchange.respond(error.status, ['Content-Type', 'text/plain'], error.message);
  }

  #echo(exchange: Exchange, body: Buffer): void {
    const { method, target, host, minorVersion, fields } = exchange.head;
    const seen: SeenRequest = {
      method,
      target,
      host,
      minorVersion,
      fields: fields.flat,
      body: body.toString('latin1'),
    };
    this.requests.push(seen);
    exchange.respond(200, ['Content-Type', 'application/json'], JSON.stringify(seen));
  }
}

/** A listener on a free port of this machine. Give it to `await using`. */
export interface TestServer extends AsyncDisposable {
  readonly port: number;
  readonly listener: Listener;
}

export async function startServer(
  handler: ExchangeHandler,
  timeouts: Partial<ServerTimeouts> = {},
  address: { readonly cleartextHttp2?: true } = {},
): Promise<TestServer> {
  const listener = await listen(
    { ip: '127.0.0.1', port: 0, ...address },
    {
      handler,
      deadlines: new Deadlines(),
      timeouts: { ...generousTimeouts, ...timeouts },
      server: 'test',
    },
  );
  return {
    port: listener.port,
    listener,
    [Symbol.asyncDispose]: () => {
      listener.destroy();
      return Promise.resolve();
    },
  };
}
