import { isJsonObject } from '../llm/json.ts';
import { parseSseBlock, SseSplitter } from '../llm/framing/sse.ts';

/** A call of the tour has failed. The message says which and how. */
export class DemoCallError extends Error {
  override readonly name = 'DemoCallError';
}

export interface JsonCall {
  readonly url: string;
  readonly method?: 'POST' | 'PUT';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: object;
  /** Ends the call when the demo ends. */
  readonly signal: AbortSignal;
}

/** @throws DemoCallError unless the answer is a 2xx with JSON; the reason of the signal. */
export async function callForJson(call: JsonCall): Promise<{ readonly status: number; readonly json: unknown }> {
  const response = await send(call);
  return { status: response.status, json: await response.json() };
}

/**
 * Makes a streamed chat call.
 *
 * @param onText - Told each piece of the answer as it arrives.
 * @throws DemoCallError unless the answer is a 2xx; the reason of the signal.
 */
export async function callForStream(call: JsonCall, onText: (text: string) => void): Promise<void> {
  const response = await send(call);
  const splitter = new SseSplitter((block) => onText(deltaText(parseSseBlock(block)?.data ?? '')));
  for await (const chunk of response.body ?? []) splitter.push(chunk);
  splitter.end();
}

async function send({ url, method = 'POST', headers, body, signal }: JsonCall): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, {
      method,
      headers: { 'Content-Type': 'application/json', ...headers },
      body: JSON.stringify(body),
      signal,
    });
  } catch (error) {
    signal.throwIfAborted();
    const { cause } = error as Error;
    const reason = cause instanceof Error ? cause.message : String(error);
    throw new DemoCallError(`${method} ${url} failed: ${reason}`, { cause: error });
  }
  if (response.ok) return response;
  throw new DemoCallError(`${method} ${url} was answered with ${response.status}: ${await response.text()}`);
}

/** The text that one event of a chat stream adds; `''` for all that is no text. */
function deltaText(data: string): string {
  if (!data.startsWith('{')) return '';
  const event: unknown = JSON.parse(data);
  const choice: unknown = isJsonObject(event) && Array.isArray(event['choices']) ? event['choices'][0] : undefined;
  const delta = isJsonObject(choice) ? choice['delta'] : undefined;
  const content = isJsonObject(delta) ? delta['content'] : undefined;
  return typeof content === 'string' ? content : '';
}
