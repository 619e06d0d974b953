import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below the ports that kernels hand out by themselves: 32768 and above by Linux, 49152 and above by others. */
const [lowest, highest] = [10_000, 32_000];
const given = new Set<number>();

/**
 * A port of 127.0.0.1 on which nobody listens, for programs that have to be told theirs, and for connections that are to be
 * refused. No port 0 and no outgoing connection of any test gets it meanwhile. A port that was free for a moment among
 * those that the kernel hands out may be somebody else's a moment later, and a connection to it may even come from it
 * and meet itself.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = lowest + Math.floor(Math.random() * (highest - lowest));
    if (given.has(port)) continue;
    const server = createServer().listen(port, '127.0.0.1');
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    given.add(port);
    server.close();
    await once(server, 'close');
    return port;
  }
}
