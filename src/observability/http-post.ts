import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';

/** Where and how logs are posted. */
export interface HttpPostTarget {
  /** `http:` or `https:`. */
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** False: any certificate of the server is accepted. */
  readonly verifyTls: boolean;
}

/**
 * Posts a body over a connection that is kept for the next one.
 *
 * @param signal - Ends it, also while the answer's body still comes.
 * @throws Error when no answer came or its status is 400 or more: the body has to be taken for not delivered.
 */
export async function postBody(target: HttpPostTarget, body: string, signal: AbortSignal): Promise<void> {
  const first = await post(target, body, signal);
  // The server closed an idle connection at the very moment when it was used again: it has seen nothing of the request.
  const result = first.outcome === 'stale connection' ? await post(target, body, signal) : first;
  if (result.outcome !== 'delivered') throw result.error;
}

type PostResult =
  | { readonly outcome: 'delivered' }
  | { readonly outcome: 'failed' | 'stale connection'; readonly error: Error };

function post({ url, headers, verifyTls }: HttpPostTarget, body: string, signal: AbortSignal): Promise<PostResult> {
  return new Promise((resolve) => {
    const options = {
      method: 'POST',
      headers: { ...headers, 'Content-Length': String(Buffer.byteLength(body)) },
      signal,
    };
    const onError = (error: Error): void => {
      const stale = request.reusedSocket && 'code' in error && error.code === 'ECONNRESET';
      resolve({ outcome: stale ? 'stale connection' : 'failed', error });
    };
    const onResponse = (response: IncomingMessage): void => {
      const { statusCode = 0 } = response;
      response.on('error', () => {}).resume();
      if (statusCode < 400) resolve({ outcome: 'delivered' });
      else resolve({ outcome: 'failed', error: new HttpStatusError(statusCode) });
    };
    const request: ClientRequest =
      url.protocol === 'https:'
        ? httpsRequest(url, { ...options, rejectUnauthorized: verifyTls })
        : httpRequest(url, options);
    request.on('error', onError).on('response', onResponse).end(body);
  });
}

class HttpStatusError extends Error {
  override readonly name = 'HttpStatusError';

  constructor(status: number) {
    super(`the server answered with status ${status}`);
  }
}
