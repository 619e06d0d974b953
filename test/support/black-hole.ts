import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';

export interface BlackHole extends AsyncDisposable {
  readonly port: number;
}

/** A listener that stops accepting: its thread sleeps for ever as soon as it listens. */
const listenerSource = `
  const { createServer } = require('node:net');
  const { parentPort, workerData } = require('node:worker_threads');
  const server = createServer();
  server.listen({ ...workerData, backlog: 1 }, () => {
    parentPort.postMessage(server.address().port);
    setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
  });
`;

/**
 * An address on which connecting never ends: neither accepted nor refused, as behind a firewall that drops packets. Made of a
 * listener whose queue of waiting connections is full, so it needs no network.
 */
export async function openBlackHole(host: string, port = 0): Promise<BlackHole> {
  const worker = new Worker(listenerSource, { eval: true, workerData: { host, port } });
  const [actualPort] = (await once(worker, 'message')) as [number];
  const fillers: Socket[] = [];
  for (let count = 0; count < 4; count += 1) {
    fillers.push(connect(actualPort, host).on('error', () => {}));
  }
  await Promise.race(fillers.map((filler) => once(filler, 'connect')));
  // The rest of the queue fills within a moment; nothing tells when.
  await sleep(30);
  return {
    port: actualPort,
    async [Symbol.asyncDispose]() {
      for (const filler of fillers) filler.destroy();
      await worker.terminate();
    },
  };
}
