import type { ErrorCode } from '../../src/base/errors.ts';
import type { RecordedRequest } from '../support/mock-provider.ts';
import type { Dialect } from './dialects.ts';
import { drip, send, stopAfter, type Fault } from './fault-provider.ts';
import { wireAnswer, type WireAnswer } from './wire-answer.ts';

/** The `timeout` of routes whose provider falls silent, in ms. A busy machine answers well within it. */
export const stallTimeoutMs = 700;

const pieces = ['one ', 'zwei ä€'];
/** What a good answer says. */
export const said = pieces.join('');
const sse = 'text/event-stream';
const someRequest = { body: Buffer.from('{"model":"m"}') } as RecordedRequest;

/** The events of a good streamed answer. */
export function goodEvents(dialect: Dialect): readonly string[] {
  return dialect.events(pieces, someRequest);
}

/** The good answer of a provider. */
export function goodAnswer(dialect: Dialect, stream: boolean, framing?: 'length' | 'chunked' | 'close'): WireAnswer {
  return stream
    ? wireAnswer(goodEvents(dialect), { contentType: sse, framing: framing ?? 'chunked' })
    : wireAnswer([dialect.plain(said)], { framing: framing ?? 'length' });
}

/** What follows for the client, and for the next request. */
export interface Outcome {
  /** An error of the gateway; null: the client gets what the provider said. */
  readonly error?: ErrorCode;
  /** Default 502 with an error, else 200. */
  readonly status?: number;
  /** `$weir_error` of an answer that is relayed. Default none. */
  readonly logged?: ErrorCode;
  readonly upstreamStatus?: string;
  /** What the client's body is; default: that of {@link goodAnswer}. */
  readonly body?: string;
  /** The next request comes on the same connection. */
  readonly kept: boolean;
}
export interface FaultyAnswer {
  readonly name: string;
  readonly fault: (wire: WireAnswer, dialect: Dialect) => Fault;
  readonly timeout?: number;
  readonly only?: 'plain' | 'streamed';
  readonly outcomeOf: (wire: WireAnswer, dialect: Dialect) => Outcome;
}

const invalid = { error: 'UPSTREAM_INVALID_RESPONSE', kept: false } as const;
const headOf = (wire: WireAnswer): Buffer => wire.bytes.subarray(0, wire.headBytes);
const replaced = (wire: WireAnswer, from: string | RegExp, to: string): Buffer =>
  Buffer.from(wire.bytes.toString('latin1').replace(from, to), 'latin1');
const always = (outcome: Outcome) => (): Outcome => outcome;
const json = 'Content-Type: application/json\r\n';

const withoutItsEnd = ({ bytes }: WireAnswer): Buffer => bytes.subarray(0, -10);

/** Answers with something wrong about them, from the first byte to the last. */
export const faultyAnswers: readonly FaultyAnswer[] = [
  ...(
    [
      ['another protocol', 'SSH-2.0-OpenSSH_9.9\r\n\r\n'],
      ['bytes without a line', '\x00\xff\x16\x03\r\n\r\n'],
      ['a page without a head', '<html><body>503</body></html>\r\n\r\n'],
      ['a later version of HTTP', 'HTTP/2 200\r\n\r\n'],
      ['a status that does not exist', 'HTTP/1.1 999 X\r\n\r\n'],
      ['a change of protocol', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'],
      ['interim answers for ever', 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(20)],
      ['two framings', `HTTP/1.1 200 OK\r\n${json}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}`],
      ['two lengths', `HTTP/1.1 200 OK\r\n${json}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`],
      ['a length that is no number', `HTTP/1.1 200 OK\r\n${json}Content-Length: -2\r\n\r\n{}`],
      ['a coding that was not asked for', `HTTP/1.1 200 OK\r\n${json}Transfer-Encoding: gzip\r\n\r\n{}`],
      ['a line of the head without a name', 'HTTP/1.1 200 OK\r\n: x\r\n\r\n'],
      ['a head that never ends', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(300_000)}`],
    ] as const
  ).map(([name, bytes]) => ({
    name: `is ${name}`,
    fault: () => send(Buffer.from(bytes, 'latin1')),
    outcomeOf: always({ ...invalid, upstreamStatus: '-' }),
  })),
  {
    name: 'has chunks of no size',
    fault: (wire) => send(Buffer.concat([headOf(wire), Buffer.from('zz\r\n{}\r\n')])),
    only: 'streamed',
    outcomeOf: always({ ...invalid, upstreamStatus: '200' }),
  },
  {
    name: 'has a chunk of negative size',
    fault: (wire) => send(Buffer.concat([headOf(wire), Buffer.from('-1\r\n')])),
    only: 'streamed',
    outcomeOf: always({ ...invalid, upstreamStatus: '200' }),
  },
  {
    name: 'has a chunk larger than any number',
    fault: (wire) => send(Buffer.concat([headOf(wire), Buffer.from(`${'f'.repeat(20)}\r\n`)])),
    only: 'streamed',
    outcomeOf: always({ ...invalid, upstreamStatus: '200' }),
  },
  {
    name: 'is shorter than announced, and closes',
    fault: (wire) => stopAfter(replaced(wire, /Length: \d+/, `Length: ${wire.body.length + 10}`), 'close'),
    only: 'plain',
    outcomeOf: always({ error: 'UPSTREAM_RESET', upstreamStatus: '200', kept: false }),
  },
  {
    name: 'is shorter than announced, and waits',
    fault: (wire) => send(replaced(wire, /Length: \d+/, `Length: ${wire.body.length + 10}`)),
    only: 'plain',
    timeout: stallTimeoutMs,
    outcomeOf: always({ error: 'UPSTREAM_READ_TIMEOUT', status: 504, upstreamStatus: '200', kept: false }),
  },
  {
    // HTTP says that the message ends there; what follows must not become the answer to the next request.
    name: 'is longer than announced',
    fault: (wire) => send(replaced(wire, /Length: \d+/, `Length: ${wire.body.length - 10}`)),
    only: 'plain',
    outcomeOf: (wire, dialect) =>
      dialect.isRelayed
        ? { kept: false, body: wire.body.subarray(0, -10).toString() }
        : { error: 'UPSTREAM_ANSWER', upstreamStatus: '200', kept: false },
  },
  {
    name: 'is followed by another one that nobody asked for',
    fault: (wire) => send(Buffer.concat([wire.bytes, wire.bytes])),
    outcomeOf: always({ kept: false }),
  },
  {
    name: 'comes after interim ones',
    fault: (wire) =>
      send(
        Buffer.concat([
          Buffer.from(
            ['100 Continue', '102 Processing', '103 Early Hints']
              .map((status) => `HTTP/1.1 ${status}\r\nLink: </x>\r\n\r\n`)
              .join(''),
          ),
          wire.bytes,
        ]),
      ),
    outcomeOf: always({ kept: true }),
  },
  { name: 'drips', fault: (wire) => drip(wire.bytes), outcomeOf: always({ kept: true }) },
  {
    name: 'is good and ends with its connection',
    fault: (_wire, dialect) => (call) => {
      const { stream = false } = JSON.parse(call.request.body.toString()) as { stream?: boolean };
      stopAfter(goodAnswer(dialect, stream, 'close').bytes, 'close')(call);
    },
    outcomeOf: always({ kept: false }),
  },
  {
    // Where only the end of the connection ends the body, HTTP cannot tell that something is missing.
    name: 'ends with its connection, too early',
    fault: (_wire, dialect) => stopAfter(withoutItsEnd(goodAnswer(dialect, false, 'close')), 'close'),
    only: 'plain',
    outcomeOf: (wire, dialect) =>
      dialect.isRelayed
        ? { kept: false, body: withoutItsEnd(wire).subarray(wire.headBytes).toString() }
        : { error: 'UPSTREAM_ANSWER', upstreamStatus: '200', kept: false },
  },
  {
    name: 'is a stream that ends with its connection, too early: the log tells',
    fault: (_wire, dialect) => {
      const begun = wireAnswer(goodEvents(dialect).slice(0, 3), { contentType: sse, framing: 'close' });
      return stopAfter(begun.bytes, 'close');
    },
    only: 'streamed',
    outcomeOf: (_wire, dialect) => ({
      kept: false,
      logged: 'UPSTREAM_INCOMPLETE_STREAM',
      ...(dialect.isRelayed && { body: goodEvents(dialect).slice(0, 3).join('') }),
    }),
  },
  {
    name: 'is an error of its own that breaks',
    fault: (wire) => stopAfter(replaced(wire, '200 OK', '500 X').subarray(0, -3), 'close'),
    only: 'plain',
    outcomeOf: always({ error: 'UPSTREAM_RESET', upstreamStatus: '500', kept: false }),
  },
  {
    name: 'is empty',
    fault: () => send(wireAnswer([], { framing: 'length' }).bytes),
    outcomeOf: always({ error: 'UPSTREAM_ANSWER', upstreamStatus: '200', kept: true }),
  },
  { name: 'is good', fault: (wire) => send(wire.bytes), outcomeOf: always({ kept: true }) },
  {
    name: 'is good and says that the connection ends',
    fault: (wire) => send(replaced(wire, 'Content-Type', 'Connection: close\r\nContent-Type')),
    outcomeOf: always({ kept: false }),
  },
  {
    name: 'is a stream without a byte',
    fault: () => send(wireAnswer([], { contentType: sse }).bytes),
    outcomeOf: always({ error: 'UPSTREAM_EMPTY_STREAM', upstreamStatus: '200', kept: true }),
  },
  {
    name: 'is a stream without an event',
    fault: () => send(wireAnswer([': ping\n\n'], { contentType: sse }).bytes),
    only: 'streamed',
    outcomeOf: (_wire, dialect) =>
      dialect.isRelayed
        ? { kept: true, body: ': ping\n\n' }
        : { error: 'UPSTREAM_UNEXPECTED_STREAM', upstreamStatus: '200', kept: true },
  },
  {
    name: 'is a stream that reports an error at once',
    fault: (_wire, dialect) => send(wireAnswer([dialect.errorEvent], { contentType: sse }).bytes),
    only: 'streamed',
    outcomeOf: (_wire, dialect) => ({
      kept: true,
      logged: 'UPSTREAM_ERROR_EVENT',
      ...(dialect.isRelayed && { body: dialect.errorEvent }),
    }),
  },
  {
    name: 'is a stream that reports an error and breaks: one error is enough',
    fault: (_wire, dialect) => {
      const reported = wireAnswer([dialect.errorEvent], { contentType: sse }).bytes;
      return stopAfter(reported.subarray(0, -5), 'close');
    },
    only: 'streamed',
    outcomeOf: (_wire, dialect) => ({
      kept: false,
      logged: 'UPSTREAM_RESET',
      ...(dialect.isRelayed && { body: dialect.errorEvent }),
    }),
  },
];

/** An error as a provider, or a proxy in front of it, tells it. */
export interface ErrorAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** Bodies of errors, of any status. */
export const errorBodies = [
  {
    name: 'JSON',
    contentType: 'application/json',
    body: '{"error":{"message":"slow down","type":"rate_limit_error","code":null}}',
  },
  { name: 'HTML', contentType: 'text/html', body: '<html><body><h1>Bad gateway</h1></body></html>' },
  { name: 'an empty body', contentType: 'application/json', body: '' },
  {
    name: 'a large body',
    contentType: 'application/json',
    body: JSON.stringify({ error: { message: 'x'.repeat(300_000) } }),
  },
] as const satisfies readonly (Omit<ErrorAnswer, 'status'> & { readonly name: string })[];

/** With `Retry-After: 7`. */
export function errorAnswer({ status, contentType, body }: ErrorAnswer): WireAnswer {
  return wireAnswer([body], { status: `${status} X`, contentType, framing: 'length', fields: ['Retry-After: 7'] });
}
