import { createServer } from 'node:http';
import type { Log } from '../base/log.ts';
import { expositionType } from '../observability/metrics/exposition.ts';

interface MetricsServerOptions {
  /** The metrics as they are now. */
  readonly render: () => string;
  /** Where they are served. */
  readonly path: string;
  readonly log: Log;
  readonly serverHeader: string;
}

export interface MetricsServer {
  /** @throws Error of the system (`EADDRINUSE`, `EACCES`) when the address cannot be had. Port 0: any free one. */
  listen(host: string, port: number): Promise<{ readonly port: number }>;
  /** Ends at once: an answer is made in one piece, so only clients that send or take nothing are cut off. */
  close(): Promise<void>;
  /** Serves them elsewhere from now on. */
  setPath(path: string): void;
}

/** Makes the server that Prometheus asks. It asks for no key, and metrics hold no credential. */
export function createMetricsServer(options: MetricsServerOptions): MetricsServer {
  const { render, log, serverHeader } = options;
  let { path } = options;
  const server = createServer((request, response) => {
    response.setHeader('Server', serverHeader);
    if (request.url?.split('?', 1)[0] !== path) return response.writeHead(404).end('not found\n');
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return response.writeHead(405, { Allow: 'GET, HEAD' }).end('method not allowed\n');
    }
    try {
      return response.writeHead(200, { 'Content-Type': expositionType }).end(render());
    } catch (error) {
      log.error('the metrics could not be written', { error });
      return response.writeHead(500).end('internal error of the gateway\n');
    }
  });
  return {
    async listen(host, port) {
      const listening = Promise.withResolvers<void>();
      server.once('error', listening.reject);
      server.listen(port, host, listening.resolve);
      await listening.promise;
      server.off('error', listening.reject);
      const bound = server.address();
      if (bound === null || typeof bound === 'string') throw new Error(`the metrics have no port on ${host}`);
      return { port: bound.port };
    },
    async close() {
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      server.closeAllConnections();
      await closed.promise;
    },
    setPath(next) {
      path = next;
    },
  };
}
