import { WeirError } from '../../base/errors.ts';
import type { Conversion } from '../../llm/converters/converter.ts';
import { observeBody } from '../../llm/framing/tap.ts';
import { isJsonObject, parseJsonObject, type JsonObject } from '../../llm/json.ts';
import type { Protocol } from '../../llm/protocols/protocol.ts';
import type { Ending, Reception, ReceptionLimits } from '../../pipeline/target.ts';
import type { AnswerNotes } from './answer-notes.ts';

const nothing = Buffer.alloc(0);
const noEnding: Ending = { body: nothing, failure: null };

interface WholeParts {
  readonly gear: 'whole' | 'pass';
  readonly status: number;
  /** Makes the client's answer of the provider's; null: they are the same. */
  readonly convert: ((body: Buffer) => Buffer | WeirError) | null;
  /** What the client speaks. */
  readonly protocol: Protocol;
  readonly capturesText: boolean;
  readonly notes: AnswerNotes;
  readonly fields: readonly string[];
  readonly limits: ReceptionLimits;
}

/** Reads an answer that is no stream when all of it is here. */
export function receiveWhole(parts: WholeParts): Reception {
  const { gear, convert, protocol, capturesText, notes, fields, limits } = parts;
  return {
    gear,
    fields,
    flushIntervalMs: 0,
    isConverted: convert !== null,
    limits,
    onChunk: (bytes) => bytes,
    onEnd(received) {
      notes.begun();
      if (received === null) return noEnding;
      if (isEmptySuccess(parts, received)) {
        return { body: nothing, failure: new WeirError('UPSTREAM_ANSWER', ['it is empty']) };
      }
      const body = convert === null ? received : convert(received);
      if (body instanceof WeirError) return { body: nothing, failure: body };
      notes.record(observeBody(protocol, body, { captureText: capturesText }));
      return { body, failure: null };
    },
    onBroken() {},
    errorTail: () => null,
  };
}

/** Whoever speaks JSON has to say something. */
function isEmptySuccess({ protocol, status }: WholeParts, received: Buffer): boolean {
  return received.length === 0 && status === 200 && !protocol.keepsRequestLine;
}

interface AnswerFacts {
  readonly status: number;
  /** The effective model, `''` if unknown. */
  readonly model: string;
  /** Its Content-Encoding; null: none. */
  readonly coding: string | null;
}

/**
 * Converts the body of a whole answer, an error of the provider included.
 *
 * @returns UPSTREAM_ANSWER for what calls itself a success and is none.
 */
export function convertAnswer(
  conversion: Conversion,
  received: Buffer,
  { status, model, coding }: AnswerFacts,
): Buffer | WeirError {
  const isSuccess = status < 300;
  const compressed = coding === null ? null : `it is compressed (${coding}), which was not asked for`;
  const answer = compressed === null ? parseJsonObject(received.toString()) : null;
  if (answer === null && isSuccess) return new WeirError('UPSTREAM_ANSWER', [compressed ?? 'it is no JSON object']);
  const reason =
    compressed === null ? reasonOf(received, status) : `the provider answered with status ${status}; ${compressed}`;
  const converted = conversion.convertAnswer(answer ?? { error: { message: reason } }, model, status);
  // Both in Anthropic's protocol and in OpenAI's an error is the member `error` of what is no answer.
  const { error } = converted;
  if (isSuccess && isJsonObject(error)) return new WeirError('UPSTREAM_ANSWER', [String(error['message'])]);
  return encode(converted);
}

/** Proxies in front of a provider answer with text. */
function reasonOf(received: Buffer, status: number): string {
  const text = received.toString().trim();
  return text === '' ? `the provider answered with status ${status} and no reason` : text;
}

function encode(answer: JsonObject): Buffer | WeirError {
  try {
    return Buffer.from(JSON.stringify(answer));
  } catch (cause) {
    if (cause instanceof RangeError) return new WeirError('UPSTREAM_ANSWER', ['it is nested too deeply'], { cause });
    throw cause;
  }
}
