import type { Readable } from 'node:stream';
import { checkJsonShape } from '../schema/json-shape.ts';
import { AdminRefusal } from './admin-reply.ts';

const maxBodyBytes = 1.5 * 1024 * 1024;

/**
 * Reads a request body as JSON, whatever its Content-Type says: `curl -d` calls it a form.
 *
 * @param declaredLength - Value of Content-Length, if any.
 * @returns The parsed value, `undefined` for an empty body.
 * @throws AdminRefusal 400: too large, not UTF-8, not JSON, or of a shape that is not safe (see checkJsonShape).
 */
export async function readJsonBody(payload: Readable, declaredLength: string | undefined): Promise<unknown> {
  if (Number(declaredLength ?? 0) > maxBodyBytes) {
    payload.resume();
    throw tooLarge(Number(declaredLength));
  }
  const text = decode(await readBytes(payload));
  if (text === '') return undefined;
  const body = parse(text);
  const shape = checkJsonShape(body);
  if (shape !== null) throw new AdminRefusal(400, `invalid request body: ${shape}`);
  return body;
}

async function readBytes(payload: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of payload) {
    const bytes: Buffer = chunk;
    size += bytes.length;
    // The rest is read and dropped: only a client that could send everything reads the answer.
    if (size <= maxBodyBytes) chunks.push(bytes);
    else chunks.length = 0;
  }
  if (size > maxBodyBytes) throw tooLarge(size);
  return Buffer.concat(chunks);
}

function tooLarge(size: number): AdminRefusal {
  return new AdminRefusal(
    400,
    `invalid request body: request size ${size} is greater than the maximum size ${maxBodyBytes} allowed`,
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
