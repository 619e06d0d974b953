import type * as TapModule from '../../src/llm/framing/tap.ts';
import type * as OpenaiChatModule from '../../src/llm/protocols/openai-chat.ts';
import { deltaChunk, doneChunk, roleChunk, usageChunk } from '../mock/answers.ts';
import type { MicroBench } from './micro-bench.ts';

const deltas = 64;

/** The observer of a stream whose bytes go to the client untouched: a chunk an event, usage read at the end. */
export const sseTap: MicroBench = {
  name: `SSE tap, a stream of ${deltas} deltas`,
  async prepare(importSource) {
    const { StreamObserver } = await importSource<typeof TapModule>('llm/framing/tap.ts');
    const { openaiChat } = await importSource<typeof OpenaiChatModule>('llm/protocols/openai-chat.ts');
    const sent = Array.from({ length: deltas }, (_, i) => deltaChunk(i, 1e9 + i));
    const chunks = [roleChunk, ...sent, usageChunk, doneChunk].map(withoutFraming);
    return () => {
      const observer = new StreamObserver(openaiChat, { captureText: false });
      for (const chunk of chunks) observer.chunk(chunk);
      observer.end();
      if (observer.usage.totalTokens === 0) throw new Error('the usage was not read');
      return observer.usage;
    };
  },
};

/** The body is what the tap sees: without chunk sizes. */
function withoutFraming(chunk: string): Buffer {
  return Buffer.from(chunk.slice(chunk.indexOf('\r\n') + 2, -2));
}
