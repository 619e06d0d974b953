import type { RequestView } from './request-view.ts';

/** Name -> first value. */
type FormFields = ReadonlyMap<string, string>;

const noFields: FormFields = new Map();

/** One body is asked for many names, by every candidate route. */
const parsed = new WeakMap<Uint8Array, FormFields>();

/**
 * A field of a form in the request body, `application/x-www-form-urlencoded` or `multipart/form-data`.
 * Of several fields with one name the first counts. Files in multipart bodies are no fields.
 *
 * @returns Undefined when there is no such field, the body is no form or has not been read.
 */
export function formField(request: RequestView, name: string): string | undefined {
  const { body } = request;
  if (body === null) return undefined;
  let fields = parsed.get(body);
  if (fields === undefined) {
    fields = parseForm(body, request.header('content-type') ?? '');
    parsed.set(body, fields);
  }
  return fields.get(name);
}

/** The media type of a Content-Type value, without parameters, in lower case. */
export function mediaType(contentType: string): string {
  const semicolon = contentType.indexOf(';');
  return (semicolon === -1 ? contentType : contentType.slice(0, semicolon)).trim().toLowerCase();
}

function parseForm(body: Uint8Array, contentType: string): FormFields {
  switch (mediaType(contentType)) {
    case 'application/x-www-form-urlencoded':
      return parseUrlEncoded(body);
    case 'multipart/form-data':
      return parseMultipart(body, contentType);
    default:
      return noFields;
  }
}

function parseUrlEncoded(body: Uint8Array): FormFields {
  const fields = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(Buffer.from(body).toString())) {
    if (!fields.has(name)) fields.set(name, value);
  }
  return fields;
}

/** Source: RFC 7578 and RFC 2046, 5.1.1. A part that cannot be read is skipped. */
function parseMultipart(body: Uint8Array, contentType: string): FormFields {
  const match = /;\s*boundary=(?:"(?<quoted>[^"]+)"|(?<token>[^\s;"]+))/i.exec(contentType);
  const boundary = match?.groups?.['quoted'] ?? match?.groups?.['token'];
  if (boundary === undefined) return noFields;

  const fields = new Map<string, string>();
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const delimiter = `--${boundary}`;
  let start = bytes.indexOf(delimiter);
  while (start !== -1) {
    const partStart = start + delimiter.length;
    const next = bytes.indexOf(`\r\n${delimiter}`, partStart);
    if (next === -1) break;
    readPart(bytes.subarray(partStart, next), fields);
    start = next + 2;
  }
  return fields;
}

function readPart(part: Buffer, fields: Map<string, string>): void {
  const headEnd = part.indexOf('\r\n\r\n');
  if (headEnd === -1) return;
  const head = part.toString('utf8', 0, headEnd);
  const disposition = /^content-disposition:\s*form-data(?<parameters>[^\r\n]*)/im.exec(head)?.groups?.['parameters'];
  if (disposition === undefined || /;\s*filename\*?=/i.test(disposition)) return;
  const name = /;\s*name=(?:"(?<quoted>[^"]*)"|(?<token>[^\s;"]+))/i.exec(disposition)?.groups;
  const key = name?.['quoted'] ?? name?.['token'];
  if (key !== undefined && !fields.has(key)) fields.set(key, part.toString('utf8', headEnd + 4));
}
