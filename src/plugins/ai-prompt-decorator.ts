import type { JsonObject } from '../llm/json.ts';
import { findPromptFormat } from '../llm/prompts/index.ts';
import { openaiChatPrompts } from '../llm/prompts/openai-chat.ts';
import type { AddedMessage, PromptFormat } from '../llm/prompts/prompt-format.ts';
import { detectProtocol } from '../llm/protocols/index.ts';
import { definePlugin } from '../pipeline/define-plugin.ts';
import { replaceJsonBody, withJsonBody } from '../pipeline/json-body.ts';

const messages = {
  type: 'array',
  items: {
    type: 'object',
    properties: {
      role: { type: 'string', enum: ['system', 'user', 'assistant'] },
      content: { type: 'string', minLength: 1 },
    },
    required: ['role', 'content'],
  },
} as const;

const schema = {
  type: 'object',
  properties: {
    prepend: { ...messages, description: 'Messages, each with `role` and `content`, before those of the client.' },
    append: { ...messages, description: 'Messages behind those of the client.' },
    max_req_body_size: { type: 'integer', minimum: 1, default: 67108864, description: 'Larger requests get 413.' },
  },
  anyOf: [{ required: ['prepend'] }, { required: ['append'] }],
} as const;

/** Puts messages around the prompts of clients. */
export const aiPromptDecorator = definePlugin({
  name: 'ai-prompt-decorator',
  priority: 1070,
  version: 0.1,
  summary: 'Puts messages before and behind the prompts of clients.',
  schema,
  create({ prepend = [], append = [], max_req_body_size: maxBytes }) {
    return {
      rewrite: (ctx) =>
        withJsonBody(ctx, {
          maxBytes,
          run({ json }) {
            const changed = decorate(formatOf(ctx.path, json), json, { prepend, append });
            if (changed !== json) replaceJsonBody(ctx, changed);
            return undefined;
          },
        }),
    };
  },
});

/** What nobody recognises is taken for a chat, as in APISIX. */
function formatOf(path: string, json: JsonObject): PromptFormat {
  const protocol = detectProtocol(path, json);
  return (protocol === null ? undefined : findPromptFormat(protocol.name)) ?? openaiChatPrompts;
}

interface Decoration {
  readonly prepend: readonly AddedMessage[];
  readonly append: readonly AddedMessage[];
}

function decorate(format: PromptFormat, json: JsonObject, { prepend, append }: Decoration): JsonObject {
  // An array has no member to put messages into.
  if (Array.isArray(json)) return json;
  const begun = prepend.length === 0 ? json : format.prepend(json, prepend);
  return append.length === 0 ? begun : format.append(begun, append);
}
