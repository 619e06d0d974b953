import { WeirError } from '../../base/errors.ts';
import type { StreamConversion } from '../converters/converter.ts';
import { renderBedrockErrorEvent } from '../protocols/bedrock-error.ts';
import type { Protocol } from '../protocols/protocol.ts';
import { AwsEventSplitter } from './aws-event-stream.ts';
import { parseSseBlock, SseSplitter } from './sse.ts';
import type { StreamObserver } from './tap.ts';

const nothing = Buffer.alloc(0);

/** A streamed answer on its way to the client, in one framing; an observer reads along. */
export interface AnswerStream {
  /**
   * @param bytes - Split anywhere, free for reuse when the result has been used.
   * @returns What the client gets in their place.
   * @throws WeirError UPSTREAM_ANSWER for what would have to be read and cannot be.
   */
  chunk(bytes: Buffer): Buffer;
  /** The upstream has ended the stream. @returns What is still to be said to the client. */
  end(): Buffer;
  /** The upstream was cut, and what came is all that is read. */
  cut(): void;
  /** Why the bytes so far cannot be read; null if they can. They are relayed all the same. */
  readonly failure: string | null;
  /** What tells the client that the stream was cut, where it was cut; null: nothing that it would understand. */
  errorTail(error: WeirError): Buffer | null;
}

/** Server-sent events, relayed as they come. */
export class SseStream implements AnswerStream {
  readonly failure = null;
  readonly #protocol: Protocol;
  readonly #observer: StreamObserver;
  #betweenEvents = true;

  /** @param protocol - What both sides speak. */
  constructor(protocol: Protocol, observer: StreamObserver) {
    this.#protocol = protocol;
    this.#observer = observer;
  }

  chunk(bytes: Buffer): Buffer {
    this.#betweenEvents = endsEvent(bytes);
    this.#observer.chunk(bytes);
    return bytes;
  }

  end(): Buffer {
    this.#observer.end();
    return nothing;
  }

  cut(): void {
    this.#observer.end();
  }

  errorTail(error: WeirError): Buffer | null {
    // Nothing is known of what passes through: an error in other words than its own would be read as a part of the answer.
    if (this.#protocol.streamMarkers === null) return null;
    const event = this.#protocol.renderErrorEvent(error, this.#observer.events);
    // An event that was cut in the middle is closed first, or the client would read the error as a part of it.
    return this.#betweenEvents ? event : Buffer.concat([Buffer.from('\n\n'), event]);
  }
}

/** Ends in a blank line, as every complete event does. */
function endsEvent(bytes: Buffer): boolean {
  const end = bytes.length - 1;
  if (bytes[end] !== 0x0a) return false;
  return bytes[end - 1] === 0x0a || (bytes[end - 1] === 0x0d && bytes[end - 2] === 0x0a);
}

/** Frames of `application/vnd.amazon.eventstream`, relayed as they come. Those that cannot be read are relayed as well. */
export class AwsEventStream implements AnswerStream {
  readonly #splitter: AwsEventSplitter;

  constructor(observer: StreamObserver) {
    this.#splitter = new AwsEventSplitter((event) => observer.event(event));
  }

  get failure(): string | null {
    return this.#splitter.failure;
  }

  chunk(bytes: Buffer): Buffer {
    this.#splitter.push(bytes);
    return bytes;
  }

  end(): Buffer {
    this.#splitter.end();
    return nothing;
  }

  cut(): void {}

  errorTail(error: WeirError): Buffer | null {
    return this.#splitter.betweenEvents ? renderBedrockErrorEvent(error) : null;
  }
}

/** Server-sent events of the provider's protocol, turned into those of the client's. */
export class ConvertedSseStream implements AnswerStream {
  readonly failure = null;
  readonly #clientProtocol: Protocol;
  readonly #conversion: StreamConversion;
  readonly #splitter: SseSplitter;
  #converted = '';

  constructor(clientProtocol: Protocol, conversion: StreamConversion, observer: StreamObserver) {
    this.#clientProtocol = clientProtocol;
    this.#conversion = conversion;
    this.#splitter = new SseSplitter((block) => {
      const event = parseSseBlock(block);
      if (event === null) return;
      observer.event(event);
      this.#converted += conversion.event(event);
    });
  }

  chunk(bytes: Buffer): Buffer {
    this.#splitter.push(bytes);
    if (this.#splitter.lostEvent) throw new WeirError('UPSTREAM_ANSWER', ['an event is larger than 1 MiB']);
    return this.#take();
  }

  end(): Buffer {
    this.#splitter.end();
    this.#converted += this.#conversion.end();
    return this.#take();
  }

  cut(): void {}

  // What was written so far always ends between two events.
  errorTail(error: WeirError): Buffer {
    return this.#clientProtocol.renderErrorEvent(error);
  }

  #take(): Buffer {
    if (this.#converted === '') return nothing;
    const bytes = Buffer.from(this.#converted);
    this.#converted = '';
    return bytes;
  }
}
