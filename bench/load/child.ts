import { runHold } from './hold.ts';
import { runOpenLoop } from './open-loop.ts';
import { runStreams } from './streams.ts';

/** The clients that run as a process of their own, on the load's core: `node child.ts NAME` with the options on stdin. */
const clients = { 'open-loop': runOpenLoop, streams: runStreams, hold: runHold };

/** What a client takes and what it tells, by its name. */
export type LoadClients = typeof clients;

if (import.meta.main) {
  const run = clients[process.argv[2] as keyof LoadClients] as (options: unknown) => Promise<unknown>;
  let input = '';
  for await (const chunk of process.stdin) input += String(chunk);
  const result = await run(JSON.parse(input));
  process.stdout.write(`${JSON.stringify(result)}\n`);
  process.exit(0);
}
