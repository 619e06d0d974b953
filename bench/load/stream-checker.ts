import { framingEvents } from '../mock/answers.ts';

/** What a checker has to say about the deltas of a stream; times in microseconds. */
interface DeltaSink {
  /**
   * A content delta came.
   *
   * @param transitMicros - Since the mock wrote it.
   * @param excessGapMicros - By how much the time since the delta before is longer (or, negative, shorter) than it was
   *   when the mock wrote the two; NaN for the first delta.
   */
  onDelta(transitMicros: number, excessGapMicros: number): void;
}

interface Expectation {
  /** Content deltas that the mock sends. */
  readonly deltas: number;
  /** A delta that takes longer than this from the mock to the client is late. */
  readonly lateAfterMs: number;
}

/**
 * Checks one streamed answer against what the mock sent: role, deltas 0 to n-1, usage, `[DONE]`; nothing lost, nothing
 * twice, nothing out of order, nothing late.
 */
export class StreamChecker {
  readonly #expected: Expectation;
  readonly #sink: DeltaSink;
  #pending = '';
  #step: 'role' | 'deltas' | 'done' | 'end' = 'role';
  #nextDelta = 0;
  #lastTransit = NaN;
  /** What is wrong with the stream, the first thing only; null while all is well. */
  fault: string | null = null;

  constructor(expected: Expectation, sink: DeltaSink) {
    this.#expected = expected;
    this.#sink = sink;
  }

  /** Events seen so far that were as expected. */
  get events(): number {
    const steps = { role: 0, deltas: 1, done: framingEvents - 1, end: framingEvents } as const;
    return this.#nextDelta + steps[this.#step];
  }

  /**
   * The next part of the body.
   *
   * @param nowMicros - When it came, on the clock that the mock uses.
   */
  push(text: string, nowMicros: number): void {
    const all = this.#pending === '' ? text : this.#pending + text;
    let start = 0;
    for (let end = all.indexOf('\n\n'); end !== -1; end = all.indexOf('\n\n', start)) {
      const event = all.slice(start, end);
      start = end + 2;
      // Comments are for keeping connections alive; a gateway may add them.
      if (!event.startsWith(':')) this.#check(event, nowMicros);
    }
    this.#pending = all.slice(start);
  }

  /** The answer is complete. @returns What is wrong with it, or null. */
  end(): string | null {
    if (this.fault === null && this.#step !== 'end') this.#fail(`ended before ${this.#describeNext()}`);
    return this.fault;
  }

  #check(event: string, nowMicros: number): void {
    if (this.fault !== null) return;
    if (this.#step === 'role') {
      if (event.includes('"role":"assistant"')) this.#step = 'deltas';
      else this.#failAt(event);
    } else if (this.#step === 'deltas' && this.#nextDelta < this.#expected.deltas) this.#checkDelta(event, nowMicros);
    else if (this.#step === 'deltas' && event.includes('"usage":{')) this.#step = 'done';
    else if (this.#step === 'done' && event.startsWith('data: [DONE]')) this.#step = 'end';
    else this.#failAt(event);
  }

  #checkDelta(event: string, nowMicros: number): void {
    const content = /"content":"(\d+):(\d+) "/.exec(event);
    if (content === null || Number(content[1]) !== this.#nextDelta) return this.#failAt(event);
    this.#nextDelta++;
    const transit = nowMicros - Number(content[2]);
    this.#sink.onDelta(transit, transit - this.#lastTransit);
    this.#lastTransit = transit;
    if (transit > this.#expected.lateAfterMs * 1000) {
      this.#fail(`delta ${this.#nextDelta - 1} was ${Math.round(transit / 1000)} ms late`);
    }
  }

  #failAt(event: string): void {
    const content = /"content":"(\d+):/.exec(event)?.[1];
    const got = content === undefined ? JSON.stringify(event.slice(0, 60)) : `delta ${content}`;
    this.#fail(`${got} instead of ${this.#describeNext()}`);
  }

  #describeNext(): string {
    if (this.#step === 'deltas') {
      return this.#nextDelta < this.#expected.deltas ? `delta ${this.#nextDelta}` : 'usage';
    }
    return { role: 'the role', done: '[DONE]', end: 'the end' }[this.#step];
  }

  #fail(fault: string): void {
    this.fault = fault;
  }
}
