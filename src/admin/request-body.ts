import type { Readable } from 'node:stream';
import { checkJsonShape } from '../schema/json-shape.ts';
import { AdminRefusal } from './admin-reply.ts';

const maxBodyBytes = 1.5 * 1024 * 1024;

/**
 * Reads a request body as JSON, whatever its Content-Type says: `curl -d` calls it a form.
 *
 * @returns The parsed value, `undefined` for an empty body.
 * @throws AdminRefusal 400 as {@link readText}; and for what is not JSON, or of a shape that is not safe (see checkJsonShape).
 */
export async function readJsonBody(payload: Readable): Promise<unknown> {
  const text = await readText(payload, maxBodyBytes);
  if (text === '') return undefined;
  const body = parse(text);
  const shape = checkJsonShape(body);
  if (shape !== null) throw new AdminRefusal(400, `invalid request body: ${shape}`);
  return body;
}

/**
 * Reads a request body as text.
 *
 * @throws AdminRefusal 400: too large, cut off, not UTF-8.
 */
export async function readText(payload: Readable, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of payload) {
      const bytes: Buffer = chunk;
      size += bytes.length;
      // The rest is read and dropped: only a client that could send everything reads the answer.
      if (size <= maxBytes) chunks.push(bytes);
      else chunks.length = 0;
    }
  } catch {
    throw new AdminRefusal(400, 'invalid request body: it ends too early');
  }
  if (size <= maxBytes) return decode(Buffer.concat(chunks));
  throw new AdminRefusal(
    400,
    `invalid request body: request size ${size} is greater than the maximum size ${maxBytes} allowed`,
  );
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new AdminRefusal(400, 'invalid request body: not valid UTF-8');
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new AdminRefusal(400, `invalid request body: ${reason}`, { req_body: text });
  }
}
