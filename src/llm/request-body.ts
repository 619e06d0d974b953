import { isUtf8 } from 'node:buffer';
import { WeirError } from '../base/errors.ts';
import { applyBodyRules, withoutMembers, type BodyRules } from './body-rules.ts';
import { checkJsonDepth, isTooDeep, maxJsonDepth, scanJsonObject } from './json-scan.ts';
import { isJsonContainer, parseJson, stringifySorted, type JsonObject } from './json.ts';
import { LargeBody } from './large-body.ts';
import type { Protocol } from './protocols/protocol.ts';

/** A client's request body. */
export interface RequestBody {
  /** As it came; null once a plugin has changed what it says. */
  readonly bytes: Uint8Array | null;
  /** What it says. An array is read as an object without members. */
  readonly json: JsonObject;
  /** The same, but of a large body it may tell no more than the length of its arrays: enough for everything in this file. */
  readonly outline: JsonObject;
  /** Writes a body that differs from `outline` in some members. @throws RangeError when nested too deeply. */
  encode(changed: JsonObject): Uint8Array;
}

// Below this, reading and sorting a body costs less than a request costs anyway.
const largeBodyBytes = 16 * 1024;

/** The body for the provider, and what is known about it. */
export interface ShapedBody {
  /** The client's own bytes if nothing had to change. */
  readonly bytes: Uint8Array;
  /** The answer is asked for as a stream, by the client or by `options`. */
  readonly stream: boolean;
  /** The model that the client named; `''` if none. */
  readonly requestModel: string;
  /** The model that is in effect, sent or not: that of `options`, else the client's; `''` if none. */
  readonly model: string;
  /** Tools that the model may call. */
  readonly toolCount: number;
  /** The client's identification of its own user; `''` if none. */
  readonly endUserId: string;
}

/**
 * Is the Content-Type one that Weir reads? A missing one counts as JSON. The comparison is case-sensitive, as in APISIX.
 */
export function isJsonContentType(contentType: string | undefined): boolean {
  return contentType === undefined || contentType.startsWith('application/json');
}

/**
 * Parses a request body.
 *
 * @returns A WeirError (400) for an empty body, for bytes that are not UTF-8, for broken JSON or JSON of more than 1000
 *   levels, and for JSON that is neither an object nor an array.
 */
export function parseRequestBody(bytes: Uint8Array): RequestBody | WeirError {
  if (bytes.length === 0) return new WeirError('LLM_BODY_EMPTY');
  // The parser would complain of a character that nobody can see.
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) {
    return new WeirError('LLM_BODY_SYNTAX', ['it begins with a byte order mark']);
  }
  // RFC 8259 section 8.1. Decoding would replace the bytes, and what is re-encoded would no longer be what came.
  if (!isUtf8(bytes)) return new WeirError('LLM_BODY_SYNTAX', ['it is not valid UTF-8']);
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    if (bytes.length >= largeBodyBytes) {
      const members = scanJsonObject(buffer);
      if (members !== null) return new LargeBody(buffer, members);
      checkJsonDepth(buffer);
    }
    const json = parseJson(buffer.toString('utf8'));
    if (!isJsonContainer(json)) return new WeirError('LLM_NO_PROTOCOL');
    // Each level takes at least two bytes.
    if (bytes.length > 2 * maxJsonDepth && isTooDeep(json))
      return new WeirError('LLM_BODY_SYNTAX', ['it is nested too deeply']);
    return new SmallBody(bytes, json);
  } catch (cause) {
    return new WeirError('LLM_BODY_SYNTAX', [cause instanceof Error ? cause.message : ''], { cause });
  }
}

/** A body that a plugin or a conversion has made. */
export function bodyFromJson(json: JsonObject): RequestBody {
  return new SmallBody(null, json);
}

/** Written anew with sorted keys wherever it changes. */
class SmallBody implements RequestBody {
  readonly bytes: Uint8Array | null;
  readonly json: JsonObject;

  constructor(bytes: Uint8Array | null, json: JsonObject) {
    this.bytes = bytes;
    this.json = json;
  }

  get outline(): JsonObject {
    return this.json;
  }

  encode(changed: JsonObject): Uint8Array {
    return Buffer.from(stringifySorted(changed), 'utf8');
  }
}

/**
 * Makes the body for the provider, each step over the one before: what the protocol needs for a streamed answer,
 * `options`, `override.llm_options`, `override.request_body`, and out with what the provider does not take. A body in
 * which nothing really changes goes out as the bytes that came; otherwise it is encoded anew with sorted keys, or, above
 * 16 KiB, only the members that change.
 *
 * @param protocol - The one that the provider is spoken to in.
 * @param body - In that protocol; `bytes` is null after a conversion.
 * @param client - What the client itself sent, where `body` is converted from it and may have lost the model.
 * @returns A WeirError (400) if the body is nested too deeply to be encoded.
 */
export function shapeBody(
  rules: BodyRules,
  protocol: Protocol,
  body: RequestBody,
  client: JsonObject = body.outline,
): ShapedBody | WeirError {
  const { outline } = body;
  const own = rules.byProtocol?.[protocol.name];
  const configured = applyBodyRules(outline, rules.options, own);
  const stream = protocol.isStreaming(configured);
  const shaped =
    stream && protocol.prepareStream !== null
      ? applyBodyRules(protocol.prepareStream(outline), rules.options, own)
      : configured;
  const sent = withoutMembers(rules.removesModel ? withoutMembers(shaped, modelName) : shaped, own?.removes ?? noNames);

  const bytes = sent === outline && body.bytes !== null ? body.bytes : encode(body, sent);
  if (bytes instanceof WeirError) return bytes;
  const tools = protocol.toolsOf(sent);
  return {
    bytes,
    stream,
    requestModel: modelOf(client),
    model: modelOf(shaped) || modelOf(client),
    toolCount: Array.isArray(tools) ? tools.length : 0,
    endUserId: protocol.endUserId(sent),
  };
}

const modelName: readonly string[] = ['model'];
const noNames: readonly string[] = [];

function encode(body: RequestBody, sent: JsonObject): Uint8Array | WeirError {
  try {
    return body.encode(sent);
  } catch (cause) {
    return new WeirError('LLM_BODY_SYNTAX', ['it is nested too deeply'], { cause });
  }
}

function modelOf(body: JsonObject): string {
  return typeof body['model'] === 'string' ? body['model'] : '';
}
