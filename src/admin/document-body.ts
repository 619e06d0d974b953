import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { DocumentError, parseDocumentText } from '../config/store/standalone-text.ts';
import { AdminRefusal } from './admin-reply.ts';
import { readText } from './request-body.ts';

/** A whole configuration is larger than a single resource: 10,000 routes of AI plugins are some 10 MB. */
const maxBodyBytes = 128 * 1024 * 1024;

/** Makes a scope take bodies as text, whatever their Content-Type says. */
export function addDocumentParser(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', (_request: FastifyRequest, payload: IncomingMessage) =>
    readText(payload, maxBodyBytes),
  );
}

/**
 * Reads a configuration as a whole, JSON or YAML, from a body that {@link addDocumentParser} has taken.
 *
 * @throws AdminRefusal 400 for what is none.
 */
export function parseDocumentBody(body: unknown): Readonly<Record<string, unknown>> {
  const text = typeof body === 'string' ? body : '';
  if (text.trim() === '') throw new AdminRefusal(400, 'invalid request body: empty request body');
  try {
    // Told apart by their first character: many clients send either with any Content-Type.
    return parseDocumentText(text, text.trimStart().startsWith('{') ? 'json' : 'yaml');
  } catch (error) {
    if (error instanceof DocumentError) throw new AdminRefusal(400, `invalid request body: ${error.message}`);
    throw error;
  }
}
