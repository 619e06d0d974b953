import type * as RequestBodyModule from '../../src/llm/request-body.ts';
import type * as OpenaiChatModule from '../../src/llm/protocols/openai-chat.ts';
import { bodyOfSize, smallBody } from '../load/bodies.ts';
import type { MicroBench } from './micro-bench.ts';

/** A client's body read, and the model of the route put into it. */
function shaping(name: string, body: string): MicroBench {
  return {
    name,
    async prepare(importSource) {
      const { parseRequestBody, shapeBody } = await importSource<typeof RequestBodyModule>('llm/request-body.ts');
      const { openaiChat } = await importSource<typeof OpenaiChatModule>('llm/protocols/openai-chat.ts');
      const bytes = Buffer.from(body);
      const rules = { options: { model: 'bench-model-2026' }, removesModel: false };
      return () => {
        const parsed = parseRequestBody(bytes);
        if (parsed instanceof Error) throw parsed;
        return shapeBody(rules, openaiChat, parsed);
      };
    },
  };
}

/** What JavaScript's own encoder and decoder take for the same: no part of Weir, for comparison. */
export const jsonRoundTrip: MicroBench = {
  name: 'JSON.parse + stringify, 256 KB',
  prepare() {
    const bytes = Buffer.from(bodyOfSize(256 * 1024));
    return Promise.resolve(() => {
      const json = JSON.parse(bytes.toString('utf8')) as object;
      return Buffer.from(JSON.stringify({ ...json, model: 'bench-model-2026' }));
    });
  },
};

export const smallRequestBody = shaping('request body with options.model, small', smallBody);
export const largeRequestBody = shaping('request body with options.model, 256 KB', bodyOfSize(256 * 1024));
