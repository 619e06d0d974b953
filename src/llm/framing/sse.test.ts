import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { encodeSse, maxUnfinishedEventBytes, parseSseBlock, SseSplitter } from './sse.ts';
import type { StreamEvent } from './stream-event.ts';

function parse(chunks: readonly Uint8Array[]): StreamEvent[] {
  const events: StreamEvent[] = [];
  const splitter = new SseSplitter((block) => {
    const event = parseSseBlock(block);
    if (event !== null) events.push(event);
  });
  // One reused buffer, like the read buffer of a socket: nothing may keep a view of it.
  const readBuffer = Buffer.alloc(Math.max(1, ...chunks.map((chunk) => chunk.length)));
  for (const chunk of chunks) {
    readBuffer.set(chunk);
    splitter.push(readBuffer.subarray(0, chunk.length));
    readBuffer.fill(0);
  }
  splitter.end();
  return events;
}

const message = (data: string): StreamEvent => ({ event: 'message', data });

const rows: { name: string; text: string; events: StreamEvent[] }[] = [
  { name: 'LF LF ends an event', text: 'data: a\n\ndata: b\n\n', events: [message('a'), message('b')] },
  { name: 'CR LF CR LF ends an event', text: 'data: a\r\n\r\ndata: b\r\n\r\n', events: [message('a'), message('b')] },
  {
    name: 'both boundaries may occur in one stream',
    text: 'data: a\r\n\r\ndata: b\n\ndata: c\r\n\r\n',
    events: [message('a'), message('b'), message('c')],
  },
  { name: 'LF CR LF does not end an event', text: 'data: a\n\r\ndata: b\n\n', events: [message('a\nb')] },
  { name: 'several data lines are joined by LF', text: 'data: a\ndata:\ndata: b\n\n', events: [message('a\n\nb')] },
  { name: 'only one space is stripped in front of a value', text: 'data:  a \n\n', events: [message(' a ')] },
  { name: 'no space is needed in front of a value', text: 'data:a\n\n', events: [message('a')] },
  {
    name: 'event, id and retry are read, field names in any case',
    text: 'EVENT: delta\nid: 7\nretry: 250\nData: x\n\n',
    events: [{ event: 'delta', data: 'x', id: '7', retry: 250 }],
  },
  { name: 'a retry that is no number is ignored', text: 'retry: 2s\ndata: x\n\n', events: [message('x')] },
  {
    name: 'V27 comments and empty events yield nothing',
    text: ': ping\n\n\n\n:\r\n\r\n\r\n:\n\n\ndata: x\n\n',
    events: [message('x')],
  },
  { name: 'a comment inside an event is skipped', text: ': hi\ndata: x\n: ho\n\n', events: [message('x')] },
  {
    name: 'lines without a colon and unknown fields are ignored',
    text: 'data\nfoo: 1\ndata: x\n\n',
    events: [message('x')],
  },
  { name: 'an event without data yields nothing', text: 'event: ping\nid: 1\n\ndata: x\n\n', events: [message('x')] },
  { name: 'an empty data line is an event', text: 'data:\n\n', events: [message('')] },
  { name: 'colons inside a value are kept', text: 'data: {"a":1}\n\n', events: [message('{"a":1}')] },
  {
    name: 'characters of two, three and four bytes survive',
    text: 'data: é – 語 – 😀\n\n',
    events: [message('é – 語 – 😀')],
  },
  { name: 'a byte order mark may open the stream', text: '\ufeffdata: x\n\n', events: [message('x')] },
  {
    name: 'a last event without its blank line counts',
    text: 'data: a\n\ndata: b',
    events: [message('a'), message('b')],
  },
  { name: 'nothing at all yields nothing', text: '', events: [] },
];

describe('server-sent events', () => {
  for (const { name, text, events } of rows) {
    const bytes = Buffer.from(text);
    it(name, () => assert.deepEqual(parse([bytes]), events));
    it(`${name}: V26 the same at every split point`, () => {
      for (let cut = 0; cut <= bytes.length; cut++) {
        assert.deepEqual(parse([bytes.subarray(0, cut), bytes.subarray(cut)]), events, `split at ${cut}`);
      }
    });
    it(`${name}: the same byte by byte`, () => {
      assert.deepEqual(parse(Array.from(bytes, (byte) => Uint8Array.of(byte))), events);
    });
  }

  it('any chunking of any bytes yields the same events', () => {
    const line = fc.oneof(
      fc.constantFrom('', ':', ': ping', 'event: x', 'data', 'data: é😀', 'data: {"a":"\\n"}', '\r'),
      fc.string({ maxLength: 12 }).map((text) => `data: ${text}`),
    );
    const stream = fc
      .array(fc.tuple(line, fc.constantFrom('\n', '\r\n', '\n\n', '\r\n\r\n')), { maxLength: 20 })
      .map((lines) => Buffer.from(lines.flat().join('')));
    fc.assert(
      fc.property(stream, fc.array(fc.nat(400), { maxLength: 12 }), (bytes, cuts) => {
        const at = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length];
        const chunks = at.slice(1).map((end, i) => bytes.subarray(at[i], end));
        assert.deepEqual(parse(chunks), parse([bytes]));
      }),
    );
  });

  it('what is encoded parses as the same event', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'é', ' x', ':', '語'), minLength: 1, maxLength: 5 });
    const event = fc.record(
      { event: word, data: fc.string({ unit: fc.constantFrom('a', '\n', ' ', ':', '😀') }), id: word, retry: fc.nat() },
      { requiredKeys: ['event', 'data'] },
    );
    fc.assert(fc.property(event, (event) => assert.deepEqual(parse([Buffer.from(encodeSse(event))]), [{ ...event }])));
  });

  it('the default event type is not written, and CR LF inside data separates lines', () => {
    assert.equal(encodeSse(message('a\r\nb\rc')), 'data: a\ndata: b\ndata: c\n\n');
  });

  it('an unfinished event beyond the cap is dropped, and the next one is read', () => {
    const half = Buffer.alloc(maxUnfinishedEventBytes / 2 + 10, 'x');
    const events = parse([Buffer.from('data: '), half, half, half, Buffer.from('\ndata: rest\n\ndata: next\n\n')]);
    assert.deepEqual(events, [message('next')]);
  });

  it('an event just below the cap is kept', () => {
    const data = 'y'.repeat(maxUnfinishedEventBytes - 100);
    assert.deepEqual(parse([Buffer.from(`data: ${data}`), Buffer.from('\n\n')]), [message(data)]);
  });

  it('a long event in tiny pieces costs time in proportion to its length', () => {
    const time = (length: number): number => {
      const chunks = Array.from({ length: length / 16 }, () => Buffer.from('0123456789abcdef'));
      const start = performance.now();
      assert.equal(parse([Buffer.from('data: '), ...chunks, Buffer.from('\n\n')]).length, 1);
      return performance.now() - start;
    };
    time(200_000);
    // Sixteen times the length: quadratic work would take some 256 times as long.
    const short = Math.max(time(60_000), 1);
    assert.ok(time(960_000) < short * 80);
  });
});
