import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { describe, it } from 'node:test';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { AwsEventSplitter, encodeAwsEvent } from './aws-event-stream.ts';
import type { StreamEvent } from './stream-event.ts';

/** The part of Amazon's own codec that judges ours. */
interface Codec {
  encode(message: { headers: Record<string, unknown>; body: Uint8Array }): Uint8Array;
  decode(frame: Uint8Array): { headers: Record<string, unknown>; body: Uint8Array };
}
// Not a dependency of ours, but of the client that is.
const ofClient = createRequire(import.meta.resolve('@aws-sdk/client-bedrock-runtime'));
const smithy: { EventStreamCodec: new (toUtf8: unknown, fromUtf8: unknown) => Codec; Int64: Int64Class } =
  ofClient('@smithy/core/event-streams');
interface Int64Class {
  fromNumber(value: number): unknown;
}
const codec = new smithy.EventStreamCodec(
  (bytes: Uint8Array) => Buffer.from(bytes).toString('utf8'),
  (text: string) => Buffer.from(text),
);

interface Outcome {
  readonly events: StreamEvent[];
  readonly failure: string | null;
}

function split(chunks: readonly Uint8Array[], atEnd: 'ended' | 'open' = 'ended'): Outcome {
  const events: StreamEvent[] = [];
  const splitter = new AwsEventSplitter((event) => events.push(event));
  // One reused buffer, like the read buffer of a socket: nothing may keep a view of it.
  const readBuffer = Buffer.alloc(Math.max(1, ...chunks.map((chunk) => chunk.length)));
  for (const chunk of chunks) {
    readBuffer.set(chunk);
    splitter.push(readBuffer.subarray(0, chunk.length));
    readBuffer.fill(0);
  }
  if (atEnd === 'ended') splitter.end();
  return { events, failure: splitter.failure };
}

function bytewise(bytes: Uint8Array): Uint8Array[] {
  return Array.from(bytes, (byte) => Uint8Array.of(byte));
}

const delta = encodeAwsEvent({
  headers: { ':event-type': 'contentBlockDelta', ':content-type': 'application/json', ':message-type': 'event' },
  payload: '{"delta":{"text":"é – 語 – 😀"}}',
});
const exception = encodeAwsEvent({
  headers: { ':message-type': 'exception', ':exception-type': 'throttlingException' },
  payload: '{"message":"slow"}',
});
const deltaEvent = { event: 'contentBlockDelta', data: '{"delta":{"text":"é – 語 – 😀"}}' };
const exceptionEvent = { event: 'exception:throttlingException', data: '{"message":"slow"}' };

/** A frame whose checksums are right, whatever else is wrong with it. */
function rawFrame(parts: { total?: number; headersLength?: number; headers?: Buffer; payload?: Buffer }): Buffer {
  const { headers = Buffer.alloc(0), payload = Buffer.alloc(0) } = parts;
  const frame = Buffer.concat([Buffer.alloc(12), headers, payload, Buffer.alloc(4)]);
  frame.writeUInt32BE(parts.total ?? frame.length, 0);
  frame.writeUInt32BE(parts.headersLength ?? headers.length, 4);
  frame.writeUInt32BE(crc32(frame.subarray(0, 8)), 8);
  frame.writeUInt32BE(crc32(frame.subarray(0, -4)), frame.length - 4);
  return frame;
}

describe('frames of vnd.amazon.eventstream', () => {
  const stream = Buffer.concat([delta, exception, delta]);
  const expected = { events: [deltaEvent, exceptionEvent, deltaEvent], failure: null };

  it('yield an event each', () => assert.deepEqual(split([stream]), expected));

  it('V26 yield the same events at every split point', () => {
    for (let cut = 0; cut <= stream.length; cut++) {
      assert.deepEqual(split([stream.subarray(0, cut), stream.subarray(cut)]), expected, `split at ${cut}`);
    }
  });

  it('V26 yield the same events byte by byte', () => assert.deepEqual(split(bytewise(stream)), expected));

  it('without headers and payload are as the specification of the format shows them', () => {
    const empty = Buffer.from('000000100000000005c248eb7d98c8ff', 'hex');
    assert.deepEqual(encodeAwsEvent({ headers: {}, payload: '' }), empty);
    assert.deepEqual(split([empty]), { events: [{ event: 'message', data: '' }], failure: null });
  });

  it('of an error that the model of the service does not know are named by its code', () => {
    const headers = { ':message-type': 'error', ':error-code': 'Overloaded', ':error-message': 'x' };
    const { events } = split([encodeAwsEvent({ headers, payload: '' })]);
    assert.deepEqual(events, [{ event: 'exception:Overloaded', data: '' }]);
  });

  it('tell whether another event may be written behind them', () => {
    const splitter = new AwsEventSplitter(() => {});
    assert.equal(splitter.betweenEvents, true);
    splitter.push(delta.subarray(0, 1));
    assert.equal(splitter.betweenEvents, false);
    splitter.push(delta.subarray(1));
    assert.equal(splitter.betweenEvents, true);
    splitter.push(Buffer.concat([delta, delta.subarray(0, -1)]));
    assert.equal(splitter.betweenEvents, false);
    splitter.push(delta.subarray(-1));
    assert.equal(splitter.betweenEvents, true);
    splitter.push(Buffer.alloc(12));
    assert.equal(splitter.betweenEvents, false);
  });

  it('that are missing their end are a failure, and no event', () => {
    for (let cut = 1; cut < delta.length; cut++) {
      const outcome = split([exception, delta.subarray(0, cut)]);
      assert.deepEqual(outcome, {
        events: [exceptionEvent],
        failure: 'the stream ended in the middle of a frame',
      });
    }
  });

  it('with any one byte corrupted yield no wrong event, and reading stops there', () => {
    for (let at = 0; at < delta.length; at++) {
      for (const flip of [0x01, 0x80, 0xff]) {
        const corrupt = Buffer.from(delta);
        corrupt.writeUInt8(corrupt.readUInt8(at) ^ flip, at);
        const outcome = split([exception, corrupt, exception], 'open');
        assert.deepEqual(outcome.events, [exceptionEvent], `byte ${at}`);
        assert.match(outcome.failure ?? '', /^the checksum of a frame (?:prelude )?is wrong$/);
        assert.deepEqual(split(bytewise(Buffer.concat([exception, corrupt, exception])), 'open'), outcome);
      }
    }
  });

  const malformed: { name: string; bytes: Buffer; failure: RegExp }[] = [
    {
      name: 'shorter than a frame can be',
      bytes: rawFrame({ total: 15 }),
      failure: /a frame of 15 bytes, expected 16 /,
    },
    { name: 'longer than 16 MiB', bytes: rawFrame({ total: 16 * 1024 * 1024 + 1 }), failure: /16777217.*to 16777216/ },
    { name: 'with more headers than bytes', bytes: rawFrame({ headersLength: 1 }), failure: /headers/ },
    { name: 'with 4 GiB of headers', bytes: rawFrame({ headersLength: 0xffff_ffff }), failure: /headers/ },
    {
      name: 'with a header type that does not exist',
      bytes: rawFrame({ headers: Buffer.from('\x01a\x0a') }),
      failure: /headers/,
    },
    { name: 'with a header name that is cut', bytes: rawFrame({ headers: Buffer.from('\x05a') }), failure: /headers/ },
    { name: 'with a header without a type', bytes: rawFrame({ headers: Buffer.from('\x01a') }), failure: /headers/ },
    {
      name: 'with a header value that is cut',
      bytes: rawFrame({ headers: Buffer.from('\x01a\x07\0\x02x') }),
      failure: /headers/,
    },
    {
      name: 'with a header length that is cut',
      bytes: rawFrame({ headers: Buffer.from('\x01a\x07\0') }),
      failure: /headers/,
    },
    {
      name: 'with an integer that is cut',
      bytes: rawFrame({ headers: Buffer.from('\x01a\x04\0\0') }),
      failure: /headers/,
    },
    { name: 'that are server-sent events', bytes: Buffer.from('data: {"a":1}\n\n'), failure: /prelude/ },
  ];
  for (const { name, bytes, failure } of malformed) {
    it(`${name} are a failure, however they are split`, () => {
      for (let cut = 0; cut <= bytes.length; cut++) {
        const outcome = split([exception, bytes.subarray(0, cut), bytes.subarray(cut), delta], 'open');
        assert.deepEqual(outcome.events, [exceptionEvent]);
        assert.match(outcome.failure ?? '', failure);
      }
    });
  }

  it('of exactly 16 MiB are read', () => {
    const payload = Buffer.alloc(16 * 1024 * 1024 - 16, 'x');
    const frame = encodeAwsEvent({ headers: {}, payload });
    const half = frame.length / 2;
    const { events, failure } = split([frame.subarray(0, half), frame.subarray(half), delta]);
    assert.equal(failure, null);
    assert.deepEqual([events[0]?.data.length, events[1]], [payload.length, deltaEvent]);
  });

  it('in tiny pieces cost time in proportion to their length', () => {
    const time = (length: number): number => {
      const frame = encodeAwsEvent({ headers: {}, payload: Buffer.alloc(length, 'x') });
      const start = performance.now();
      const splitter = new AwsEventSplitter(() => {});
      for (let at = 0; at < frame.length; at += 16) splitter.push(frame.subarray(at, at + 16));
      assert.equal(splitter.betweenEvents, true);
      return performance.now() - start;
    };
    time(200_000);
    // Sixteen times the length: quadratic work would take some 256 times as long.
    const short = Math.max(time(60_000), 1);
    assert.ok(time(960_000) < short * 80);
  });

  it('cannot be written with a header that is too long', () => {
    assert.throws(() => encodeAwsEvent({ headers: { ['n'.repeat(256)]: '' }, payload: '' }), RangeError);
    assert.throws(() => encodeAwsEvent({ headers: { n: 'v'.repeat(65_536) }, payload: '' }), RangeError);
  });
});

describe("frames and Amazon's own codec", () => {
  const int32 = { min: -(2 ** 31), max: 2 ** 31 - 1 };
  const otherHeader = fc.oneof(
    fc.boolean().map((value) => ({ type: 'boolean', value })),
    fc.integer({ min: -128, max: 127 }).map((value) => ({ type: 'byte', value })),
    fc.integer({ min: -32_768, max: 32_767 }).map((value) => ({ type: 'short', value })),
    fc.integer(int32).map((value) => ({ type: 'integer', value })),
    fc.integer(int32).map((value) => ({ type: 'long', value: smithy.Int64.fromNumber(value) })),
    fc.uint8Array({ maxLength: 300 }).map((value) => ({ type: 'binary', value })),
    fc.string({ unit: 'grapheme', maxLength: 300 }).map((value) => ({ type: 'string', value })),
    fc.date({ noInvalidDate: true }).map((value) => ({ type: 'timestamp', value })),
    fc.uuid().map((value) => ({ type: 'uuid', value })),
  );
  const headerName = fc.string({ unit: fc.constantFrom('a', 'é', '-', '語'), minLength: 1, maxLength: 20 });
  const message = fc.record({
    before: fc.dictionary(headerName, otherHeader, { maxKeys: 4 }),
    type: fc.string({ unit: fc.constantFrom('a', 'B', 'é'), minLength: 1, maxLength: 12 }),
    after: fc.dictionary(headerName, otherHeader, { maxKeys: 4 }),
    payload: fc.string({ unit: 'grapheme', maxLength: 400 }),
  });

  it('agree on every type of header and every chunking', () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 6 }), fc.array(fc.nat(4000), { maxLength: 12 }), (messages, cuts) => {
        const frames = messages.map(({ before, type, after, payload }) =>
          codec.encode({
            headers: { ...before, ':event-type': { type: 'string', value: type }, ...after },
            body: Buffer.from(payload),
          }),
        );
        const bytes = Buffer.concat(frames);
        const at = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length];
        const chunks = at.slice(1).map((end, i) => bytes.subarray(at[i], end));
        const expected = messages.map(({ type, payload }) => ({ event: type, data: payload }));
        assert.deepEqual(split(chunks), { events: expected, failure: null });
      }),
    );
  });

  it('agree on what Weir writes', () => {
    const headers = fc.dictionary(headerName, fc.string({ unit: 'grapheme', maxLength: 40 }), { maxKeys: 5 });
    fc.assert(
      fc.property(headers, fc.uint8Array({ maxLength: 200 }), (headers, payload) => {
        const decoded = codec.decode(encodeAwsEvent({ headers, payload }));
        const expected = Object.entries(headers).map(([name, value]) => [name, { type: 'string', value }]);
        assert.deepEqual(Object.entries(decoded.headers), expected);
        assert.deepEqual(Buffer.from(decoded.body), Buffer.from(payload));
      }),
    );
  });

  it('any bytes at all are read without an exception', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        // With right checksums, so that the headers are looked at.
        split([rawFrame({ headers: Buffer.from(bytes) })]);
        const { events } = split([bytes]);
        assert.deepEqual(events, []);
      }),
    );
  });
});
