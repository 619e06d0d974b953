import { styleText } from 'node:util';
import type { GatewayConfig } from '../config/static/gateway-config.ts';
import type { ClientListen, NodeListen } from '../config/static/listen.ts';

export interface StartBanner {
  readonly version: string;
  /** Where it really listens; nowhere for a control plane. */
  readonly dataPlane: readonly ClientListen[];
  readonly workers: number;
  /** `null` when the Admin API is off. */
  readonly admin: (NodeListen & { readonly allowed: GatewayConfig['deployment']['admin']['allow_admin'] }) | null;
  /** Where the control API listens; `null` when it is off. */
  readonly control: NodeListen | null;
  /** Where the status server listens; `null` when it is off. */
  readonly status: NodeListen | null;
  /** Where Prometheus finds metrics; `null` when they are off. */
  readonly metrics: NodeListen | null;
  /** Absolute paths or `/dev/stdout`. */
  readonly logs: readonly string[];
}

/** The lines that `weir start` prints: what listens where, and where the logs are. */
export function formatStartBanner(banner: StartBanner, colour: boolean): string {
  const paint = (style: 'bold' | 'dim' | 'cyan', text: string): string =>
    colour ? styleText(style, text, { validateStream: false }) : text;
  const program = `weir ${banner.version}`;
  const indent = ' '.repeat(program.length);
  const line = (head: string, label: string, rest: string): string =>
    `${head}  ${paint('dim', label.padEnd(11))}${rest}`;
  const workers = banner.workers === 1 ? '1 worker' : `${banner.workers} workers`;
  const urls = banner.dataPlane.map((address) => paint('cyan', formatUrl(address))).join(', ');
  const dataPlane = urls === '' ? 'off (deployment.role is control_plane)' : `${urls}  (${workers})`;
  return [
    line(paint('bold', program), 'data plane', dataPlane),
    line(indent, 'Admin API', formatAdmin(banner.admin, paint)),
    line(indent, 'control', formatControl(banner.control, paint)),
    ...(banner.metrics === null ? [] : [line(indent, 'metrics', paint('cyan', formatUrl(banner.metrics)))]),
    ...(banner.status === null ? [] : [line(indent, 'status', paint('cyan', formatUrl(banner.status)))]),
    line(indent, 'logs', banner.logs.join(', ')),
  ].join('\n');
}

type Paint = (style: 'cyan', text: string) => string;

function formatControl(control: NodeListen | null, paint: Paint): string {
  return control ? paint('cyan', formatUrl(control)) : 'off (apisix.enable_control is false)';
}

function formatAdmin(admin: StartBanner['admin'], paint: Paint): string {
  if (!admin) return 'off (apisix.enable_admin is false, or deployment.role is data_plane)';
  const allowed = admin.allowed === null ? 'everybody' : admin.allowed.join(', ') || 'nobody';
  return `${paint('cyan', formatUrl(admin))}  (allowed: ${allowed})`;
}

function formatUrl({ ip, port, tls }: ClientListen): string {
  return `${tls === true ? 'https' : 'http'}://${ip.includes(':') ? `[${ip}]` : ip}:${port}`;
}
