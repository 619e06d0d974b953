import type { ControlEndpoint } from './control-server.ts';

/**
 * `GET /status`: the process runs. `GET /status/ready`: it can serve, else 503 with the reason.
 *
 * @param whyNotReady - `null`, or what requests would have to wait for.
 */
export function createStatusEndpoints(whyNotReady: () => string | null): readonly ControlEndpoint[] {
  return [
    { method: 'GET', url: '/status', answer: () => ({ status: 200, body: { status: 'ok' } }) },
    {
      method: 'GET',
      url: '/status/ready',
      answer() {
        const reason = whyNotReady();
        if (reason === null) return { status: 200, body: { status: 'ok' } };
        return { status: 503, body: { status: 'error', error: reason } };
      },
    },
  ];
}
