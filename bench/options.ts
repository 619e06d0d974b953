import { parseArgs } from 'node:util';
import { parseExternalPeer, type ExternalPeer } from './peers/external.ts';

export interface BenchOptions {
  readonly quick: boolean;
  readonly install: boolean;
  readonly help: boolean;
  /** Ids of the scenarios to run; null: all. */
  readonly only: readonly string[] | null;
  readonly rounds: number;
  readonly peers: readonly ExternalPeer[];
  readonly json: string;
  readonly html: string;
}

/** Names of the rows that every table has. */
const takenNames = ['direct', 'nginx', 'portkey', 'weir'];

export const usage = `npm run bench -- [options]

  --quick                 one round of short runs, under two minutes: for finding faults, not for numbers to quote
  --only a,c              only these scenarios
  --rounds N              rounds, interleaved; medians count (default 3, with --quick 1)
  --peer NAME=URL[,header:value...]
                          another gateway that is already running on 127.0.0.1, such as an APISIX. It must send
                          URL/plain/v1/chat/completions to http://127.0.0.1:18400/v1/chat/completions and
                          URL/paced/v1/chat/completions to http://127.0.0.1:18401/v1/chat/completions. Pin it to core 0.
                          The headers go with each request, such as apikey:secret.
  --json FILE, --html FILE
                          where the report goes (default .weir/bench/report.json and .html)
  --install               install what is missing: nginx and wrk with apt-get, the peers from npm
  --help

A full run (no --quick, no --only) also writes bench/RESULTS.md.`;

/**
 * Reads the command line.
 *
 * @param ids - Of the scenarios that there are.
 * @throws Error that says what is wrong.
 */
export function parseOptions(args: readonly string[], ids: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      install: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
      only: { type: 'string' },
      rounds: { type: 'string' },
      peer: { type: 'string', multiple: true, default: [] },
      json: { type: 'string', default: '.weir/bench/report.json' },
      html: { type: 'string', default: '.weir/bench/report.html' },
    },
  });
  const only = values.only?.split(',') ?? null;
  const unknown = only?.find((id) => !ids.includes(id));
  if (unknown !== undefined) throw new Error(`--only ${unknown}: scenarios are ${ids.join(', ')}`);
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 3));
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 20) throw new Error('--rounds takes a number from 1 to 20');
  const { quick, install, help, json, html } = values;
  const peers = values.peer.map(parseExternalPeer);
  const names = [...takenNames, ...peers.map(({ name }) => name)];
  const doubled = names.find((name, i) => names.indexOf(name) !== i);
  if (doubled !== undefined) throw new Error(`--peer ${doubled}: there is another peer of that name`);
  return { quick, install, help, only, rounds, json, html, peers };
}
