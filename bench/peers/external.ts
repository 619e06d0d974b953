import { processesListeningOn } from '../rig/usage.ts';
import type { Peer } from './peer.ts';

/** A gateway that somebody else has started, as `--peer` names it. */
export interface ExternalPeer {
  readonly name: string;
  readonly port: number;
  /** In front of `/plain/v1/chat/completions` and `/paced/v1/chat/completions`. */
  readonly pathPrefix: string;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Reads `NAME=URL[,header:value...]`.
 *
 * @throws Error that says what is wrong with it.
 */
export function parseExternalPeer(text: string): ExternalPeer {
  const [, name, address = '', ...rest] = /^([\w.-]+)=([^,]+)((?:,.*)?)$/.exec(text) ?? [];
  const wanted = '--peer takes NAME=URL[,header:value...]';
  if (name === undefined || !URL.canParse(address)) throw new Error(`${wanted}, not ${JSON.stringify(text)}`);
  const url = new URL(address);
  if (url.protocol !== 'http:' || url.hostname !== '127.0.0.1') {
    throw new Error(`${wanted} with a URL on http://127.0.0.1: the bench loads nothing but this machine`);
  }
  const headers: Record<string, string> = {};
  for (const part of rest[0]?.split(',').slice(1) ?? []) {
    const [, key, value] = /^([^:\s]+):\s*(.+)$/.exec(part) ?? [];
    if (key === undefined || value === undefined) throw new Error(`${wanted}: ${JSON.stringify(part)} is no header`);
    headers[key] = value;
  }
  return { name, port: Number(url.port || 80), pathPrefix: url.pathname.replace(/\/$/, ''), headers };
}

/** Makes it take part. Its CPU time and memory are those of the processes that listen on its port. */
export function useExternalPeer({ name, port, pathPrefix, headers }: ExternalPeer): Peer {
  const pids = processesListeningOn(port);
  return {
    name,
    request: (target) =>
      target === 'untouched' ? null : { port, path: `${pathPrefix}/${target}/v1/chat/completions`, headers },
    processes: () => pids,
    cores: '',
    stop: () => Promise.resolve(),
  };
}
