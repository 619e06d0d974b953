import { setTimeout as sleep } from 'node:timers/promises';
import { encodeRequest, LoadConnection, type RequestSpec } from './connection.ts';

export interface HoldOptions {
  readonly request: RequestSpec;
  readonly connections: number;
  /** `answered`: idle after one answer. `streaming`: inside a stream that goes on. */
  readonly until: 'answered' | 'streaming';
  /** How long they are held once all are there. */
  readonly seconds: number;
}

export interface HoldResult {
  readonly failure: string | null;
}

const openAtOnce = 32;

/**
 * Brings connections into a state, says `holding` on stdout, and keeps them so while the caller looks at the memory of
 * the gateway.
 */
export async function runHold(options: HoldOptions): Promise<HoldResult> {
  const request = encodeRequest(options.request);
  let failure: string | null = null;
  const held: LoadConnection[] = [];
  const fail = (reason: string): void => void (failure ??= reason);
  for (let i = 0; i < options.connections; i += openAtOnce) {
    const count = Math.min(openAtOnce, options.connections - i);
    held.push(...(await Promise.all(Array.from({ length: count }, () => hold(options, request, fail)))));
  }
  process.stdout.write('holding\n');
  await sleep(options.seconds * 1000);
  for (const connection of held) connection.close();
  return { failure };
}

function hold({ request: { port }, until }: HoldOptions, request: Buffer, fail: (reason: string) => void) {
  return new Promise<LoadConnection>((resolve, reject) => {
    let connection: LoadConnection | undefined;
    const arrived = (): void => connection && resolve(connection);
    const events = {
      onBody: () => {
        if (until === 'streaming') arrived();
      },
      onResponse: (status: number) => {
        if (status !== 200 || until === 'streaming') fail(`an answer ended, with status ${status}`);
        arrived();
      },
      onClose: (reason: string) => {
        fail(`a connection broke: ${reason}`);
        arrived();
      },
    };
    LoadConnection.open(port, events).then((opened) => {
      connection = opened;
      opened.send(request);
    }, reject);
  });
}
