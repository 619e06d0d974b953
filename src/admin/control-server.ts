import fastify, { type FastifyReply } from 'fastify';
import type { Log } from '../base/log.ts';

/** An answer of the control API. */
export interface ControlReply {
  readonly status: number;
  /** Sent as JSON, unless it is HTML. Absent: nothing is sent. */
  readonly body?: unknown;
  /** The body is a page. Default false. */
  readonly isHtml?: boolean;
}

interface ControlRequest {
  /** The parameters of {@link ControlEndpoint.url}. */
  readonly params: Readonly<Record<string, string>>;
  /** The header Accept, '' when there is none. */
  readonly accept: string;
}

/** One address of the control API. */
export interface ControlEndpoint {
  readonly method: 'GET' | 'POST' | 'PUT';
  /** With parameters: `/v1/healthcheck/:type/:id`. */
  readonly url: string;
  readonly answer: (request: ControlRequest) => ControlReply;
}

export interface ControlServerOptions {
  readonly endpoints: readonly ControlEndpoint[];
  readonly log: Log;
  /** Value of the Server header, such as `Weir/0.1.0`. */
  readonly serverHeader: string;
}

export interface ControlServer {
  /** @throws Error of the system (`EADDRINUSE`, `EACCES`) when the address cannot be had. Port 0: any free one. */
  listen(host: string, port: number): Promise<{ readonly port: number }>;
  /** Stops accepting and waits for running requests. */
  close(): Promise<void>;
}

/** Makes the control API: what the running gateway knows about itself. It asks for no key and shows no credential. */
export function createControlServer({ endpoints, log, serverHeader }: ControlServerOptions): ControlServer {
  const app = fastify({
    forceCloseConnections: true,
    frameworkErrors: (error, _request, reply) => refuse(reply, error.statusCode ?? 400, error.message),
  });
  // Nothing here takes a body, so whatever comes as one is read over.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, payload, done) => {
    payload.resume();
    done(null);
  });
  app.addHook('onRequest', async (request, reply) => {
    // A Content-Type that cannot be parsed would be refused.
    request.raw.headers['content-type'] = 'application/octet-stream';
    reply.header('Server', serverHeader);
  });
  app.setNotFoundHandler((_request, reply) => refuse(reply, 404, 'not found'));
  app.setErrorHandler((error, request, reply) => {
    const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500;
    const message = error instanceof Error ? error.message : String(error);
    if (status < 500) return refuse(reply, status, message);
    log.error('the control API failed', { method: request.method, path: request.url, error: message });
    return refuse(reply, 500, 'internal error of the gateway');
  });
  for (const { method, url, answer } of endpoints) {
    app.route<{ Params: Record<string, string> }>({
      method,
      url,
      handler: (request, reply) => {
        const {
          status,
          body,
          isHtml = false,
        } = answer({
          params: request.params,
          accept: request.headers.accept ?? '',
        });
        reply.code(status).type(isHtml ? 'text/html; charset=utf-8' : 'application/json');
        return reply.send(isHtml ? body : JSON.stringify(body));
      },
    });
  }
  return {
    async listen(host, port) {
      await app.listen({ host, port });
      const bound = app.server.address();
      if (bound === null || typeof bound === 'string') throw new Error(`the control API has no port on ${host}`);
      return { port: bound.port };
    },
    close: () => app.close(),
  };
}

function refuse(reply: FastifyReply, status: number, message: string): void {
  void reply.code(status).send({ error_msg: message });
}
