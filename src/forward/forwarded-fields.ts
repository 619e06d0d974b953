import { hopByHopNames, isForwarded, listedNames } from '../llm/header-rules.ts';
import type { ResponseHead } from '../http/response-head.ts';
import type { RequestContext } from '../pipeline/context.ts';

/** How the upstream is told where the body ends. `none`: there is no body. */
export type RequestFraming = number | 'chunked' | 'none';

interface RequestFieldsOptions {
  /** Value of the field Host. */
  readonly host: string;
  readonly framing: RequestFraming;
  /** The request asks for a WebSocket. */
  readonly upgrades: boolean;
}

/** Fields of requests that Weir writes itself. The expectation of a client was answered when its body was asked for. */
const ownRequestFields: ReadonlySet<string> = new Set([
  ...hopByHopNames,
  'host',
  'content-length',
  'expect',
  'x-real-ip',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-forwarded-port',
]);

/** Fields of answers that Weir writes itself. */
const ownResponseFields: ReadonlySet<string> = new Set([...hopByHopNames, 'content-length', 'server']);

/**
 * The header section of a request to an upstream, with the empty line at its end: what the client sent and plugins
 * changed, without the fields of the client's connection, and with those that say who asks:
 *
 * - `X-Real-IP`: the client's address.
 * - `X-Forwarded-For`: what came, and the client's address behind it.
 * - `X-Forwarded-Proto`, `-Host`, `-Port`: how the client reached the gateway, unless a plugin has set them, or a trusted
 *   proxy in front, whose word is the last of a list.
 *
 * @returns Field lines; to be written as latin1.
 */
export function requestFieldLines(ctx: RequestContext, { host, framing, upgrades }: RequestFieldsOptions): string {
  const { fields } = ctx;
  const { flat } = fields;
  let lines = `host: ${host}\r\n`;
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i] ?? '';
    if (isForwarded(name, ownRequestFields)) lines += `${name}: ${flat[i + 1] ?? ''}\r\n`;
  }
  const forwardedFor = ctx.header('x-forwarded-for');
  const { remoteAddress } = ctx;
  lines += `x-real-ip: ${remoteAddress}\r\n`;
  lines += `x-forwarded-for: ${forwardedFor === undefined ? remoteAddress : `${forwardedFor}, ${remoteAddress}`}\r\n`;
  lines += `x-forwarded-proto: ${fields.getLast('x-forwarded-proto') ?? ctx.scheme}\r\n`;
  lines += `x-forwarded-host: ${fields.getLast('x-forwarded-host') ?? ctx.host}\r\n`;
  lines += `x-forwarded-port: ${fields.getLast('x-forwarded-port') ?? ctx.serverPort}\r\n`;
  if (upgrades) lines += 'upgrade: websocket\r\nconnection: upgrade\r\n';
  if (framing === 'chunked') lines += 'transfer-encoding: chunked\r\n';
  else if (framing !== 'none') lines += `content-length: ${framing}\r\n`;
  return `${lines}\r\n`;
}

/** The fields of an answer that the client gets: all but those of the upstream's connection, and `Server`. */
export function responseFields({ fields, status }: ResponseHead): string[] {
  const { flat } = fields;
  const listed = listedNames(fields.getCombined('connection'));
  const forwarded: string[] = [];
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i] ?? '';
    if (isForwarded(name, ownResponseFields, listed)) forwarded.push(name, flat[i + 1] ?? '');
  }
  if (status === 101) forwarded.push('Upgrade', 'websocket', 'Connection', 'Upgrade');
  return forwarded;
}

/** True for a request that asks to go on as a WebSocket (RFC 6455, section 4.1). */
export function asksForWebSocket({ exchange: { head } }: RequestContext): boolean {
  if (head.method !== 'GET' || head.minorVersion !== 1) return false;
  const upgrade = head.fields.getCombined('upgrade')?.toLowerCase();
  return upgrade === 'websocket' && listedNames(head.fields.getCombined('connection')).includes('upgrade');
}
