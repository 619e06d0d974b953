import { errorText } from '../error-text.ts';
import { smallBody } from '../load/bodies.ts';
import type { Peer, Target } from './peer.ts';

const limitMs = 5000;

/**
 * Sends one request through a peer.
 *
 * @throws Error with the address and what came from there, if that is not the answer of the mock.
 */
export async function checkPeer(peer: Peer, target: Target): Promise<void> {
  const request = peer.request(target);
  if (request === null) return;
  const url = `http://127.0.0.1:${request.port}${request.path}`;
  let response: Response;
  let text: string;
  try {
    response = await fetch(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...request.headers },
      body: smallBody,
      signal: AbortSignal.timeout(limitMs),
    });
    text = await response.text();
  } catch (error) {
    throw new Error(`no answer from ${url}: ${errorText(error)}`, { cause: error });
  }
  if (response.status === 200 && text.includes('"total_tokens":87')) return;
  throw new Error(`${url} answered ${response.status} ${JSON.stringify(text.slice(0, 120))}, not what the mock says`);
}
