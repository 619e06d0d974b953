import { errorText } from '../error-text.ts';
import { allowedCores, processesListeningOn } from '../rig/usage.ts';
import { checkPeer } from './check-peer.ts';
import type { Peer } from './peer.ts';

/** A gateway that somebody else has started, as `--peer` names it. */
export interface ExternalPeer {
  readonly name: string;
  readonly port: number;
  /** In front of `/plain/v1/chat/completions` and `/paced/v1/chat/completions`. */
  readonly pathPrefix: string;
  readonly headers: Readonly<Record<string, string>>;
}

const form = 'NAME=URL[,header:value...]';

/**
 * Reads `NAME=URL[,header:value...]`.
 *
 * @throws Error that says what is wrong with it.
 */
export function parseExternalPeer(text: string): ExternalPeer {
  const [, name, address = '', rest = ''] = /^([\w.-]+)=([^,]+)((?:,.*)?)$/.exec(text) ?? [];
  if (name === undefined || !URL.canParse(address))
    throw new Error(`--peer takes ${form}, not ${JSON.stringify(text)}`);
  const url = new URL(address);
  if (url.protocol !== 'http:' || url.hostname !== '127.0.0.1') {
    throw new Error(
      `--peer ${name}: the URL must begin with http://127.0.0.1: the bench loads nothing but this machine`,
    );
  }
  const headers: Record<string, string> = {};
  for (const part of rest.split(',').slice(1)) {
    const [, key, value] = /^([^:\s]+):\s*(.+)$/.exec(part) ?? [];
    if (key === undefined || value === undefined) {
      throw new Error(`--peer ${name}: ${JSON.stringify(part)} is no header (${form})`);
    }
    headers[key] = value;
  }
  return { name, port: Number(url.port || 80), pathPrefix: url.pathname.replace(/\/$/, ''), headers };
}

/**
 * Makes it take part. Its CPU time and memory are those of the processes that listen on its port.
 *
 * @param cores - Where it ought to run.
 * @throws Error that names it, if the mocks cannot be reached through it.
 */
export async function useExternalPeer(external: ExternalPeer, cores: string): Promise<Peer> {
  const { name, port, pathPrefix, headers } = external;
  const pids = processesListeningOn(port);
  const peer: Peer = {
    name,
    request: (target) =>
      target === 'untouched' ? null : { port, path: `${pathPrefix}/${target}/v1/chat/completions`, headers },
    processes: () => pids,
    cores,
    stop: () => Promise.resolve(),
  };
  try {
    await checkPeer(peer, 'plain');
    await checkPeer(peer, 'paced');
  } catch (error) {
    throw new Error(`--peer ${name}: ${errorText(error)}`, { cause: error });
  }
  return peer;
}

/** How it takes part, for the report: what the bench has no hand in. */
export function describeExternalPeer({ port }: ExternalPeer, cores: string): string {
  const pids = processesListeningOn(port);
  const started = `started by somebody else, listens on 127.0.0.1:${port}`;
  if (pids.length === 0) return `${started}; its processes cannot be seen, so that its CPU time and memory are unknown`;
  const elsewhere = pids.filter((pid) => allowedCores(pid) !== cores);
  if (elsewhere.length === 0) return `${started}; pinned to core ${cores}`;
  const pin = elsewhere.map((pid) => `taskset -a -c -p ${cores} ${pid}`).join('; ');
  return `${started}; not pinned to core ${cores} like the others, so that the comparison is not fair (${pin})`;
}
