import type { ResponseHead } from '../../http/response-head.ts';
import { AwsEventStream, ConvertedSseStream, SseStream } from '../../llm/framing/answer-stream.ts';
import { StreamObserver } from '../../llm/framing/tap.ts';
import { listedNames } from '../../llm/header-rules.ts';
import type { Protocol } from '../../llm/protocols/protocol.ts';
import { convertedResponseFields, responseFields, withoutArguments } from '../../llm/response-headers.ts';
import type { LlmTarget } from '../../llm/target.ts';
import type { Reception } from '../../pipeline/target.ts';
import type { AnswerNotes } from './answer-notes.ts';
import { receiveStream } from './receive-stream.ts';
import { convertAnswer, receiveWhole } from './receive-whole.ts';
import type { Translation } from './translation.ts';

interface AnswerParts {
  readonly target: LlmTarget;
  /** What the client speaks. */
  readonly protocol: Protocol;
  readonly translation: Translation;
  /** The effective model, `''` if unknown. */
  readonly model: string;
  readonly notes: AnswerNotes;
  readonly capturesText: boolean;
}

/** Decides how an answer is read: the answer itself says whether it is a stream, not the request. */
export function receiveAnswer(head: ResponseHead, parts: AnswerParts): Reception {
  const { target, protocol, translation, model, notes, capturesText } = parts;
  const { conversion } = translation;
  const forwarded = responseFields(head.fields.flat, listedNames(head.fields.getCombined('connection')));
  const fields = withoutArguments(forwarded, target.endpoint.lockedArguments);
  const limits = { maxBytes: target.maxResponseBytes, maxDurationMs: target.maxStreamDurationMs };
  const settings = { notes, limits, flushIntervalMs: target.flushIntervalMs };
  const framing = framingOf(head);
  const observe = (): StreamObserver => new StreamObserver(translation.protocol, { captureText: capturesText });

  if (conversion !== null) {
    const coding = codingOf(head);
    const converted = framing === 'sse' && coding === null ? conversion.startStream(model) : null;
    if (converted !== null) {
      const observer = observe();
      const stream = new ConvertedSseStream(protocol, converted, observer);
      const streamFields = convertedResponseFields(fields, 'text/event-stream');
      return receiveStream({ ...settings, stream, observer, conversion: converted, fields: streamFields });
    }
    return receiveWhole({
      gear: 'whole',
      status: head.status,
      convert: (body) => convertAnswer(conversion, body, { status: head.status, model, coding }),
      protocol,
      capturesText,
      notes,
      limits,
      fields: convertedResponseFields(fields, 'application/json'),
    });
  }
  if (framing !== null) {
    const observer = observe();
    const stream = framing === 'aws' ? new AwsEventStream(observer) : new SseStream(protocol, observer);
    return receiveStream({ ...settings, stream, observer, conversion: null, fields });
  }
  const gear = protocol.keepsRequestLine ? 'pass' : 'whole';
  return receiveWhole({ gear, status: head.status, convert: null, protocol, capturesText, notes, limits, fields });
}

/** How the answer is compressed, which no provider is asked to do; null: it is not. */
function codingOf(head: ResponseHead): string | null {
  const coding = head.fields.getCombined('content-encoding')?.toLowerCase() ?? '';
  return coding === '' || coding === 'identity' ? null : coding;
}

/** The framing of a streamed answer; null: it is none. */
function framingOf(head: ResponseHead): 'sse' | 'aws' | null {
  if (head.status >= 300) return null;
  const contentType = head.fields.get('content-type')?.toLowerCase();
  if (contentType === undefined) return null;
  if (contentType.includes('text/event-stream')) return 'sse';
  return contentType.includes('application/vnd.amazon.eventstream') ? 'aws' : null;
}
