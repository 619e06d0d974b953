import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { WeirError } from '../../base/errors.ts';
import type { StreamConversion } from '../converters/converter.ts';
import { anthropicMessages } from '../protocols/anthropic-messages.ts';
import { bedrockConverse } from '../protocols/bedrock-converse.ts';
import { openaiChat } from '../protocols/openai-chat.ts';
import { openaiResponses } from '../protocols/openai-responses.ts';
import { passthrough } from '../protocols/passthrough.ts';
import { AwsEventStream, ConvertedSseStream, SseStream, type AnswerStream } from './answer-stream.ts';
import { AwsEventSplitter, encodeAwsEvent } from './aws-event-stream.ts';
import { encodeSse, parseSseBlock } from './sse.ts';
import { StreamObserver } from './tap.ts';

const cut = new WeirError('UPSTREAM_RESET', ['192.0.2.1']);

function pass(stream: AnswerStream, pieces: readonly Buffer[]): Buffer {
  return Buffer.concat([...pieces.map((piece) => stream.chunk(piece)), stream.end()]);
}

/** Two pieces for every place to cut, and one piece a byte. */
function* splits(bytes: Buffer): Generator<Buffer[]> {
  for (let at = 0; at <= bytes.length; at++) yield [bytes.subarray(0, at), bytes.subarray(at)];
  yield Array.from(bytes, (byte) => Buffer.of(byte));
}

describe('server-sent events that are relayed', () => {
  const data = JSON.stringify({ type: 'response.output_text.delta', delta: 'a' });
  const bytes = Buffer.from(encodeSse({ event: 'response.output_text.delta', data }).repeat(2));

  it('leave as they came', () => {
    for (const pieces of splits(bytes)) {
      const stream = new SseStream(openaiResponses, new StreamObserver(openaiResponses, { captureText: false }));
      assert.deepEqual(pass(stream, pieces), bytes);
    }
  });

  it('are followed by a readable error event wherever they were cut, with its number', () => {
    for (let at = 1; at <= bytes.length; at++) {
      const stream = new SseStream(openaiResponses, new StreamObserver(openaiResponses, { captureText: false }));
      stream.chunk(bytes.subarray(0, at));
      const blocks = Buffer.concat([bytes.subarray(0, at), stream.errorTail(cut) ?? Buffer.alloc(0)])
        .toString()
        .split(/\n\n+/);
      const error = JSON.parse(parseSseBlock(blocks.at(-2) ?? '')?.data ?? '') as Record<string, unknown>;
      assert.deepEqual([error['type'], error['code']], ['error', 'UPSTREAM_RESET'], `cut at ${at}`);
      const complete = (bytes.subarray(0, at).toString().match(/\n\n/g) ?? []).length;
      assert.equal(error['sequence_number'], complete, `cut at ${at}`);
    }
  });

  it('are followed by nothing where their protocol is not known: the connection has to be cut', () => {
    const stream = new SseStream(passthrough, new StreamObserver(passthrough, { captureText: false }));
    stream.chunk(bytes);
    assert.equal(stream.errorTail(cut), null);
  });
});

describe('frames of AWS that are relayed', () => {
  const frame = (type: string, payload: object): Buffer =>
    encodeAwsEvent({ headers: { ':event-type': type, ':message-type': 'event' }, payload: JSON.stringify(payload) });
  const frames = [
    frame('contentBlockDelta', { delta: { text: 'Hé' } }),
    frame('messageStop', { stopReason: 'end_turn' }),
    frame('metadata', { usage: { inputTokens: 8, outputTokens: 5, totalTokens: 13 } }),
  ];
  const bytes = Buffer.concat(frames);

  it('leave as they came and are read, however they are split', () => {
    for (const pieces of splits(bytes)) {
      const observer = new StreamObserver(bedrockConverse, { captureText: true });
      const stream = new AwsEventStream(observer);
      assert.deepEqual(pass(stream, pieces), bytes);
      assert.deepEqual([observer.text, observer.usage.totalTokens, observer.sawDone], ['Hé', 13, true]);
      assert.equal(stream.failure, null);
    }
  });

  it('can be followed by an error frame between two frames, and by nothing within one', () => {
    const ends = [frames[0], frames[1], frames[2]].map((_, index) => Buffer.concat(frames.slice(0, index + 1)).length);
    for (let at = 1; at <= bytes.length; at++) {
      const stream = new AwsEventStream(new StreamObserver(bedrockConverse, { captureText: false }));
      stream.chunk(bytes.subarray(0, at));
      const tail = stream.errorTail(cut);
      assert.equal(tail !== null, ends.includes(at), `cut at ${at}`);
      if (tail === null) continue;
      const names: string[] = [];
      new AwsEventSplitter(({ event }) => names.push(event)).push(tail);
      assert.deepEqual(names, ['exception:modelStreamErrorException']);
    }
  });

  it('are relayed when they are broken, which is told', () => {
    const broken = Buffer.concat([frames[0] ?? bytes, Buffer.from('this is no frame at all')]);
    for (const pieces of splits(broken)) {
      const stream = new AwsEventStream(new StreamObserver(bedrockConverse, { captureText: false }));
      assert.deepEqual(pass(stream, pieces), broken);
      assert.match(stream.failure ?? '', /checksum/);
      assert.equal(stream.errorTail(cut), null);
    }
  });
});

describe('server-sent events that are converted', () => {
  const toUpperCase: StreamConversion = {
    hasOutput: true,
    hasEnded: false,
    event: ({ data }) => (data === 'skipped' ? '' : encodeSse({ event: 'message', data: data.toUpperCase() })),
    end: () => 'data: END\n\n',
  };
  const bytes = Buffer.from(
    ': ping\n\ndata: é1\n\ndata: skipped\n\ndata: {"usage":{"prompt_tokens":8}}\n\ndata: [DONE]',
  );

  it('are the same however they are split, the last one without its blank line too, and are read', () => {
    for (const pieces of splits(bytes)) {
      const observer = new StreamObserver(openaiChat, { captureText: false });
      const stream = new ConvertedSseStream(anthropicMessages, toUpperCase, observer);
      const expected = 'data: É1\n\ndata: {"USAGE":{"PROMPT_TOKENS":8}}\n\ndata: [DONE]\n\ndata: END\n\n';
      assert.equal(pass(stream, pieces).toString(), expected);
      assert.deepEqual([observer.events, observer.usage.promptTokens, observer.sawDone], [4, 8, true]);
    }
  });

  it("are followed by an error of the client's protocol when they were cut, never by half an event", () => {
    for (let at = 1; at < bytes.length; at++) {
      const stream = new ConvertedSseStream(
        anthropicMessages,
        toUpperCase,
        new StreamObserver(openaiChat, { captureText: false }),
      );
      const sent = stream.chunk(bytes.subarray(0, at)).toString();
      assert.ok(sent === '' || sent.endsWith('\n\n'), sent);
      assert.match(stream.errorTail(cut).toString(), /^event: error\ndata: \{"type":"error".*UPSTREAM_RESET.*\}\n\n$/);
    }
  });
});
