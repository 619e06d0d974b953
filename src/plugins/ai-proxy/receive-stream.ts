import { WeirError } from '../../base/errors.ts';
import type { StreamConversion } from '../../llm/converters/converter.ts';
import type { AnswerStream } from '../../llm/framing/answer-stream.ts';
import type { StreamObserver } from '../../llm/framing/tap.ts';
import type { Reception, ReceptionLimits } from '../../pipeline/target.ts';
import type { AnswerNotes } from './answer-notes.ts';

const nothing = Buffer.alloc(0);

interface StreamParts {
  readonly stream: AnswerStream;
  /** Reads along in `stream`. */
  readonly observer: StreamObserver;
  /** Converts `stream`; null: it is relayed as it comes. */
  readonly conversion: Pick<StreamConversion, 'hasOutput' | 'hasEnded'> | null;
  readonly notes: AnswerNotes;
  readonly fields: readonly string[];
  readonly flushIntervalMs: number;
  readonly limits: ReceptionLimits;
}

/** Shows a stream to the client as it comes, and reads it on the way. */
export function receiveStream(parts: StreamParts): Reception {
  const { stream, observer, conversion, notes, ...settings } = parts;
  return {
    ...settings,
    gear: 'stream',
    isConverted: conversion !== null,
    onChunk(bytes) {
      notes.begun();
      return stream.chunk(bytes);
    },
    onEnd() {
      const body = stream.end();
      notes.record(observer);
      if (conversion?.hasOutput === false) return { body, failure: new WeirError('UPSTREAM_UNEXPECTED_STREAM') };
      return { body, failure: failureOf(stream, observer) };
    },
    onBroken() {
      stream.cut();
      notes.record(observer);
    },
    errorTail(error) {
      const tail = stream.errorTail(error);
      // After what its protocol calls the end nothing is missing: an error would spoil a complete answer. After an error
      // of the provider's own, another one says nothing new.
      const hasEnded = conversion === null ? observer.sawDone || observer.failed : conversion.hasEnded;
      return tail !== null && hasEnded ? nothing : tail;
    },
  };
}

/** What went wrong in a stream that came to its end. */
function failureOf(stream: AnswerStream, observer: StreamObserver): WeirError | null {
  if (observer.failed) return new WeirError('UPSTREAM_ERROR_EVENT', [observer.errorText ?? '']);
  if (stream.failure !== null) return new WeirError('UPSTREAM_INCOMPLETE_STREAM', [stream.failure]);
  // Of a stream without events, or with one that was too large to be read, nobody knows.
  const isComplete = observer.sawDone || observer.finished || observer.events === 0 || observer.lostEvent;
  return isComplete ? null : new WeirError('UPSTREAM_INCOMPLETE_STREAM', ['no event says that the answer is complete']);
}
